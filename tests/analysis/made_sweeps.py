"""Synthetic sweeps: scores that are known functions of the point instead of trainings."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from analysis.range_position import position
from analysis.sweep.evidence import SweepEvidence
from search_spaces import (
    AdamW,
    Budget,
    Choice,
    LogUniform,
    NoStopping,
    Recipe,
    SpaceSpec,
    Uniform,
    Value,
    derive_seed,
    lookup,
    recipe_hash,
    resolve,
    sobol_point,
)
from sweeps.plan.asha import Rungs, rung_epochs
from sweeps.run_state import RunState
from sweeps.study.snapshot import RunSnapshot
from tests.fakes import space

EPOCHS = 20
LR, WD, WARMUP, BETA = "optimizer.lr", "optimizer.weight_decay", "schedule.warmup", "optimizer.betas.1"

Score = Callable[[Mapping[str, float], float, np.random.Generator], float]
"""(position of each ranged field, 0 to 1; share of the budget done; noise) -> value of the epoch."""


def spec_of(**changes: Any) -> SpaceSpec:
    """Return a space with three ranges and a choice, without early stopping."""
    parts: dict[str, Any] = {
        "recipe": Recipe(optimizer=AdamW(lr=1e-3, weight_decay=0.01), budget=Budget(epochs=EPOCHS)),
        "search": {
            LR: LogUniform(1e-5, 1e-1),
            WD: LogUniform(1e-4, 1.0),
            WARMUP: Uniform(0.0, 0.3),
            BETA: Choice([0.95, 0.98, 0.999]),
        },
        "early_stopping": NoStopping(),
        "runs": 40,
    }
    return space(**(parts | changes))


def saturating(share: float) -> float:
    """Return a curve from 0 to 1 that is close to 1 at half of the budget."""
    return 1.0 - math.exp(-15.0 * share)


def peak(at: float = 0.5, noise: float = 0.002) -> Score:
    """Return an accuracy that depends on the learning rate only, best at this position of its range."""

    def score(places: Mapping[str, float], share: float, rng: np.random.Generator) -> float:
        return (0.9 - 1.2 * (places[LR] - at) ** 2) * saturating(share) + noise * rng.normal()

    return score


def made_sweep(
    score: Score,
    spec: SpaceSpec | None = None,
    *,
    states: Mapping[int, RunState] | None = None,
    points: Mapping[int, Mapping[str, Value]] | None = None,
    seed: int = 0,
) -> SweepEvidence:
    """Return a finished sweep of the baseline and the points of a Sobol sequence, with the stopping rule of the space.

    Args:
        score: Value of each epoch of a run; NaN makes the run diverge.
        spec: The space; `spec_of()` by default.
        states: Run number -> state in which it ends after its first epoch.
        points: Run number -> values that replace those of the sequence.
        seed: Seed for the noise.
    """
    spec = spec or spec_of()
    epochs = spec.recipe.budget.epochs
    rungs = Rungs(rung_epochs(spec.early_stopping, spec.recipe.budget), 3, spec.metric.goal)
    runs, rows = [], []
    for number in range(spec.runs):
        values = (points or {}).get(number, {} if number == 0 else sobol_point(spec.search, 0, number - 1))
        recipe = resolve(spec.recipe, values)
        end = (states or {}).get(number)
        curve, state = _train(score, spec, recipe, np.random.default_rng([seed, number]), end, rungs, number)
        finite = [value for value in curve.values() if math.isfinite(value)]
        runs.append(
            RunSnapshot(
                number=number,
                state=state,
                epoch=len(curve),
                value=finite[-1] if finite else None,
                seconds=0.5 * len(curve),
                seed=derive_seed("sweep", number),
                recipe=recipe,
                recipe_hash=recipe_hash(recipe),
                values={field: lookup(recipe, field) for field in spec.search},
                error="Traceback ...\nRuntimeError: no" if state is RunState.FAILED else None,
                curve=curve,
            )
        )
        for epoch, value in curve.items():
            rows += [(number, epoch, spec.metric.name, value), (number, epoch, "train/loss", 2.0 - epoch / epochs)]
    frame = pd.DataFrame(rows, columns=["number", "epoch", "name", "value"])
    return SweepEvidence(
        spec=spec,
        created_at=datetime(2026, 1, 2, tzinfo=UTC),
        provenance={"python": "3.11"},
        runs=tuple(runs),
        epochs=frame.assign(seq=range(len(frame))),
        predictions={},
    )


def _train(
    score: Score,
    spec: SpaceSpec,
    recipe: Recipe,
    rng: np.random.Generator,
    end: RunState | None,
    rungs: Rungs,
    number: int,
) -> tuple[dict[int, float], RunState]:
    places = {
        field: place
        for field, one in spec.search.items()
        if not isinstance(one, Choice) and (place := position(one, lookup(recipe, field))) is not None
    }
    curve: dict[int, float] = {}
    epochs = spec.recipe.budget.epochs
    for epoch in range(1, epochs + 1):
        curve[epoch] = score(places, epoch / epochs, rng)
        if not math.isfinite(curve[epoch]):
            return curve, RunState.DIVERGED
        if end is not None:
            return curve, end
        if rungs.stops(number, epoch, curve[epoch]) and number:
            return curve, RunState.STOPPED
    return curve, RunState.COMPLETE
