from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from analysis.diagnosis.smoothing import centred_mean, ema, first_streak, noise, theil_sen


def test_theil_sen_equals_scipy() -> None:
    rng = np.random.default_rng(3)
    for n in (3, 5, 8, 15, 40):
        values = rng.standard_normal(n) + 0.1 * np.arange(n)
        expected = stats.theilslopes(values)
        trend = theil_sen(values)
        assert trend.slope == pytest.approx(expected.slope)
        assert (trend.low, trend.high) == pytest.approx((expected.low_slope, expected.high_slope))


def test_smoothing() -> None:
    assert ema(np.array([0.0, 1.0, 1.0]), 1.0).tolist() == [0.0, 0.5, 0.75]
    falling = np.linspace(2, 1, 20)
    assert ema(falling, 0.1) == pytest.approx(falling, abs=1e-3)
    assert centred_mean(np.array([1.0, 2.0, 6.0])).tolist() == [1.5, 3.0, 4.0]
    rng = np.random.default_rng(4)
    assert noise(np.linspace(0, 50, 4000) + 0.2 * rng.standard_normal(4000)) == pytest.approx(0.2, rel=0.1)
    assert noise(np.zeros(2)) == 0.0
    flags = np.array([True, False, True, True])
    assert (first_streak(flags, 2), first_streak(flags, 3)) == (2, None)
