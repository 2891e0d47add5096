"""Optuna's samplers: which point a sweep tries next."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, GPSampler, TPESampler
from optuna.storages import InMemoryStorage

from search_spaces import (
    Sampler,
    Value,
)
from search_spaces.search.distributions import lies_in
from search_spaces.search.parameters import Parameters
from search_spaces.search.sequences import infeasible
from search_spaces.seeds import derive_seed
from search_spaces.specs.space import Goal
from sweeps.run_state import RunState
from sweeps.study.snapshot import RunSnapshot
from sweeps.study.study import Study

_ASKS = 100  # points in a row that a sampler may propose against the constraints


class Proposer:
    """Chooses the values of the next run from what the earlier ones gave (TPE or GP).

    Args:
        sampler: Of the space; its seed and the number of the run decide every draw, so that a restarted sweep neither
            repeats nor depends on a random state that died with its driver.
        goal: ``maximize`` or ``minimize``.
        parameters: Of the search.
    """

    def __init__(self, sampler: Sampler, goal: Goal, parameters: Parameters) -> None:
        self._sampler = sampler
        self._distributions = parameters.distributions
        self._study = Study(InMemoryStorage(), "memory", goal, self._distributions)
        self._parameters = parameters

    def propose(self, number: int) -> dict[str, Value]:
        """A point for run ``number`` that satisfies the constraints; `learn` must have seen all runs before it.

        Raises:
            SweepError: The sampler found none.
        """
        try:
            for attempt in range(_ASKS):
                again = (attempt,) if attempt else ()
                seed = derive_seed("sampler", self._sampler.seed, number, *again) % 2**32  # numpy's limit
                sampler = _sampler(self._sampler.kind, seed, self._parameters.conditional)
                point = self._study.ask(sampler, self._parameters)
                if self._parameters.satisfies(point):
                    return point
            raise infeasible(_ASKS)
        finally:
            # Not before: a point that breaks a constraint is unknown ground, where the same sampler would look again.
            self._study.forget_asked()

    def learn(self, view: RunSnapshot) -> None:
        """Take in where a run stands."""
        if not all(lies_in(self._distributions[name], value) for name, value in view.values.items()):
            # A baseline outside the ranges would take its missing parameters out of the joint model.
            view = replace(view, state=RunState.FAILED, values={})
        finite = {epoch: value for epoch, value in view.curve.items() if math.isfinite(value)}
        # ask() would hand a waiting trial out again; for the sampler an interrupted run is one under way.
        state = RunState.RUNNING if view.state is RunState.INTERRUPTED else view.state
        self._study.sync([replace(view, curve=finite, state=state)])


def _sampler(kind: str, seed: int, conditional: bool) -> BaseSampler:
    # The first runs of a sweep are random points of our own (plan.py), so the samplers need no random start.
    if kind == "gp":
        return GPSampler(seed=seed, n_startup_trials=1, deterministic_objective=False)
    if not conditional:
        return TPESampler(seed=seed, n_startup_trials=1)
    with warnings.catch_warnings():  # group is experimental; without it, conditional parameters have no joint model
        warnings.simplefilter("ignore", ExperimentalWarning)
        return TPESampler(seed=seed, n_startup_trials=1, multivariate=True, group=True)
