"""The interface of a plan, which decides the runs of a spec. A sweep's next run depends on earlier results."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from search_spaces import Distribution, Recipe, Value
from sweeps.study.snapshot import RunSnapshot


@dataclass(frozen=True)
class PlannedRun:
    """A run as its plan proposes it.

    Attributes:
        number: Number of the run, from 0.
        recipe: Recipe to train.
        seed: Seed for all random streams; None for the seed that the runs of a sweep share.
        arm: Arm of an ablation.
        pair: Pair of an ablation, from 0.
        design: Design of an ablation: tuning, matched or retuned.
    """

    number: int
    recipe: Recipe
    seed: int | None = None
    arm: str = ""
    pair: int | None = None
    design: str = ""


class Begun(Protocol):
    """A run that has a number and a recipe."""

    @property
    def number(self) -> int: ...

    @property
    def recipe(self) -> Recipe: ...


class Plan(Protocol):
    """The runs of a sweep or an ablation, as the conductor reads them."""

    @property
    def parameters(self) -> Mapping[str, Distribution]:
        """Distributions of the parameters in which the runs differ, as the dashboard shows them."""

    @property
    def total(self) -> int:
        """Number of runs in total, as far as it is known now."""

    @property
    def available(self) -> int:
        """Number of runs that can be proposed now; the others depend on results."""

    def propose(self, number: int) -> PlannedRun:
        """Return the run with this number. Numbers are requested in order."""

    def values(self, run: Begun) -> Mapping[str, Value]:
        """Return the value of each parameter of a run."""

    def learn(self, view: RunSnapshot) -> None:
        """Update the plan with the latest state of a run."""
