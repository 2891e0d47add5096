"""The samplers: which point a sweep tries next.

A new kind needs an entry in `SAMPLERS` of search_spaces/specs/space.py and one in `_SEQUENCES` or `_OPTUNA` here.
"""

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, GPSampler, TPESampler
from optuna.storages import InMemoryStorage

from search_spaces import Sampler, SpaceSpec, Value
from search_spaces.recipe.reported import Goal
from search_spaces.search.distributions import contains
from search_spaces.search.parameters import Parameters
from search_spaces.search.sequences import Grid, PointSequence, RandomSequence, SobolSequence, infeasible
from search_spaces.seeds import derive_seed
from sweeps.run_state import RunState
from sweeps.study.snapshot import RunSnapshot
from sweeps.study.study import Study

_MAX_PROPOSALS = 100  # that break the constraints in a row


class PointSampler(Protocol):
    """Chooses the points of a sweep, after the baseline and the starts."""

    def propose(self, number: int) -> Mapping[str, Value]:
        """Return a point for the run ``number``; `learn` must have received all earlier runs.

        Raises:
            SweepError: Too many points in a row break the constraints.
        """

    def learn(self, view: RunSnapshot) -> None:
        """Update the sampler with the current state of a run."""


def build_sampler(spec: SpaceSpec) -> PointSampler:
    """Return the sampler of a space."""
    sampler, parameters, first = spec.sampler, spec.parameters, 1 + len(spec.starts)
    if sampler.kind in _OPTUNA:
        return OptunaSampler(sampler, spec.metric.goal, parameters, first)
    return SequenceSampler(_SEQUENCES[sampler.kind](parameters, sampler.seed), first)


_SEQUENCES: Mapping[str, Callable[[Parameters, int], PointSequence]] = {
    "random": RandomSequence,
    "qmc": SobolSequence,
    "grid": lambda parameters, _: Grid(parameters),
}


class SequenceSampler:
    """Proposes the points of a sequence in order and ignores results.

    Args:
        sequence: The sequence.
        first: Number of the run that gets its first point.
    """

    def __init__(self, sequence: PointSequence, first: int) -> None:
        self._sequence = sequence
        self._first = first

    def propose(self, number: int) -> Mapping[str, Value]:
        return self._sequence.point(number - self._first)

    def learn(self, view: RunSnapshot) -> None:
        pass


class OptunaSampler:
    """Proposes random points first, and then points that an Optuna sampler chooses from earlier results.

    Args:
        sampler: Sampler of the space. Its seed and the number of the run determine every draw, so that a restarted
            sweep neither repeats points nor depends on a random state that was lost with its driver.
        goal: ``maximize`` or ``minimize``.
        parameters: Parameters of the search.
        first: Number of the first run that needs a proposal; `sampler.startup` random points begin there.
    """

    def __init__(self, sampler: Sampler, goal: Goal, parameters: Parameters, first: int = 1) -> None:
        self._sampler = sampler
        self._parameters = parameters
        self._distributions = parameters.distributions
        self._study = Study(InMemoryStorage(), "memory", goal, self._distributions)
        self._first = first
        self._startup = RandomSequence(parameters, sampler.seed, sampler.startup)

    def propose(self, number: int) -> Mapping[str, Value]:
        index = number - self._first
        return self._startup.point(index) if index < self._sampler.startup else self._informed(number)

    def _informed(self, number: int) -> dict[str, Value]:
        try:
            for attempt in range(_MAX_PROPOSALS):
                again = (attempt,) if attempt else ()
                seed = derive_seed("sampler", self._sampler.seed, number, *again) % 2**32  # numpy's limit
                sampler = _OPTUNA[self._sampler.kind](seed, self._parameters.conditional)
                point = self._study.ask(sampler, self._parameters)
                if self._parameters.satisfies(point):
                    return point
            raise infeasible(_MAX_PROPOSALS)
        finally:
            # Rejected points are kept until here: without them, the sampler would propose the same region again.
            self._study.forget_asked()

    def learn(self, view: RunSnapshot) -> None:
        if not all(contains(self._distributions[name], value) for name, value in view.values.items()):
            # A baseline outside the ranges would take its missing parameters out of the joint model.
            view = replace(view, state=RunState.FAILED, values={})
        finite = {epoch: value for epoch, value in view.curve.items() if math.isfinite(value)}
        # Study.ask() would return a waiting trial again, so the sampler sees an interrupted run as running.
        state = RunState.RUNNING if view.state is RunState.INTERRUPTED else view.state
        self._study.sync([replace(view, curve=finite, state=state)])


def _gp(seed: int, conditional: bool) -> BaseSampler:
    return GPSampler(seed=seed, n_startup_trials=1, deterministic_objective=False)


def _tpe(seed: int, conditional: bool) -> BaseSampler:
    if not conditional:
        return TPESampler(seed=seed, n_startup_trials=1)
    with warnings.catch_warnings():  # group is experimental; without it, conditional parameters have no joint model
        warnings.simplefilter("ignore", ExperimentalWarning)
        return TPESampler(seed=seed, n_startup_trials=1, multivariate=True, group=True)


# From a seed and whether the search is conditional. `OptunaSampler` draws the startup points, so Optuna draws none.
_OPTUNA: Mapping[str, Callable[[int, bool], BaseSampler]] = {"tpe": _tpe, "gp": _gp}
