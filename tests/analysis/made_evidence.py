"""Synthetic evidence of ablations: arms with known effects instead of trained ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import numpy as np
import pandas as pd

from analysis.ablation.evidence import Evidence
from search_spaces import AblationSpec, Recipe, derive_seed, parse_ablation
from sweeps.plan.ablation_plan import AblationTable
from sweeps.run_state import RunState
from sweeps.store.records import RunRecord
from trainers.reports import Predictions

TEXT = """
kind: ablation
question: Does it help?
task: digits
recipe: {budget: {epochs: 3}}
search: {optimizer.lr: {loguniform: [1e-4, 1e-1]}}
arms:
  control: {}
  treatment: {regularization.label_smoothing: 0.1, says: Smoothing the labels}
pairs: 10
metrics: {primary: test/nll, goal: minimize, margin: 0.05}
"""

Score = Callable[[str, str, int], float | None]
"""(design, arm, pair) -> test NLL; None for a diverged run."""


def spec_of(text: str = TEXT, **changes: object) -> AblationSpec:
    return parse_ablation(text, "f.yaml", "toy").model_copy(update=changes)


def evidence_of(spec: AblationSpec, score: Score, marks: Mapping[int, Mapping[str, str]] | None = None) -> Evidence:
    """Return the evidence of a finished ablation.

    Args:
        spec: The ablation.
        score: Score of each run.
        marks: Run number -> fingerprint, if it differs from that of its pair.
    """
    table = AblationTable(spec)
    runs, finals = [], {}
    for number in range(table.until(spec.pairs)):
        row = table.row(number)
        value = score(row.design, row.arm, row.pair)
        pair = f"{row.design} {row.pair}"
        runs.append(
            RunRecord(
                number=number,
                arm=row.arm,
                pair=row.pair,
                design=row.design,
                state=RunState.COMPLETE if value is not None else RunState.DIVERGED,
                epoch=3 if value is not None else 1,
                seconds=2.0,
                seed=derive_seed(pair),
                attempts=1,
                recipe=Recipe(),
                recipe_hash=f"{row.arm} {row.pair}",
                fingerprint=(marks or {}).get(number) or {"split": pair, "order": pair, "weights": pair},
            )
        )
        if value is not None:
            finals[number] = {"test/nll": value, "val/nll": value, "test/accuracy": 0.5, "train/loss": value}
    return Evidence(
        spec=spec,
        created_at=datetime(2026, 1, 2, tzinfo=UTC),
        provenance={"python": "3.11"},
        runs=runs,
        finals=finals,
        epochs=_epochs(finals),
        predictions=_predictions(finals),
    )


def _epochs(finals: Mapping[int, Mapping[str, float]]) -> pd.DataFrame:
    rows = [
        {"number": number, "epoch": epoch, "name": name, "value": value + 3 - epoch, "seq": 0}
        for number, metrics in finals.items()
        for name, value in metrics.items()
        for epoch in (1, 2, 3)
    ]
    return pd.DataFrame(rows, columns=["number", "epoch", "name", "value", "seq"])


def _predictions(finals: Mapping[int, Mapping[str, float]]) -> dict[tuple[int, str], Predictions]:
    """Return 200 examples for each run, whose mean loss is that of the run."""
    found = {}
    for number, metrics in finals.items():
        rng = np.random.default_rng(number)
        label = np.arange(200, dtype=np.int32) % 3
        wrong = rng.random(200) < 0.2
        noise = rng.normal(0, 0.05, 200)
        found[number, "raw"] = Predictions(
            split="test",
            weights="raw",
            label=label,
            predicted=np.where(wrong, (label + 1) % 3, label).astype(np.int32),
            confidence=rng.uniform(0.6, 1.0, 200).astype(np.float32),
            nll=np.abs(metrics["test/nll"] + noise - noise.mean()).astype(np.float32),
        )
    return found


def seeded(effect: float, spread: float = 0.01, between: float = 0.3) -> Score:
    """Return scores with this standard deviation between pairs, and this effect and noise between arms."""

    def score(design: str, arm: str, pair: int) -> float:
        rng = np.random.default_rng([len(design), pair])
        level, noise = 1 + between * rng.normal(), spread * rng.normal()
        return level + (0.0 if arm == "control" else effect + noise)

    return score
