"""From written names to names of metrics."""

from __future__ import annotations

import pytest

from search_spaces.errors import UsageError
from search_spaces.metric_names import check_metric_name
from trainers.command.metrics.names import MOST_NAMES, Names, metric_of
from trainers.command.metrics.reading import Remarks


@pytest.mark.parametrize(
    ("written", "metric"),
    [
        ("val/loss", "val/loss"),
        ("Loss/train", "Loss/train"),
        ("eval_loss", "eval/loss"),
        ("train loss", "train/loss"),
        ("Test.Acc", "Test/Acc"),
        ("train_loss_step", "train/loss_step"),
        ("lr", "train/lr"),
        ("value", "train/value"),
        ("1/x", "train/1/x"),
        ("Acc@1", "train/Acc@1"),
    ],
)
def test_a_written_name_becomes_that_of_a_metric(written: str, metric: str) -> None:
    assert metric_of(written) == metric == check_metric_name(metric)


def test_rename_takes_the_written_name_and_the_made_one() -> None:
    names = Names({"eval_loss": "val/loss", "train/acc": "train/accuracy"}, Remarks())
    assert names.apply({"eval_loss": 1, "acc": 2, "lr": 3}) == {"val/loss": 1, "train/accuracy": 2, "train/lr": 3}


def test_a_new_name_must_be_valid() -> None:
    with pytest.raises(UsageError, match=r"rename: 'a': must be split/name.*found 'loss'"):
        Names({"a": "loss", "b": "val/loss"}, Remarks())


def test_what_is_left_out_is_said_once() -> None:
    remarks = Remarks()
    names = Names({}, remarks)
    for _ in range(2):
        assert names.apply({"": 1, "x" * 200: 2, "a\x00b": 3, "loss": 4, "train_loss": 5}) == {"train/loss": 4}
    said = remarks.take()
    assert len(said) == 4
    assert "train/loss has two names on one line; the first one counts: rename 'train_loss'" in said
    names.apply({"": 1})
    assert remarks.take() == []


def test_the_number_of_names_is_bounded() -> None:
    remarks = Remarks()
    names = Names({}, remarks)
    kept = [bool(names.apply({f"x{i}": 1})) for i in range(MOST_NAMES + 5)]
    assert kept == [True] * MOST_NAMES + [False] * 5
    assert names.apply({"x0": 2}) == {"train/x0": 2}
    assert f"more than {MOST_NAMES} names" in remarks.take()[0]
