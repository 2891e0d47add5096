"""A spec -> what is to be run. A sweep's plan is adaptive: its next run depends on what the earlier ones gave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from search_spaces import Distribution, Recipe, SpaceSpec, Value, resolve
from search_spaces.search.point_checks import start_settings
from search_spaces.search.sequences import Grid, RandomSequence, SobolSequence
from sweeps.study.snapshot import TrialView
from sweeps.study.study import Proposer


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
    """Run 0 is the base recipe, the baseline that the sweep must beat; then come the starts, and the sampler's choice.

    Args:
        spec: The space.
    """

    def __init__(self, spec: SpaceSpec) -> None:
        self._spec = spec
        self._parameters = spec.parameters
        sampler, parameters = spec.sampler, self._parameters
        self._proposer = Proposer(sampler, spec.metric.goal, parameters) if sampler.kind in ("tpe", "gp") else None
        self._sequence: RandomSequence | SobolSequence | Grid
        if sampler.kind == "grid":
            self._sequence = Grid(parameters)
        elif sampler.kind == "qmc":
            self._sequence = SobolSequence(parameters, sampler.seed)
        else:
            startup = 0 if self._proposer is None else sampler.startup
            self._sequence = RandomSequence(parameters, sampler.seed, startup)

    @property
    def parameters(self) -> Mapping[str, Distribution]:
        return self._parameters.distributions

    @property
    def total(self) -> int:
        return self._spec.runs

    @property
    def available(self) -> int:
        return self._spec.runs

    def propose(self, number: int) -> PlannedRun:
        return PlannedRun(number, resolve(self._spec.recipe, self._settings(number)))

    def values(self, run: Begun) -> Mapping[str, Value]:
        return self._parameters.read(run.recipe)

    def _settings(self, number: int) -> Mapping[str, Value]:
        """The fields in which a run differs from the base recipe."""
        spec = self._spec
        index = number - 1 - len(spec.starts)  # neither the baseline nor a start takes a point of a sequence
        if number == 0:
            return {}
        if index < 0:
            return start_settings(self._parameters, spec.starts[number - 1])
        if self._proposer is None or index < spec.sampler.startup:
            return self._parameters.settings(self._sequence.point(index))
        return self._parameters.settings(self._proposer.propose(number))

    def learn(self, view: TrialView) -> None:
        if self._proposer is not None:
            self._proposer.learn(view)


def searched_values(recipe: Recipe, spec: SpaceSpec) -> dict[str, Value]:
    """The parameters that are active in a recipe, by the names that the dashboard has them by."""
    return spec.parameters.read(recipe)


def searched_fields(recipe: Recipe, spec: SpaceSpec) -> dict[str, Value]:
    """The same by the fields of the recipe, of which each has one value whatever its parameter is called."""
    parameters = spec.parameters
    fields = {parameter.name: parameter.field for parameter in parameters.every}
    return {fields[name]: value for name, value in parameters.read(recipe).items()}
