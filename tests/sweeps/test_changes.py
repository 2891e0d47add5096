from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from sweeps.changes import Change, Difference, TrainedWith, differences, recorded_changes

BEFORE = TrainedWith(
    packages={"torch": "2.3.0", "numpy": "2.0.0", "sweeps": "0.1.0 (code 1a)"},
    sources={"mine": "aa", "mine.helper": "bb"},
    data={"train": "11", "val": "22", "test": "33"},
)


def test_nothing_differs() -> None:
    assert differences(BEFORE, BEFORE) == ()


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"sources": {"mine": "aa", "mine.helper": "cc"}}, "module mine.helper has changed"),
        ({"sources": {"mine": "aa"}}, "module mine.helper is gone"),
        ({"sources": {**BEFORE.sources, "fast": "dd"}}, "module fast is new"),
        ({"data": {**BEFORE.data, "val": "44"}}, "the val data has changed"),
        ({"packages": {**BEFORE.packages, "torch": "2.4.0"}}, "package torch was 2.3.0 and is 2.4.0"),
        ({"packages": {**BEFORE.packages, "numpy": "2.1.0"}}, "package numpy was 2.0.0 and is 2.1.0"),
    ],
)
def test_each_difference_has_its_line(changed: dict[str, dict[str, str]], text: str) -> None:
    assert differences(BEFORE, TrainedWith(**(asdict(BEFORE) | changed))) == (Difference(text),)


def test_all_differences_are_named_at_once() -> None:
    after = TrainedWith({"torch": "3"}, {"mine": "zz", "mine.helper": "yy"}, {"test": "99"})
    assert [one.text for one in differences(BEFORE, after)] == [
        "module mine has changed",
        "module mine.helper has changed",
        "the test data has changed",
        "package torch was 2.3.0 and is 3",
    ]


def test_another_version_of_this_project_is_recorded_but_not_refused() -> None:
    after = TrainedWith(packages={**BEFORE.packages, "sweeps": "0.2.0 (code 2b)"})
    text = "package sweeps was 0.1.0 (code 1a) and is 0.2.0 (code 2b)"
    assert differences(BEFORE, after) == (Difference(text, refused=False),)


@pytest.mark.parametrize("unknown", ["packages", "sources", "data"])
def test_unknown_is_not_different(unknown: str) -> None:
    lacking = TrainedWith(**(asdict(BEFORE) | {unknown: {}}))
    assert differences(lacking, BEFORE) == ()
    assert differences(BEFORE, lacking) == ()
    assert lacking.filled_from(BEFORE) == BEFORE


def test_the_last_release_recorded_versions_only() -> None:
    recorded = TrainedWith.recorded({"packages": {"torch": "2.3.0", "optuna": "4", "sweeps": "0.1.0"}, "python": "3"})
    assert recorded == TrainedWith(packages={"torch": "2.3.0"})
    assert TrainedWith.recorded({}) == TrainedWith()
    assert TrainedWith.recorded({"packages": {"torch": "1"}, "trained_with": asdict(BEFORE)}) == BEFORE


def test_changes_are_read_back_with_their_time() -> None:
    changes = [Change("module mine has changed", "2026-01-02T03:04:05+00:00", runs) for runs in (0, 1, 3)]
    read = recorded_changes({"changes": [asdict(change) for change in changes]})
    assert read == tuple(changes)
    assert [str(change) for change in read] == [
        "module mine has changed (2026-01-02 03:04 UTC, before the first run)",
        "module mine has changed (2026-01-02 03:04 UTC, after 1 run)",
        "module mine has changed (2026-01-02 03:04 UTC, after 3 runs)",
    ]
    assert recorded_changes({"python": "3"}) == ()


@pytest.mark.parametrize("build", ["", "+cpu", "+cu126"])
def test_builds_of_a_version_do_not_differ(build: str) -> None:
    other = replace(BEFORE, packages={**BEFORE.packages, "torch": f"2.3.0{build}"})
    assert differences(BEFORE, other) == differences(other, BEFORE) == ()
