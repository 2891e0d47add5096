"""The re-tuned design: tries, position of the best point, and its score on fresh seeds."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from analysis.ablation.arms.tuning import tunings
from analysis.range_position import position
from analysis.statistics.best_of_n import expected_best
from search_spaces import Choice, LogUniform, Uniform
from tests.analysis.made_evidence import TEXT, evidence_of, seeded, spec_of

RETUNED = f"{TEXT}retune: {{runs: 4, over: [optimizer.lr]}}\n"


def test_every_arm_is_tuned_in_the_same_way() -> None:
    def score(design: str, arm: str, pair: int) -> float | None:
        if design != "tuning":
            return seeded(-0.2)(design, arm, pair)
        return None if (arm, pair) == ("treatment", 3) else [0.5, 0.4, 0.3, 0.6][pair]

    control, treatment = tunings(evidence_of(spec_of(RETUNED), score))
    assert [one.value for one in control.tries] == [0.5, 0.4, 0.3, 0.6]
    assert (control.best, control.selection, control.metric) == (2, 0.3, "val/nll")
    assert control.tries[0].point == {"optimizer.lr": 1e-3}  # the arm's own recipe
    assert (control.infeasible, treatment.infeasible) == (0.0, 0.25)
    assert treatment.tries[3].value is None
    assert control.confirmation is not None
    assert (control.epochs, treatment.epochs, control.seconds) == (12, 10, 8.0)
    assert len(control.best_of_n) == 4
    assert control.best_of_n[-1] == pytest.approx(0.3)


def test_a_matched_ablation_has_no_tuning() -> None:
    assert tunings(evidence_of(spec_of(), seeded(0.0))) == ()


def test_positions_and_edges() -> None:
    assert position(LogUniform(1e-4, 1e-2), 1e-3) == pytest.approx(0.5)
    assert position(Uniform(0.0, 2.0), 0.1) == pytest.approx(0.05)
    assert position(LogUniform(1e-4, 1e-2), 1e-5) == pytest.approx(-0.5)
    assert position(LogUniform(1e-4, 1e-2), 0.0) == -np.inf
    assert position(Choice(["a", "b"]), "a") is None
    evidence = evidence_of(spec_of(RETUNED), lambda design, arm, pair: [0.1, 0.2, 0.3, 0.4][pair % 4])
    [control, _] = tunings(evidence)
    assert (control.best, control.edges) == (0, ())  # 1e-3 is at a third of 1e-4 .. 1e-1
    assert control.positions == {"optimizer.lr": pytest.approx(1 / 3)}


@pytest.mark.parametrize("goal", ["maximize", "minimize"])
def test_expected_best_is_the_mean_over_every_subset(goal: str) -> None:
    values = np.random.default_rng(0).normal(size=7)
    best = max if goal == "maximize" else min
    expected = [np.mean([best(subset) for subset in itertools.combinations(values, n)]) for n in range(1, 8)]
    assert expected_best(values, goal) == pytest.approx(expected)  # type: ignore[arg-type]


def test_a_failed_try_counts_as_the_worst() -> None:
    assert expected_best([1.0, np.nan, 3.0], "maximize").tolist() == pytest.approx([5 / 3, 7 / 3, 3.0])
    with pytest.raises(ValueError, match="needs a finite value"):
        expected_best([np.nan], "minimize")
