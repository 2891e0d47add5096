"""The plan of an ablation: a fixed table of runs, arms x pairs, after the tuning runs of the retuned design.

The best point of each arm, and whether a look ends the ablation, follow from recorded results alone. So a driver that
is restarted finds the same table.
"""

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
"""Run number -> last value of each metric, for the complete runs. A command may report some less often than others."""


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        number: Number of the run.
        design: `tuning`, `matched` or `retuned`.
        pair: Pair, from 0; in the tuning, the index of the try.
        arm: Trained arm; other arms may read its results, too.
    """

    number: int
    design: str
    pair: int
    arm: str


@dataclass(frozen=True)
class AblationTable:
    """Design, pair and arm of each run: tuning first, then pair by pair, so that more pairs are added at the end."""

    spec: AblationSpec

    @cached_property
    def trained_as(self) -> Mapping[str, str]:
        """Arm -> trained arm whose results it reads."""
        return self.spec.trained_as()

    @cached_property
    def arms(self) -> tuple[str, ...]:
        """Trained arms, the control first."""
        return tuple(dict.fromkeys(self.trained_as.values()))

    @property
    def tries(self) -> int:
        """Number of tuning runs of all arms."""
        return 0 if self.spec.retune is None else self.spec.retune.runs * len(self.arms)

    @property
    def per_pair(self) -> int:
        """Number of runs of one pair in all designs."""
        return len(self.spec.designs) * len(self.arms)

    def until(self, pairs: int) -> int:
        """Return the number of runs of the tuning and the first pairs."""
        return self.tries + pairs * self.per_pair

    def row(self, number: int) -> Row:
        """Return the row of one run."""
        arms = self.arms
        if number < self.tries:
            index, arm = divmod(number, len(arms))
            return Row(number, TUNING, index, arms[arm])
        pair, rest = divmod(number - self.tries, self.per_pair)
        design, arm = divmod(rest, len(arms))
        return Row(number, self.spec.designs[design], pair, arms[arm])

    def number(self, design: str, pair: int, arm: str) -> int:
        """Return the number of a run; an arm that reads another arm's results has the run of that arm."""
        arms = self.arms
        owner = arms.index(self.trained_as[arm])
        if design == TUNING:
            return pair * len(arms) + owner
        return self.tries + pair * self.per_pair + self.spec.designs.index(design) * len(arms) + owner


class AblationPlan:
    """The runs of an ablation.

    Args:
        spec: The ablation.
        decided: Function that returns whether a number of first pairs settles the question; called at each look.
    """

    def __init__(self, spec: AblationSpec, decided: Callable[[Finals, int], bool]) -> None:
        self._spec = spec
        self.table = AblationTable(spec)
        self._finals: dict[int, Mapping[str, float]] = {}
        self._decided = decided
        self._finished: set[int] = set()
        self._looked = 0  # pairs at the last look, which did not end the ablation
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
        """Take every look whose pairs have all ended, in order, until one ends the ablation."""
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
        if row.design == TUNING:  # tries differ only in their points, unless a point is repeated
            digests = [
                recipe_hash(self._spec.recipe(row.arm, tried_point(self._spec, row.arm, index)))
                for index in range(row.pair + 1)
            ]
            stream = digests[:-1].count(digests[-1])
        # Never a seed of a sweep: the data that selected a recipe must not confirm it.
        shared = derive_seed("ablation", self._spec.space.sampler.seed, row.design, stream)
        own = self._spec.all_arms[row.arm].seeds == "own"
        return derive_seed("own", shared, row.arm) if own else shared


def look_points(spec: AblationSpec) -> Sequence[int]:
    """Return the numbers of pairs at which the ablation may end."""
    if spec.looks == "none":
        return (spec.pairs,)
    if spec.looks == "e_process":
        return range(2, spec.pairs + 1)
    return spec.looks


def tried_point(spec: AblationSpec, arm: str, index: int) -> dict[str, Value]:
    """Return the tuned values of one try of an arm: first its own recipe, then points that all arms share by index."""
    if index == 0:
        return {}
    seed = derive_seed("tuning", spec.space.sampler.seed)
    return sobol_point(tuning_ranges(spec, arm), seed, index - 1)


def winners(spec: AblationSpec, finals: Finals) -> dict[str, int]:
    """Return trained arm -> index of its best try on `val`; 0, its own recipe, if no try is complete."""
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
