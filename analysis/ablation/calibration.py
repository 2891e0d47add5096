"""How well each arm knows what it knows: calibration before and after temperature scaling, averaged over pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.ablation.evidence import Evidence
from analysis.calibration.metrics import Calibration, decompose, summarize_calibration
from analysis.calibration.reliability import Reliability, reliability
from search_spaces.metric_names import read_from, with_temperature
from trainers.reports import Predictions


@dataclass(frozen=True)
class ArmCalibration:
    """The calibration of one arm's predictions on `test`, means over pairs.

    Attributes:
        pairs: How many.
        nll: Nats.
        accuracy: Share of examples.
        brier: In [0, 2]; None where it was not recorded.
        ece: Plug-in, 15 bins of equal width: biased upwards, so it stands beside its null band.
        ece_mass: With bins of equal mass.
        mce: Over bins of at least 30 examples; None where there are none.
        gap: Mean confidence minus accuracy: above 0 is overconfident.
        debiased: Squared calibration error without the plug-in's bias; signed.
        aurc: Area under the risk-coverage curve.
        null_mean: ECE that calibrated models with these confidences score.
        null_upper: What 95 % of them stay below.
        diagram: Of the first pair.
    """

    pairs: int
    nll: float
    accuracy: float
    brier: float | None
    ece: float
    ece_mass: float
    mce: float | None
    gap: float
    debiased: float | None
    aurc: float
    null_mean: float
    null_upper: float
    diagram: Reliability


@dataclass(frozen=True)
class CalibrationRow:
    """One arm in one design.

    Attributes:
        design: `matched` or `retuned`.
        arm: Its name.
        before: As trained.
        after: With the temperature that was fitted on a part of `val`; None for an arm that reads something else.
        temperature: Its mean over pairs.
        calibration_part: Of the NLL: what the temperature takes away.
        refinement: What is left.
    """

    design: str
    arm: str
    before: ArmCalibration
    after: ArmCalibration | None
    temperature: float | None
    calibration_part: float | None
    refinement: float | None


def calibration_rows(evidence: Evidence) -> tuple[CalibrationRow, ...]:
    """Return a row for each arm whose predictions are stored."""
    rows = []
    for design in evidence.spec.designs:
        for arm in evidence.spec.all_arms:
            row = _row(evidence, design, arm)
            if row is not None:
                rows.append(row)
    return tuple(rows)


def _row(evidence: Evidence, design: str, arm: str) -> CalibrationRow | None:
    weights = evidence.spec.all_arms[arm].weights
    before = _arm_calibration(evidence, design, arm, weights)
    if before is None:
        return None
    after = _arm_calibration(evidence, design, arm, with_temperature(weights))
    temperature = evidence.named(design, arm, read_from("val/temperature", weights), evidence.pairs)
    known = temperature[np.isfinite(temperature)]
    parts = decompose(before.nll, after.nll) if after else None
    return CalibrationRow(
        design=design,
        arm=arm,
        before=before,
        after=after,
        temperature=float(known.mean()) if len(known) else None,
        calibration_part=parts.calibration if parts else None,
        refinement=parts.refinement if parts else None,
    )


def _arm_calibration(evidence: Evidence, design: str, arm: str, weights: str) -> ArmCalibration | None:
    numbers = [evidence.table.number(design, pair, arm) for pair in range(evidence.pairs)]
    found = [(number, one) for number in numbers if (one := evidence.predictions.get((number, weights))) is not None]
    if not found:
        return None
    # Each run has a stream of its own, so that one that is missing leaves the others' bands as they are.
    pages = [_summary(one, number) for number, one in found]
    briers = [evidence.finals.get(number, {}).get(read_from("test/brier", weights)) for number, _ in found]
    first_number, first = found[0]
    rng = np.random.default_rng([1, first_number])
    return ArmCalibration(
        pairs=len(pages),
        nll=_mean([page.nll for page in pages]),
        accuracy=_mean([page.accuracy for page in pages]),
        brier=_mean_of_known(briers),
        ece=_mean([page.ece for page in pages]),
        ece_mass=_mean([page.ece_mass for page in pages]),
        mce=_mean_of_known([page.mce for page in pages]),
        gap=_mean([page.gap for page in pages]),
        debiased=_mean_of_known([page.debiased for page in pages]),
        aurc=_mean([page.aurc for page in pages]),
        null_mean=_mean([page.null.mean for page in pages]),
        null_upper=_mean([page.null.upper95 for page in pages]),
        diagram=reliability(first.confidence, first.predicted == first.label, rng),
    )


def _summary(one: Predictions, number: int) -> Calibration:
    rng = np.random.default_rng([0, number])
    return summarize_calibration(one.confidence, one.predicted == one.label, one.nll, rng)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def _mean_of_known(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return _mean(known) if known else None
