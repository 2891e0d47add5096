"""Calibration of each arm before and after temperature scaling, averaged over pairs."""

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
    """Calibration of one arm's predictions on `test`; metrics are means over pairs.

    Attributes:
        pairs: Number of pairs.
        nll: Negative log-likelihood, in nats.
        accuracy: Share of correct examples.
        brier: Brier score, in [0, 2]; None if it was not recorded.
        ece: ECE in 15 bins of equal width. It is biased upwards, so reports show it with its null band.
        ece_mass: ECE in bins of equal mass.
        mce: Maximum calibration error of bins with at least 30 examples; None without such bins.
        gap: Mean confidence minus accuracy; positive is overconfident.
        debiased: Debiased squared calibration error; signed.
        aurc: Area under the risk-coverage curve.
        null_mean: Mean ECE of calibrated models with these confidences.
        null_upper: 95 % quantile of the ECE of calibrated models with these confidences.
        diagram: Reliability diagram of the first pair.
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
    """Calibration of one arm in one design.

    Attributes:
        design: `matched` or `retuned`.
        arm: Name of the arm.
        weights: Weights that the arm evaluates.
        before: Calibration with these weights.
        after: Calibration with the temperature that was fitted on a part of `val`; None if it was not evaluated.
        temperature: Mean temperature over pairs.
        calibration_part: Part of the NLL that temperature scaling removes.
        refinement: NLL after temperature scaling.
    """

    design: str
    arm: str
    weights: str
    before: ArmCalibration
    after: ArmCalibration | None
    temperature: float | None
    calibration_part: float | None
    refinement: float | None


def calibration_rows(evidence: Evidence) -> tuple[CalibrationRow, ...]:
    """Return one row for each arm with stored predictions."""
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
        weights=weights,
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
    # Each run has its own random stream, so a missing run does not change the bands of the others.
    metrics = [_summary(one, number) for number, one in found]
    briers = [evidence.finals.get(number, {}).get(read_from("test/brier", weights)) for number, _ in found]
    first_number, first = found[0]
    rng = np.random.default_rng([1, first_number])
    return ArmCalibration(
        pairs=len(metrics),
        nll=_mean([each.nll for each in metrics]),
        accuracy=_mean([each.accuracy for each in metrics]),
        brier=_mean_of_known(briers),
        ece=_mean([each.ece for each in metrics]),
        ece_mass=_mean([each.ece_mass for each in metrics]),
        mce=_mean_of_known([each.mce for each in metrics]),
        gap=_mean([each.gap for each in metrics]),
        debiased=_mean_of_known([each.debiased for each in metrics]),
        aurc=_mean([each.aurc for each in metrics]),
        null_mean=_mean([each.null.mean for each in metrics]),
        null_upper=_mean([each.null.upper95 for each in metrics]),
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
