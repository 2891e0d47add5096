"""One pass over a file finds every problem, also those between parts, and none that follows from another one."""

from __future__ import annotations

import pytest

from search_spaces import SpecError, parse_space

VALID = """\
kind: sweep
task: mnist1d
metric: {name: val/accuracy, goal: maximize}
recipe:
  optimizer: {kind: sgd, lr: 0.1}
  budget: {epochs: 4, batch_size: 32}
search:
  optimizer.lr: {choice: [0.1, 0.2]}
  optimizer.momentum: {choice: [0.5, 0.9]}
  regularization.clip_norm: {choice: [1.0], when: {optimizer.momentum: 0.9}}
constraints:
  - budget.batch_size <= 64
  - optimizer.lr < 0.3
starts:
  - {optimizer.lr: 0.2}
  - {optimizer.momentum: 0.9, regularization.clip_norm: 1.0}
sampler: {kind: grid}
runs: 5
"""


def problems(*changes: tuple[str, str]) -> list[str]:
    """Return the place and the field of each problem of the space with some changes."""
    text = VALID
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    with pytest.raises(SpecError) as raised:
        parse_space(text, "f.yaml", "mine")
    return [":".join(str(problem).split(":")[1:3]).replace(" ", "") for problem in raised.value.problems]


BAD_METRIC, BAD_GOAL = ("val/accuracy", "val/f1"), ("maximize", "up")
BAD_RANGE = ("choice: [0.1, 0.2]", "choice: [0.1, -2]")
BAD_BATCH = ("batch_size: 32", "batch_size: none")
BROKEN_CONSTRAINT, UNREADABLE_CONSTRAINT = ("<= 64", "<= 8"), ("<= 64", "<=")
BAD_START, TOO_MANY = ("{optimizer.lr: 0.2}", "{optimizer.lr: 0.7}"), ("runs: 5", "runs: 50")


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ([BAD_METRIC], ["3:metric.name"]),
        ([BAD_METRIC, BROKEN_CONSTRAINT], ["3:metric.name", "12:constraints.0"]),
        ([BAD_METRIC, TOO_MANY], ["3:metric.name", "18:runs"]),
        ([BROKEN_CONSTRAINT, BAD_START], ["12:constraints.0", "15:starts.0"]),
        ([BAD_GOAL, BROKEN_CONSTRAINT, BAD_START], ["3:metric.goal", "12:constraints.0", "15:starts.0"]),
        ([UNREADABLE_CONSTRAINT, BAD_START], ["12:constraints.0", "15:starts.0"]),
        ([UNREADABLE_CONSTRAINT, ("< 0.3", "< 0.05")], ["12:constraints.0", "13:constraints.1"]),
        ([("starts:\n", "starts:\n  - 3\n"), BAD_START], ["15:starts.0", "16:starts.1"]),
        ([("runs: 5", "runs: 0"), BROKEN_CONSTRAINT], ["12:constraints.0", "18:runs"]),
        ([("runs: 5", "runs: 0"), ("[0.5, 0.9]", "[0.5, 1.5]"), BAD_METRIC], ["3:metric.name", "9:search", "18:runs"]),
        # The rest of these follows from the one problem, which alone is reported.
        ([BAD_RANGE], ["8:search"]),
        ([BAD_RANGE, TOO_MANY], ["8:search"]),
        ([BAD_BATCH, BROKEN_CONSTRAINT], ["6:recipe.budget.batch_size"]),
        ([("kind: sgd", "kind: sdg")], ["5:recipe.optimizer.kind"]),
        ([("task: mnist1d", "task: mnist2d"), BAD_METRIC], ["2:task"]),
    ],
)
def test_problems_are_found_together(changes: list[tuple[str, str]], found: list[str]) -> None:
    places = problems(*changes)
    assert len(places) == len(found)
    assert all(place.startswith(start) for place, start in zip(places, found, strict=True))


def test_the_space_itself_is_valid() -> None:
    assert parse_space(VALID, "f.yaml", "mine").runs == 5


@pytest.mark.parametrize(
    ("metric", "averaging", "reported"),
    [
        (
            "val/accuracyy",
            "{kind: none}",
            "did you mean val/accuracy? valid: val/nll, val/accuracy, val/brier, val/ece",
        ),
        ("val/nll@ema", "{kind: none}", "did you mean val/nll? valid: val/nll, val/accuracy, val/brier, val/ece"),
        ("val/nll@swa", "{kind: swa}", "did you mean val/nll? valid: val/nll, val/accuracy, val/brier, val/ece"),
        ("val/nll@ema", "{kind: ema}", None),
        ("val/nll@swa", "{kind: swa, last: 1}", None),
    ],
)
def test_metrics_of_builtin_tasks(metric: str, averaging: str, reported: str | None) -> None:
    text = VALID.replace("val/accuracy", metric).replace("search:", f"  averaging: {averaging}\nsearch:", 1)
    if reported is None:
        assert parse_space(text, "f.yaml", "mine").metric.name == metric
        return
    with pytest.raises(SpecError) as raised:
        parse_space(text, "f.yaml", "mine")
    rule = f"the task does not report {metric} in every epoch"
    assert str(raised.value) == f"f.yaml:3: metric.name: {rule}; {reported}"


def test_a_metric_that_one_alternative_does_not_report() -> None:
    text = VALID.replace("val/accuracy", "val/nll@ema").replace("sampler: {kind: grid}", "sampler: {kind: random}")
    text = text.replace(
        "search:", "  averaging: {kind: ema}\nsearch:\n  averaging: {one_of: [{kind: ema}, {kind: none}]}"
    )
    with pytest.raises(SpecError, match=r"f.yaml:3: metric.name: the task does not report val/nll@ema in every epoch"):
        parse_space(text, "f.yaml", "mine")


def test_the_metric_of_a_builtin_loop() -> None:
    text = VALID.replace("mnist1d", "cartpole")
    with pytest.raises(SpecError, match=r"metric.name: the task does not report val/accuracy .*; valid: val/return"):
        parse_space(text, "f.yaml", "mine")
    assert parse_space(text.replace("val/accuracy", "val/return"), "f.yaml", "mine").task == "cartpole"


def test_the_metrics_of_a_task_of_the_user_are_unknown_here() -> None:
    text = VALID.replace("mnist1d", "mine:Task").replace("val/accuracy", "val/f1")
    assert parse_space(text, "f.yaml", "mine").metric.name == "val/f1"
