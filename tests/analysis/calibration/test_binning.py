from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from analysis.calibration.binning import Bins, bins_equal_mass, bins_equal_width, simulated_correct

# With edges and ties: 0, 1, k/15, and few distinct values.
CONFIDENCES = st.floats(0.0, 1.0) | st.sampled_from([0.0, 1.0, *(k / 15 for k in range(1, 15))])
SAMPLES = st.lists(st.tuples(CONFIDENCES, st.booleans()), min_size=1, max_size=80)


def overconfident(seed: int, n: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0.0, 1.0, n)
    return confidence, rng.random(n) < confidence**2


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("strategy", "make"), [("uniform", bins_equal_width), ("quantile", bins_equal_mass)])
def test_sklearn_curve(seed: int, strategy: str, make: Callable[..., Bins]) -> None:
    confidence, correct = overconfident(seed, 900)  # a multiple of 15, for which all definitions of a quantile agree
    accuracy, mean_confidence = calibration_curve(correct, confidence, n_bins=15, strategy=strategy)
    mine = make(confidence, correct)
    np.testing.assert_allclose(mine.confidence, mean_confidence, rtol=1e-12)
    np.testing.assert_allclose(mine.accuracy, accuracy, rtol=1e-12)


def test_edges_of_equal_width() -> None:
    edge = [0.0, 1 / 15, np.nextafter(1 / 15, 1.0), 14 / 15, np.nextafter(14 / 15, 1.0), 1.0]
    bins = bins_equal_width(edge, [True] * 6)
    assert bins.count.tolist() == [2, 1, *[0] * 11, 1, 2]
    assert bins.low[0] == 0.0
    assert bins.high[-1] == 1.0
    np.testing.assert_array_equal(bins.low[1:], bins.high[:-1])
    np.testing.assert_array_equal(np.isnan(bins.accuracy), bins.count == 0)


@pytest.mark.parametrize("n", [1, 7, 15, 100, 1000])
def test_equal_mass_without_ties(n: int) -> None:
    confidence, correct = overconfident(0, n)
    count = bins_equal_mass(confidence, correct).count
    assert len(count) == min(n, 15)
    assert count.max() - count.min() <= 1


def test_equal_mass_keeps_ties_together() -> None:
    confidence = np.array([0.2, 0.3, *[0.5] * 6, 0.9, 1.0, 1.0, 1.0])
    bins = bins_equal_mass(confidence, confidence > 0.4, bins=4)
    assert bins.count.tolist() == [8, 1, 3]
    assert bins.low[0] == 0.2
    one = bins_equal_mass([1.0, 1.0], [True, False])
    assert (one.count.tolist(), one.confidence.tolist(), one.accuracy.tolist()) == ([2], [1.0], [0.5])


@given(SAMPLES, st.integers(1, 20))
def test_every_example_is_in_its_bin(sample: list[tuple[float, bool]], size: int) -> None:
    confidence, correct = np.array([c for c, _ in sample]), np.array([y for _, y in sample])
    for bins in (bins_equal_width(confidence, correct, size), bins_equal_mass(confidence, correct, size)):
        for i in range(len(bins.count)):
            above = confidence >= bins.low[i] if i == 0 else confidence > bins.low[i]
            mine = above & (confidence <= bins.high[i])
            assert bins.count[i] == mine.sum()
            if mine.any():
                assert bins.confidence[i] == pytest.approx(confidence[mine].mean(), abs=1e-12)
                assert bins.accuracy[i] == pytest.approx(correct[mine].mean(), abs=1e-12)
        assert bins.count.sum() == len(sample)


@pytest.mark.parametrize("make", [bins_equal_width, bins_equal_mass])
def test_simulated_counts(make: Callable[..., Bins]) -> None:
    confidence, correct = overconfident(0, 200)
    bins = make(confidence, correct, bins=4)
    counts = simulated_correct(confidence, bins, np.random.default_rng(0), repeats=4000)
    assert counts.shape == (4000, 4)
    for i in range(4):
        p = confidence[(confidence > bins.low[i]) & (confidence <= bins.high[i])]
        if i == 0:
            p = confidence[confidence <= bins.high[0]]
        variance = (p * (1.0 - p)).sum()
        assert counts[:, i].mean() == pytest.approx(p.sum(), abs=4.0 * math.sqrt(variance / 4000))
        assert counts[:, i].var() == pytest.approx(variance, rel=0.12)


def test_simulation_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    confidence, correct = overconfident(0, 50)
    bins = bins_equal_width(confidence, correct)
    whole = simulated_correct(confidence, bins, np.random.default_rng(0), repeats=20)
    for at_once in (1, 150, 999):
        monkeypatch.setattr("analysis.calibration.binning.DRAWS_AT_ONCE", at_once)
        parts = simulated_correct(confidence, bins, np.random.default_rng(0), repeats=20)
        np.testing.assert_array_equal(parts, whole)
