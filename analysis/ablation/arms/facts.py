"""What an arm changes, how its runs ended, and its values of the primary metric."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from analysis.ablation.evidence import Evidence
from sweeps.changes import recorded_arms
from sweeps.run_state import RunState

HEALTH_METRICS = (
    "train/loss",
    "train/grad_norm",
    "train/clip_rate",
    "train/update_ratio",
    "train/weight_norm",
    "train/samples_per_second",
)


@dataclass(frozen=True)
class ArmFacts:
    """Facts about one arm in one design.

    Attributes:
        design: `matched` or `retuned`.
        arm: Name of the arm.
        settings: Its commit and patch if it has code of its own, and changes of the base recipe as `field value` texts.
        weights: Evaluated weights.
        trained_as: Arm whose training is evaluated; the arm itself if it has its own training.
        states: Number of its runs in each state.
        values: Primary metric in each pair; NaN if the run is not complete.
        mean: Mean of `values`; None if no run is complete.
        sd: Standard deviation of `values`; None below 2 complete runs.
        epochs: Number of trained epochs of all runs.
        seconds: Training seconds of all runs.
        health: Training metrics of the last epoch, means over pairs.
    """

    design: str
    arm: str
    settings: tuple[str, ...]
    weights: str
    trained_as: str
    states: Mapping[RunState, int]
    values: tuple[float, ...]
    mean: float | None
    sd: float | None
    epochs: int
    seconds: float
    health: Mapping[str, float]


def arm_facts(evidence: Evidence, design: str, arm: str) -> ArmFacts:
    """Return the facts about an arm in one design, over the pairs that have ended."""
    spec, pairs = evidence.spec, evidence.pairs
    runs = [run for pair in range(pairs) if (run := evidence.run(design, pair, arm)) is not None]
    values = evidence.values(design, arm, spec.metrics.primary, pairs)
    finite = values[np.isfinite(values)]
    health = {name: evidence.named(design, arm, name, pairs) for name in HEALTH_METRICS}
    known = {name: found[np.isfinite(found)] for name, found in health.items()}
    code = [str(one) for name, one in recorded_arms(evidence.provenance).items() if name == spec.trained_as()[arm]]
    return ArmFacts(
        design=design,
        arm=arm,
        settings=(*code, *(f"{field} {value}" for field, value in spec.all_arms[arm].settings.items())),
        weights=spec.all_arms[arm].weights,
        trained_as=spec.trained_as()[arm],
        states=Counter(run.state for run in runs),
        values=tuple(values.tolist()),
        mean=float(finite.mean()) if len(finite) else None,
        sd=float(finite.std(ddof=1)) if len(finite) > 1 else None,
        epochs=sum(run.epoch for run in runs),
        seconds=sum(run.seconds for run in runs),
        health={name: float(found.mean()) for name, found in known.items() if len(found)},
    )
