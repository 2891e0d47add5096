"""Runs are compared after the same number of epochs, and never only those that were not stopped."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from analysis.sweep.fidelity import comparable_scores
from search_spaces import Asha
from sweeps.run_state import RunState
from tests.analysis.made_sweeps import made_sweep, peak, spec_of

ASHA = Asha(grace_epochs=1, reduction_factor=3)


def test_survivors_are_not_compared_with_survivors() -> None:
    """More than twenty runs reach the second rung, but the scores at the first rung selected them."""
    evidence = made_sweep(peak(0.6), spec_of(early_stopping=ASHA, runs=64))
    assert len(evidence.at(3)) >= 20
    found = comparable_scores(evidence)
    assert found is not None
    assert (found.epoch, len(found.scores), found.lost) == (1, 64, 0)
    assert found.words == "after epoch 1, which 64 of 64 runs reached"


def test_without_stopped_runs_the_final_scores_are_compared() -> None:
    whole = comparable_scores(made_sweep(peak()))
    assert whole is not None
    assert (whole.epoch, len(whole.scores)) == (20, 40)
    assert comparable_scores(made_sweep(peak(), spec_of(runs=5))) is None


def test_a_later_rung_is_compared_if_no_run_was_stopped_before() -> None:
    """ASHA continues runs with equal values."""
    evidence = made_sweep(lambda places, share, rng: 0.5, spec_of(early_stopping=ASHA))
    found = comparable_scores(evidence)
    assert found is not None
    assert found.epoch == 20


@pytest.mark.parametrize("stopping", [{}, {"early_stopping": ASHA}])
def test_runs_that_diverged_or_failed_before_are_as_bad_as_the_worst(stopping: Mapping[str, Asha]) -> None:
    evidence = made_sweep(peak(), spec_of(**stopping), states={3: RunState.DIVERGED, 4: RunState.FAILED})
    none = {number: replace(evidence.runs[number], curve={}, epoch=0) for number in (3, 4)}
    evidence = replace(evidence, runs=tuple(none.get(run.number, run) for run in evidence.runs))
    found = comparable_scores(evidence)
    assert found is not None
    assert found.scores[3] == found.scores[4] == min(found.scores.values())
    assert (len(found.scores), found.lost) == (40, 2)
    assert "38 of 40 runs reached (2 diverged or failed before, counted as the worst)" in found.words


def test_a_run_that_failed_later_has_its_own_score() -> None:
    evidence = made_sweep(peak(), spec_of(early_stopping=ASHA), states={4: RunState.FAILED})
    found = comparable_scores(evidence)
    assert found is not None
    assert (found.epoch, found.lost) == (1, 0)
    assert found.scores[4] == evidence.runs[4].curve[1]


def test_a_run_without_a_report_at_a_rung_has_the_value_of_its_next_report() -> None:
    """As for ASHA: the first report at the rung or after it, but before the next rung."""
    evidence = made_sweep(peak(), spec_of(early_stopping=ASHA, runs=3))
    curves = {0: {2: 0.1, 4: 0.2, 20: 0.3}, 1: {1: 0.4, 2: 0.5}, 2: {4: 0.6}}
    states = {0: RunState.COMPLETE, 1: RunState.STOPPED, 2: RunState.STOPPED}
    runs = tuple(
        replace(run, curve=curves[run.number], epoch=max(curves[run.number]), state=states[run.number])
        for run in evidence.runs
    )
    some = replace(evidence, runs=runs)
    assert some.at(1) == {0: 0.1, 1: 0.4}
    assert some.at(3) == {0: 0.2, 2: 0.6}
    assert some.at(9) == {}
    assert some.at(20) == {0: 0.3}


def test_a_complete_run_that_its_patience_ended_keeps_its_last_value() -> None:
    evidence = made_sweep(peak(), spec_of(runs=10))
    first = replace(evidence.runs[0], curve={1: 0.1, 2: 0.3}, epoch=2, value=0.3)
    found = comparable_scores(replace(evidence, runs=(first, *evidence.runs[1:])))
    assert found is not None
    assert (found.epoch, found.scores[0], len(found.scores)) == (20, 0.3, 10)
