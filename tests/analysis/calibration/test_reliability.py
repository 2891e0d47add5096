from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from analysis.calibration.binning import bins_equal_width
from analysis.calibration.reliability import reliability


def test_against_the_bins() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.beta(5.0, 1.0, 500)
    correct = rng.random(500) < confidence
    bins, drawn = bins_equal_width(confidence, correct), reliability(confidence, correct, rng)
    full = bins.count > 0
    assert not full.all()  # empty bins are omitted, so there is no NaN
    for name in ("low", "high", "count", "confidence", "accuracy"):
        np.testing.assert_array_equal(getattr(drawn, name), getattr(bins, name)[full])
    for field in fields(drawn):
        values = getattr(drawn, field.name)
        assert values.shape == (full.sum(),)
        assert np.isfinite(values).all()
    np.testing.assert_allclose(drawn.centre * 15 % 1, 0.5)
    assert (drawn.wilson_low <= drawn.accuracy).all()
    assert (drawn.accuracy <= drawn.wilson_high).all()
    assert (drawn.consistent_low <= drawn.confidence).all()
    assert (drawn.confidence <= drawn.consistent_high + 1e-12).all()


def test_bins_under_ten_are_hollow() -> None:
    confidence = np.repeat([0.1, 0.5, 0.9], [9, 10, 11])
    drawn = reliability(confidence, confidence > 0.4, np.random.default_rng(0))
    assert drawn.hollow.tolist() == [True, False, False]


def test_wilson_by_formula() -> None:
    drawn = reliability([0.9] * 20, [True] * 15 + [False] * 5, np.random.default_rng(0))
    z, n, p = 1.959963984540054, 20, 0.75
    centre, half = (
        (p + z**2 / (2 * n)) / (1 + z**2 / n),
        z / (1 + z**2 / n) * (p * (1 - p) / n + z**2 / 4 / n**2) ** 0.5,
    )
    assert drawn.wilson_low == pytest.approx([centre - half])
    assert drawn.wilson_high == pytest.approx([centre + half])


def test_consistency_band_is_binomial() -> None:
    drawn = reliability([0.8] * 100, [True] * 100, np.random.default_rng(0), repeats=20_000)
    # 2.5 % and 97.5 % quantiles of Binomial(100, 0.8) are 72 and 87
    assert drawn.consistent_low == pytest.approx([0.72])
    assert drawn.consistent_high == pytest.approx([0.87])


def test_a_calibrated_model_stays_in_its_band() -> None:
    rng = np.random.default_rng(1)
    inside = []
    for _ in range(200):
        confidence = rng.uniform(0.3, 1.0, 1500)
        drawn = reliability(confidence, rng.random(1500) < confidence, rng, repeats=200)
        inside.append((drawn.consistent_low <= drawn.accuracy) & (drawn.accuracy <= drawn.consistent_high))
    assert 0.94 <= np.concatenate(inside).mean() <= 0.97


def test_the_band_depends_on_the_generator() -> None:
    confidence, correct = np.linspace(0.0, 1.0, 100), np.arange(100) % 3 > 0
    one, same, other = (reliability(confidence, correct, np.random.default_rng(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.consistent_low, same.consistent_low)
    assert (one.consistent_low != other.consistent_low).any()


def test_invalid_arguments() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="at least one example"):
        reliability([], [], rng)
    with pytest.raises(ValueError, match="repeats must be at least 1"):
        reliability([0.5], [True], rng, repeats=0)
