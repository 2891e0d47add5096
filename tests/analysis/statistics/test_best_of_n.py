"""From how many tries on one arm is expected to beat another, by brute force over subsets and at known crossings."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from analysis.statistics.best_of_n import expected_best, lead


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def brute_force(control: list[float], treatment: list[float], best: object) -> int | None:
    """The smallest n from which on the mean best over all subsets of n tries is better, for good."""
    total, first = len(control), None
    for n in range(total, 0, -1):
        a, b = (
            np.mean([best(subset) for subset in itertools.combinations(values, n)])  # type: ignore[operator]
            for values in (control, treatment)
        )
        if (b >= a if best is min else b <= a) or abs(b - a) < 1e-12:
            return first
        first = n
    return first


@pytest.mark.parametrize("goal", ["maximize", "minimize"])
def test_the_lead_is_that_of_every_subset(goal: str) -> None:
    best = max if goal == "maximize" else min
    found = set()
    for seed in range(40):
        draw = np.random.default_rng(seed)
        control, treatment = (draw.normal(0.0, scale, 6).tolist() for scale in (1.0, 1.5))
        one = lead(control, treatment, goal, rng())  # type: ignore[arg-type]
        assert one.tries == brute_force(control, treatment, best)
        assert one.control_tries == brute_force(treatment, control, best)
        found.add(one.tries)
    assert {None, 1} < found  # and later ones


def test_a_treatment_with_a_worse_mean_and_a_better_best_leads_late() -> None:
    control, treatment = [0.50] * 10, [0.40] + [0.60] * 9
    # The best of n is .40 with probability n / 10 and otherwise .60: better than .50 from more than 5 tries on.
    one = lead(control, treatment, "minimize", rng())
    assert (one.total, one.tries) == (10, 6)
    assert one.low is not None
    assert one.low <= 6
    assert one.high is None  # the try at .40 is absent from a third of the resamples
    assert one.share == pytest.approx(1 - 0.9**10, abs=0.04)


def test_a_clear_lead_holds_from_the_first_try_on_and_a_clear_lag_never() -> None:
    better, worse = np.linspace(0.0, 1.0, 8), np.linspace(2.0, 3.0, 8)
    ahead, behind = lead(worse, better, "minimize", rng()), lead(better, worse, "minimize", rng())
    assert (ahead.tries, ahead.low, ahead.high, ahead.share) == (1, 1, 1, 1.0)
    assert (behind.tries, behind.low, behind.high, behind.share) == (None, None, None, 0.0)


def test_equal_arms_do_not_lead() -> None:
    same = np.random.default_rng(1).normal(size=9)
    assert lead(same, same, "maximize", rng()) == lead(same, same, "minimize", rng())
    one = lead(same, same, "maximize", rng())
    assert (one.share, one.tries, one.control_tries) == (0.0, None, None)


def test_a_try_without_a_score_counts_as_the_worst() -> None:
    assert lead([1.0, np.nan, 3.0], [1.0, 3.0, 3.0], "minimize", rng()).tries is None
    assert lead([1.0, np.nan, 3.0], [1.0, 2.0, 3.0], "minimize", rng()) == lead(
        [1.0, 3.0, 3.0], [1.0, 2.0, 3.0], "minimize", rng()
    )
    with pytest.raises(ValueError, match="finite"):
        lead([np.nan], [1.0], "minimize", rng())


def test_the_arms_need_equally_many_tries() -> None:
    with pytest.raises(ValueError, match="same number of tries, found 2 and 3"):
        lead([1.0, 2.0], [1.0, 2.0, 3.0], "minimize", rng())


def test_the_curve_does_not_depend_on_the_order_of_the_tries() -> None:
    values = [3.0, 1.0, 2.0]
    assert expected_best(values, "minimize").tolist() == pytest.approx([2.0, 4 / 3, 1.0])
    assert expected_best(values[::-1], "minimize").tolist() == pytest.approx([2.0, 4 / 3, 1.0])
