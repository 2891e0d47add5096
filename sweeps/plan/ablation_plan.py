"""The plan of an ablation: a fixed table of runs, arms x pairs, after the tries of the re-tuned design.

What the table leaves open is decided from what is recorded and from nothing else: the best point of each arm,
and whether a look ends the ablation. So a driver that starts again comes to the same table.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from search_spaces import (
    RETUNED,
    TUNING,
    AblationSpec,
    Choice,
    Distribution,
    RandInt,
    Value,
    derive_seed,
    lookup,
    recipe_hash,
    sobol_point,
    tuning_ranges,
)
from search_spaces.metric_names import read_from
from sweeps.plan.plan import Begun, PlannedRun
from sweeps.run_state import RunState
from sweeps.study.snapshot import RunSnapshot

Finals = Mapping[int, Mapping[str, float]]
"""Run number -> what its last epoch reported, of the complete runs."""


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        number: Of the run.
        design: `tuning`, `matched` or `retuned`.
        pair: From 0; of a try, which one it is.
        arm: One that is trained; others may read it too.
    """

    number: int
    design: str
    pair: int
    arm: str


@dataclass(frozen=True)
class AblationTable:
    """Which run is which: tries first, then pair after pair, so that more pairs are more lines at the end."""

    spec: AblationSpec

    @cached_property
    def trained_as(self) -> Mapping[str, str]:
        """Arm -> the arm whose training it reads."""
        return self.spec.trained_as()

    @cached_property
    def arms(self) -> tuple[str, ...]:
        """The arms that are trained, the control first."""
        return tuple(dict.fromkeys(self.trained_as.values()))

    @property
    def tries(self) -> int:
        """Runs of the tuning, all arms together."""
        return 0 if self.spec.retune is None else self.spec.retune.runs * len(self.arms)

    @property
    def per_pair(self) -> int:
        """Runs of one pair, all designs together."""
        return len(self.spec.designs) * len(self.arms)

    def until(self, pairs: int) -> int:
        """How many runs there are up to so many pairs."""
        return self.tries + pairs * self.per_pair

    def row(self, number: int) -> Row:
        """The line of one run."""
        arms = self.arms
        if number < self.tries:
            index, arm = divmod(number, len(arms))
            return Row(number, TUNING, index, arms[arm])
        pair, rest = divmod(number - self.tries, self.per_pair)
        design, arm = divmod(rest, len(arms))
        return Row(number, self.spec.designs[design], pair, arms[arm])

    def number(self, design: str, pair: int, arm: str) -> int:
        """The run of that line; an arm that reads another one's training has that one's."""
        arms = self.arms
        owner = arms.index(self.trained_as[arm])
        if design == TUNING:
            return pair * len(arms) + owner
        return self.tries + pair * self.per_pair + self.spec.designs.index(design) * len(arms) + owner


class AblationPlan:
    """The runs of an ablation, as far as results allow.

    Args:
        spec: The ablation.
        decided: Whether the complete pairs, up to so many, settle the question; asked at every look.
    """

    def __init__(self, spec: AblationSpec, decided: Callable[[Finals, int], bool]) -> None:
        self._spec = spec
        self.table = AblationTable(spec)
        self._finals: dict[int, Mapping[str, float]] = {}
        self._decided = decided
        self._finished: set[int] = set()
        self._looked = 0  # pairs at the last look, which did not end it
        self._ended: int | None = None
        self._winners: Mapping[str, Mapping[str, Value]] | None = None

    @property
    def parameters(self) -> Mapping[str, Distribution]:
        spec = self._spec
        most = max(spec.pairs, spec.retune.runs if spec.retune else 1)
        return {
            "arm": Choice(list(self.table.arms)),
            "design": Choice(([TUNING] if spec.retune else []) + list(spec.designs)),
            "pair": RandInt(0, max(1, most - 1)),
            **{field: spec.space.search[field] for field in spec.nuisance},
        }

    @property
    def total(self) -> int:
        self._look()
        return self.table.until(self._spec.pairs if self._ended is None else self._ended)

    @property
    def available(self) -> int:
        tries = self.table.tries
        if not self._all_finished(tries):
            return tries
        self._look()
        return min(self.table.until(self._next_look()), self.total)

    def propose(self, number: int) -> PlannedRun:
        row = self.table.row(number)
        recipe = self._spec.recipe(row.arm, self._point(row))
        return PlannedRun(number, recipe, self._seed(row), row.arm, row.pair, row.design)

    def values(self, run: Begun) -> Mapping[str, Value]:
        row = self.table.row(run.number)
        nuisance = {field: lookup(run.recipe, field) for field in self._spec.nuisance}
        return {"arm": row.arm, "design": row.design, "pair": row.pair, **nuisance}

    def learn(self, view: RunSnapshot) -> None:
        if view.state.finished:
            self._finished.add(view.number)
        if view.state is RunState.COMPLETE:
            self._finals[view.number] = view.final

    # --- looks ----------------------------------------------------------------------------------------------

    def _all_finished(self, runs: int) -> bool:
        return all(number in self._finished for number in range(runs))

    def _next_look(self) -> int:
        return next((pairs for pairs in look_points(self._spec) if pairs > self._looked), self._spec.pairs)

    def _look(self) -> None:
        """Take every look whose pairs are all there, in order, until one ends the ablation."""
        while self._ended is None and self._looked < self._spec.pairs:
            pairs = self._next_look()
            if not self._all_finished(self.table.until(pairs)):
                return
            if self._decided(self._finals, pairs):
                self._ended = pairs
            self._looked = pairs

    # --- points and seeds -----------------------------------------------------------------------------------

    def _point(self, row: Row) -> Mapping[str, Value]:
        if row.design == TUNING:
            return tried_point(self._spec, row.arm, row.pair)
        nuisance = {field: self._spec.space.search[field] for field in self._spec.nuisance}
        point = sobol_point(nuisance, derive_seed("nuisance", self._spec.space.sampler.seed), row.pair)
        return {**point, **self._winner(row.arm)} if row.design == RETUNED else point

    def _winner(self, arm: str) -> Mapping[str, Value]:
        if self._winners is None:
            self._winners = {
                one: tried_point(self._spec, one, index) for one, index in winners(self._spec, self._finals).items()
            }
        return self._winners[arm]

    def _seed(self, row: Row) -> int:
        stream = row.pair
        if row.design == TUNING:  # tries differ by their points alone, unless a point comes back
            digests = [
                recipe_hash(self._spec.recipe(row.arm, tried_point(self._spec, row.arm, index)))
                for index in range(row.pair + 1)
            ]
            stream = digests[:-1].count(digests[-1])
        # Never a seed of a sweep: what was selected on must not confirm.
        shared = derive_seed("ablation", self._spec.space.sampler.seed, row.design, stream)
        own = self._spec.all_arms[row.arm].seeds == "own"
        return derive_seed("own", shared, row.arm) if own else shared


def look_points(spec: AblationSpec) -> Sequence[int]:
    """Numbers of pairs at which the ablation may end."""
    if spec.looks == "none":
        return (spec.pairs,)
    if spec.looks == "e_process":
        return range(2, spec.pairs + 1)
    return spec.looks


def tried_point(spec: AblationSpec, arm: str, index: int) -> dict[str, Value]:
    """What is tuned, in one try of an arm: its own recipe first, then the points that all arms share by index."""
    if index == 0:
        return {}
    seed = derive_seed("tuning", spec.space.sampler.seed)
    return sobol_point(tuning_ranges(spec, arm), seed, index - 1)


def winners(spec: AblationSpec, finals: Finals) -> dict[str, int]:
    """Trained arm -> its best try on `val`; the first one, its own recipe, where none is complete."""
    table = AblationTable(spec)
    sign = 1.0 if spec.metrics.goal == "minimize" else -1.0
    best: dict[str, int] = {}
    for arm in table.arms:
        name = read_from(spec.metrics.selection, spec.all_arms[arm].weights)
        tries = range(0 if spec.retune is None else spec.retune.runs)
        values = {index: finals.get(table.number(TUNING, index, arm), {}).get(name, math.nan) for index in tries}
        finite = {index: value for index, value in values.items() if math.isfinite(value)}
        best[arm] = min(finite, key=lambda index: (sign * finite[index], index), default=0)
    return best
