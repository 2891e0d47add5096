from __future__ import annotations

import math
import time

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.functional.classification import binary_calibration_error, multiclass_calibration_error

from analysis.calibration.binning import bins_equal_mass, bins_equal_width, simulated_correct
from analysis.calibration.metrics import (
    aurc,
    debiased_squared_error,
    decompose,
    ece,
    mce,
    mean_gap,
    null_band,
    risk_coverage,
    summarize_calibration,
)
from trainers.evaluation.evaluate import expected_calibration_error

Sample = tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]

SEEDS = pytest.mark.parametrize("seed", range(5))
# With edges and ties: 0, 1, k/15, and few distinct values.
CONFIDENCES = st.floats(0.0, 1.0) | st.sampled_from([0.0, 1.0, *(k / 15 for k in range(1, 15))])
SAMPLES = st.lists(st.tuples(CONFIDENCES, st.booleans()), min_size=1, max_size=80)


def calibrated(rng: np.random.Generator, n: int) -> Sample:
    """Return predictions of a perfectly calibrated model with mostly high confidences."""
    confidence = rng.beta(8.0, 1.0, n)
    return confidence, rng.random(n) < confidence


def overconfident(seed: int, n: int) -> Sample:
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0.0, 1.0, n)
    return confidence, rng.random(n) < confidence**2


def arrays(sample: list[tuple[float, bool]]) -> Sample:
    return np.array([c for c, _ in sample]), np.array([y for _, y in sample])


# Comparison with other implementations


@SEEDS
@pytest.mark.parametrize("bins", [5, 15])
def test_torchmetrics_binary(seed: int, bins: int) -> None:
    confidence, correct = overconfident(seed, 900)
    probability, target = torch.from_numpy(confidence), torch.from_numpy(correct).int()
    mine = bins_equal_width(confidence, correct, bins)
    # torchmetrics computes its edges in float32; none of these confidences is that close to an edge
    assert ece(mine) == pytest.approx(binary_calibration_error(probability, target, bins, "l1").item(), abs=1e-6)
    assert mce(mine, at_least=1) == pytest.approx(
        binary_calibration_error(probability, target, bins, "max").item(), abs=1e-6
    )


@SEEDS
def test_torchmetrics_multiclass(seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(rng.normal(0.0, 3.0, (700, 6)))
    labels = torch.from_numpy(rng.integers(0, 6, 700))
    probability = logits.softmax(dim=1)
    confidence, predicted = probability.max(dim=1)
    mine = bins_equal_width(confidence.numpy(), (predicted == labels).numpy())
    for norm, value in (("l1", ece(mine)), ("max", mce(mine, at_least=1))):
        theirs = multiclass_calibration_error(probability, labels, 6, 15, norm)
        assert value == pytest.approx(theirs.item(), abs=1e-6)


@given(SAMPLES)
def test_the_trainers_report_the_same_ece(sample: list[tuple[float, bool]]) -> None:
    confidence, correct = arrays(sample)
    theirs = expected_calibration_error(torch.from_numpy(confidence), torch.from_numpy(correct)).item()
    assert ece(bins_equal_width(confidence, correct)) == pytest.approx(theirs, abs=1e-12)


# Calibration errors


@given(SAMPLES)
def test_properties(sample: list[tuple[float, bool]]) -> None:
    confidence, correct = arrays(sample)
    order = np.random.default_rng(len(sample)).permutation(len(sample))
    for make in (bins_equal_width, bins_equal_mass):
        bins, permuted = make(confidence, correct), make(confidence[order], correct[order])
        assert 0.0 <= ece(bins) <= 1.0
        assert ece(permuted) == pytest.approx(ece(bins), abs=1e-12)
        assert abs(mean_gap(confidence, correct)) <= ece(bins) + 1e-12
        largest = mce(bins, at_least=1)
        assert largest is not None
        assert ece(bins) - 1e-12 <= largest <= 1.0
    assert aurc(confidence[order], correct[order]) == pytest.approx(aurc(confidence, correct), abs=1e-12)


@SEEDS
def test_mce_is_at_least_ece_in_full_bins(seed: int) -> None:
    bins = bins_equal_width(*overconfident(seed, 3000))
    assert bins.count.min() >= 30
    largest = mce(bins)
    assert largest is not None
    assert largest >= ece(bins)


def test_mce_excludes_small_bins() -> None:
    confidence, correct = np.repeat([0.5, 0.9], [30, 29]), np.repeat([True, False], [30, 29])
    bins = bins_equal_width(confidence, correct)
    assert mce(bins) == pytest.approx(0.5)
    assert mce(bins, at_least=29) == pytest.approx(0.9)
    assert mce(bins, at_least=31) is None


def test_gap_has_a_sign() -> None:
    assert mean_gap([0.9, 0.9], [True, False]) == pytest.approx(0.4)
    assert mean_gap([0.1, 0.1], [True, False]) == pytest.approx(-0.4)


def test_debiased_by_hand() -> None:
    # (0.8 - 0.5)^2 - 0.25 / 3 in a bin of 4; the bin of 1 does not count; 5 examples
    bins = bins_equal_width([0.8, 0.8, 0.8, 0.8, 0.1], [True, True, False, False, True])
    assert debiased_squared_error(bins) == pytest.approx(4 / 5 * (0.09 - 0.25 / 3))
    assert debiased_squared_error(bins_equal_width([0.2, 0.8], [True, True])) is None


@pytest.mark.parametrize(("n", "score"), [(1000, 0.020), (10_000, 0.0065)])
def test_a_calibrated_model(n: int, score: float) -> None:
    rng = np.random.default_rng(1)
    bins = [bins_equal_width(*calibrated(rng, n)) for _ in range(300)]
    assert np.mean([ece(b) for b in bins]) == pytest.approx(score, abs=0.001)
    debiased = np.array([debiased_squared_error(b) for b in bins])
    assert abs(debiased.mean()) < 3.0 * debiased.std() / math.sqrt(len(debiased))
    assert (debiased < 0.0).any()
    plug_in = np.mean([np.nansum(b.count * (b.confidence - b.accuracy) ** 2) / n for b in bins])
    assert abs(debiased.mean()) < plug_in / 10


def test_debiased_finds_the_true_error() -> None:
    rng = np.random.default_rng(2)
    estimates = []
    for _ in range(300):
        confidence = rng.choice([0.5, 0.7, 0.9], 300)
        correct = rng.random(300) < confidence - 0.1
        estimates.append(debiased_squared_error(bins_equal_width(confidence, correct)))
    values = np.array(estimates, dtype=float)
    assert values.mean() == pytest.approx(0.01, abs=3.0 * values.std() / math.sqrt(300))


# The null band


def test_null_band_covers_calibrated_models() -> None:
    rng = np.random.default_rng(3)
    inside = []
    for _ in range(400):
        confidence, correct = calibrated(rng, 500)
        inside.append(ece(bins_equal_width(confidence, correct)) <= null_band(confidence, rng, repeats=200).upper95)
    assert 0.92 <= np.mean(inside) <= 0.98  # 95 % within three standard errors of 400 trials


def test_null_band_of_a_large_sample() -> None:
    confidence, correct = calibrated(np.random.default_rng(4), 10_000)
    start = time.process_time()
    band = null_band(confidence, np.random.default_rng(5))
    assert time.process_time() - start < 2.0
    assert band == null_band(confidence, np.random.default_rng(5))
    assert band != null_band(confidence, np.random.default_rng(6))
    assert 0.005 < band.mean < 0.008
    assert band.mean < band.upper95 < 0.012
    assert ece(bins_equal_width(confidence, np.roll(correct, 1) & correct)) > band.upper95


def test_null_band_of_certain_predictions() -> None:
    assert null_band([0.0, 1.0, 1.0], np.random.default_rng(0), repeats=50) == (0.0, 0.0)


# Selective prediction


def mean_risk_by_hand(sample: list[tuple[float, bool]]) -> float:
    """Return the mean risk in O(n^2); a tie contributes the same share of its errors as of its examples."""
    confidence = sorted((c for c, _ in sample), reverse=True)
    risks = []
    for k in range(1, len(sample) + 1):
        last = confidence[k - 1]
        before = [y for c, y in sample if c > last]
        tie = [y for c, y in sample if c == last]
        errors = before.count(False) + tie.count(False) * (k - len(before)) / len(tie)
        risks.append(errors / k)
    return sum(risks) / len(risks)


@given(st.lists(st.tuples(CONFIDENCES | st.sampled_from([0.5, 0.9]), st.booleans()), min_size=1, max_size=40))
def test_aurc_by_hand(sample: list[tuple[float, bool]]) -> None:
    assert aurc(*arrays(sample)) == pytest.approx(mean_risk_by_hand(sample), abs=1e-12)


@SEEDS
def test_ties_are_the_mean_over_orders(seed: int) -> None:
    rng = np.random.default_rng(seed)
    confidence, correct = rng.choice([0.3, 0.6, 0.9], 12), rng.random(12) < 0.6
    orders = [aurc(confidence + rng.uniform(0.0, 1e-6, 12), correct) for _ in range(1500)]
    assert aurc(confidence, correct) == pytest.approx(
        np.mean(orders), abs=4.0 * np.std(orders) / math.sqrt(1500) + 1e-9
    )


def test_aurc_of_extreme_cases() -> None:
    assert aurc([0.2, 0.9, 0.9], [True] * 3) == 0.0
    assert aurc([0.2, 0.9, 0.9], [False] * 3) == 1.0
    assert aurc([0.9, 0.8], [True, False]) == pytest.approx(0.25)
    assert aurc([0.9, 0.8], [False, True]) == pytest.approx(0.75)
    curve = risk_coverage([0.5, 0.5, 0.9, 0.1], [True, False, True, False])
    np.testing.assert_allclose(curve.coverage, [0.25, 0.5, 0.75, 1.0])
    np.testing.assert_allclose(curve.risk, [0.0, 0.25, 1 / 3, 0.5])


# Summary


def test_summary() -> None:
    confidence, correct = overconfident(0, 3000)
    nll = np.linspace(0.0, 2.0, 3000)
    summary = summarize_calibration(confidence.astype(np.float32), correct, nll, np.random.default_rng(0))
    single = confidence.astype(np.float32)
    bins = bins_equal_width(single, correct)
    assert (summary.n, summary.accuracy) == (3000, correct.mean())
    assert summary.nll == pytest.approx(1.0)
    assert summary.brier is None
    assert (summary.ece, summary.mce, summary.debiased) == (ece(bins), mce(bins), debiased_squared_error(bins))
    assert summary.ece_mass == ece(bins_equal_mass(single, correct))
    assert (summary.gap, summary.aurc) == (mean_gap(single, correct), aurc(single, correct))
    assert summary.null == null_band(single, np.random.default_rng(0))
    assert summary.ece > summary.null.upper95
    scored = summarize_calibration(confidence, correct, nll, np.random.default_rng(0), brier=nll)
    assert scored.brier == pytest.approx(1.0)


def test_decomposition() -> None:
    parts = decompose(0.5, 0.4)
    assert parts.calibration == pytest.approx(0.1)
    assert parts.refinement == 0.4
    assert decompose(0.4, 0.5).calibration < 0.0
    for bad in (math.nan, math.inf):
        with pytest.raises(ValueError, match="finite"):
            decompose(bad, 0.4)


@pytest.mark.parametrize(
    ("confidence", "correct", "message"),
    [
        ([], [], "at least one example"),
        ([0.5, 0.5], [True], "one shape"),
        ([[0.5]], [[True]], "one shape"),
        ([0.5, 1.1], [True, True], r"in \[0, 1\], found 1.1 at 1"),
        ([-0.1], [True], r"in \[0, 1\], found -0.1 at 0"),
        ([math.nan], [True], r"in \[0, 1\], found nan at 0"),
        ([0.5], [1], "booleans"),
    ],
)
def test_invalid_inputs(confidence: list[float], correct: list[bool], message: str) -> None:
    rng = np.random.default_rng(0)
    for function in (bins_equal_width, bins_equal_mass, mean_gap, aurc, risk_coverage):
        with pytest.raises(ValueError, match=message):
            function(confidence, correct)
    with pytest.raises(ValueError, match=message):
        summarize_calibration(confidence, correct, [0.0] * len(confidence), rng)


def test_other_invalid_arguments() -> None:
    rng = np.random.default_rng(0)
    bins = bins_equal_width([0.5], [True])
    with pytest.raises(ValueError, match="at least one example"):
        null_band([], rng)
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        null_band([math.nan], rng)
    for make in (bins_equal_width, bins_equal_mass):
        with pytest.raises(ValueError, match="bins must be at least 1"):
            make([0.5], [True], bins=0)
    with pytest.raises(ValueError, match="repeats must be at least 1"):
        null_band([0.5], rng, repeats=0)
    with pytest.raises(ValueError, match="same examples"):
        simulated_correct([0.5, 0.5], bins, rng)
    with pytest.raises(ValueError, match=r"nll must have shape \(1,\)"):
        summarize_calibration([0.5], [True], [0.1, 0.2], rng)
    with pytest.raises(ValueError, match="brier must not be negative or NaN, found nan at 0"):
        summarize_calibration([0.5], [True], [0.1], rng, brier=[math.nan])
    assert summarize_calibration([0.5], [True], [math.inf], rng).nll == math.inf
