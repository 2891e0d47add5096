"""A spec -> what is to be run. A sweep's plan is adaptive: its next run depends on what the earlier ones gave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from search_spaces import Distribution, Recipe, Value
from sweeps.study.snapshot import RunSnapshot


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

    def learn(self, view: RunSnapshot) -> None:
        """Take in where a run stands."""
