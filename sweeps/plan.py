"""A spec -> what is to be run. A sweep's plan is adaptive: its next run depends on what the earlier ones gave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from search_spaces import Distribution, Recipe, SpaceSpec, Value, grid_point, lookup, random_point, resolve, sobol_point
from sweeps.study import Proposer
from sweeps.trial_view import TrialView


@dataclass(frozen=True)
class PlannedRun:
    """One line of a plan.

    Attributes:
        number: From 0.
        recipe: What is trained.
        seed: Of every random stream; None for those that all runs of a sweep share.
        arm: Of an ablation.
        pair: Of an ablation, from 0.
        design: What the run is for, in an ablation.
    """

    number: int
    recipe: Recipe
    seed: int | None = None
    arm: str = ""
    pair: int | None = None
    design: str = ""


class Begun(Protocol):
    """What a plan is asked about: a run that has its place in the table."""

    @property
    def number(self) -> int: ...

    @property
    def recipe(self) -> Recipe: ...


class Plan(Protocol):
    """What the conductor asks of a plan."""

    @property
    def parameters(self) -> Mapping[str, Distribution]:
        """What its runs differ in, as the dashboard shows it."""

    @property
    def total(self) -> int:
        """How many runs there are in all, as far as is known now."""

    @property
    def available(self) -> int:
        """How many of them can be proposed now; the others wait for results."""

    def propose(self, number: int) -> PlannedRun:
        """The run of that number; numbers are asked for in order."""

    def values(self, run: Begun) -> Mapping[str, Value]:
        """The value of each parameter for a run."""

    def learn(self, view: TrialView) -> None:
        """Take in where a run stands."""


class SearchPlan:
    """Run 0 is the base recipe, the baseline that the sweep must beat; the sampler chooses the others.

    Args:
        spec: The space.
    """

    def __init__(self, spec: SpaceSpec) -> None:
        self._spec = spec
        self._proposer = (
            Proposer(spec.sampler, spec.metric.goal, spec.search) if spec.sampler.kind in ("tpe", "gp") else None
        )

    @property
    def parameters(self) -> Mapping[str, Distribution]:
        return self._spec.search

    @property
    def total(self) -> int:
        return self._spec.runs

    @property
    def available(self) -> int:
        return self._spec.runs

    def propose(self, number: int) -> PlannedRun:
        values = {} if number == 0 else self._values(number)
        return PlannedRun(number, resolve(self._spec.recipe, values))

    def values(self, run: Begun) -> Mapping[str, Value]:
        return searched_values(run.recipe, self._spec)

    def _values(self, number: int) -> Mapping[str, Value]:
        spec, index = self._spec, number - 1  # the baseline takes no point of a sequence
        if spec.sampler.kind == "grid":
            return grid_point(spec.search, index)
        if spec.sampler.kind == "qmc":
            return sobol_point(spec.search, spec.sampler.seed, index)
        if self._proposer is None or index < spec.sampler.startup:
            return random_point(spec.search, spec.sampler.seed, index)
        return self._proposer.propose(number)

    def learn(self, view: TrialView) -> None:
        if self._proposer is not None:
            self._proposer.learn(view)


def searched_values(recipe: Recipe, spec: SpaceSpec) -> dict[str, Value]:
    """The searched fields of a recipe."""
    return {path: lookup(recipe, path) for path in spec.search}
