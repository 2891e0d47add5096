from __future__ import annotations

import json
import math
import os
import resource
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces import SweepError
from sweeps.run_state import RunState
from sweeps.store.events import Event, RunAdded, RunBegun, RunsInterrupted, StepRecorded, WeightsKept, decode, encode
from sweeps.store.journal import Journal, read_journal
from sweeps.store.records import RunOutcome
from trainers.reports import EpochReport, Predictions
from trainers.usage import Usage

AUTHOR = "host:1:1.00:ab"
NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
RECORDS = [b"one", b"", b'{"two": 2}' * 50, os.urandom(300)]
RECORDS[1] = b"\0"


def filled(path: Path) -> Journal:
    journal = Journal(path, AUTHOR)
    for record in RECORDS:
        journal.append(record)
    return journal


def test_records_come_back_in_order(tmp_path: Path) -> None:
    assert read_journal(tmp_path / "s") is None
    journal = filled(tmp_path / "deep" / "s")
    journal.sync()
    left = read_journal(tmp_path / "deep" / "s")
    assert left is not None
    assert (left.author, left.first, left.payloads) == (AUTHOR, 0, RECORDS)
    journal.close(remove=True)
    assert list((tmp_path / "deep").iterdir()) == []


def test_records_of_an_earlier_release_are_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "toy.spool").write_bytes(b"records")
    line = r"toy\.spool: records of an earlier release wait here .*; run the same command with that release first$"
    with pytest.raises(SweepError, match=line):
        read_journal(tmp_path / "toy.journal")
    assert [path.name for path in tmp_path.iterdir()] == ["toy.spool"]


def test_truncated_at_every_byte(tmp_path: Path) -> None:
    path = tmp_path / "s"
    journal = filled(path)
    whole, ends = path.read_bytes(), []
    journal.clear(0)
    ends = [journal.size]
    for record in RECORDS:
        journal.append(record)
        ends.append(journal.size)
    assert path.read_bytes() == whole
    journal.close(remove=False)
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        left = read_journal(path)
        there = sum(end <= length for end in ends)
        assert (None if left is None else list(left.payloads)) == (RECORDS[: there - 1] if there else None)


def test_a_byte_flipped_anywhere_ends_the_file_there(tmp_path: Path) -> None:
    path = tmp_path / "s"
    filled(path).close(remove=False)
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        left = read_journal(path)
        assert left is None or left.payloads == RECORDS[: len(left.payloads)]
        assert left is None or len(left.payloads) < len(RECORDS)


def test_zeros_that_a_power_cut_leaves_are_no_records(tmp_path: Path) -> None:
    path = tmp_path / "s"
    filled(path).close(remove=False)
    path.write_bytes(path.read_bytes() + bytes(5000))
    left = read_journal(path)
    assert left is not None
    assert left.payloads == RECORDS


def test_begins_anew_when_all_is_written(tmp_path: Path) -> None:
    journal = filled(tmp_path / "s")
    journal.clear(4)
    journal.append(b"five")
    left = read_journal(tmp_path / "s")
    assert left is not None
    assert (left.first, left.payloads) == (4, [b"five"])


def test_a_new_file_takes_the_place_of_the_old_one_which_does_not_come_back(tmp_path: Path) -> None:
    old = filled(tmp_path / "s")
    new = Journal(tmp_path / "s", "other:1:1.00:cd")
    old.append(b"of a driver that woke up too late")
    old.close(remove=True)
    left = read_journal(tmp_path / "s")
    assert left is not None
    assert (left.author, left.payloads) == ("other:1:1.00:cd", [])
    new.close(remove=True)


def test_a_full_disk_takes_all_of_a_record_or_nothing(tmp_path: Path) -> None:
    journal = filled(tmp_path / "s")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (journal.size + 100, before[1]))
    try:
        with pytest.raises(SweepError, match=r"cannot be written .*; the same command continues"):
            journal.append(bytes(1000))
        journal.append(b"a small one")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    left = read_journal(tmp_path / "s")
    assert left is not None
    assert left.payloads == [*RECORDS, b"a small one"]


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SweepError, match="cannot be created"):
        Journal(tmp_path / "file" / "s", AUTHOR)
    with pytest.raises(SweepError, match="cannot be read"):
        read_journal(tmp_path)


def test_another_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path / "s").close(remove=False)
    monkeypatch.setattr("sweeps.store.journal.FORMAT", 2)
    with pytest.raises(SweepError, match="another release"):
        read_journal(tmp_path / "s")


# --- events ----------------------------------------------------------------------------------------------------

ENTRIES: list[Event] = [
    RunAdded(3, {"optimizer": {"lr": 1e-5, "betas": [0.9, 0.999]}}, "hash", 2**63 - 1, "arm", 2, "matched"),
    RunBegun(3, 2, NOW, "trial"),
    RunBegun(3, 1, NOW),
    StepRecorded(3, (), 7, RunOutcome(RunState.FAILED, None, "Traceback: ü \udc80"), NOW),
    StepRecorded(3, (), 7, RunOutcome(RunState.RUNNING, 0.1), NOW, {"data": "ab"}),
    StepRecorded(
        3, (), 7, RunOutcome(RunState.RUNNING), NOW, attempt=2, usage=Usage("H100", 0.5, 1.5, 2.5, 2**40, 9, 3.5)
    ),
    WeightsKept(3, "/c/final.ckpt"),
    WeightsKept(None, None),
    RunsInterrupted(),
]


def test_a_step_of_an_earlier_release_has_no_usage() -> None:
    values = json.loads(encode(StepRecorded(3, (), 7, RunOutcome(RunState.RUNNING), NOW)))
    del values["usage"], values["attempt"]
    assert decode(json.dumps(values).encode()) == StepRecorded(3, (), 7, RunOutcome(RunState.RUNNING), NOW)


@pytest.mark.parametrize("event", ENTRIES, ids=lambda event: type(event).__name__)
def test_entries_come_back(event: Event) -> None:
    assert decode(encode(event)) == event


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=20), st.floats(), max_size=5), st.floats(0, 1e9))
def test_numbers_come_back_bit_by_bit(metrics: dict[str, float], seconds: float) -> None:
    event = StepRecorded(0, (EpochReport(1, metrics, seconds),), 0, RunOutcome(RunState.RUNNING), NOW)
    again = decode(encode(event))
    assert isinstance(again, StepRecorded)
    found = again.reports[0].metrics
    assert list(found) == list(metrics)
    for name, value in metrics.items():
        assert found[name] == value or (math.isnan(found[name]) and math.isnan(value))
        assert math.copysign(1, found[name]) == math.copysign(1, value) or math.isnan(value)
    assert again.reports[0].seconds == seconds


def test_arrays_come_back_byte_by_byte() -> None:
    rng = np.random.default_rng(0)
    part = Predictions(
        "test",
        "ema",
        label=rng.integers(0, 10, 50).astype(np.int32),
        predicted=rng.integers(0, 10, 50).astype(">i4"),  # type: ignore[arg-type]  # any byte order comes in
        confidence=rng.random(50).astype(np.float32),
        nll=np.array([np.nan, np.inf, *rng.random(48)], dtype=np.float32),
    )
    report = EpochReport(1, {"val/accuracy": np.float32(0.5)}, 0.1, (part,))  # type: ignore[dict-item]
    again = decode(encode(StepRecorded(0, (report,), 0, RunOutcome(RunState.COMPLETE), NOW)))
    assert isinstance(again, StepRecorded)
    [found] = again.reports[0].predictions
    assert (found.split, found.weights) == ("test", "ema")
    for name in ("label", "predicted", "confidence", "nll"):
        np.testing.assert_array_equal(getattr(found, name), getattr(part, name))


@pytest.mark.parametrize(
    "payload", [b'{"kind": "Nothing"}', b'{"kind": "RunBegun", "other": 1}', b'{"kind": "RunBegun", "at": 3}']
)
def test_entries_of_another_release_are_refused(payload: bytes) -> None:
    with pytest.raises(SweepError, match="another release"):
        decode(payload)
