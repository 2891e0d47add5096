"""Files that are damaged between two drivers: checkpoints, and the journal of records not yet in the database."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import spaces
from kills import Trial, one
from servers import held
from snapshot import Rows, changes, snapshot
from stage import Stage, fault
from verdicts import Rule


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


DAMAGES: dict[str, Callable[[Path], None]] = {
    "truncated": _cut,
    "one bit flipped": _flip,
    "deleted": Path.unlink,
    "emptied": _empty,
}


@fault(
    "checkpoints-damaged",
    "SIGKILL of the driver; then the newest or all checkpoints are truncated, deleted, emptied or get a flipped bit",
    24,
    4,
)
def checkpoints_damaged(stage: Stage) -> None:
    space, rule = spaces.real(*((32, 27, 1) if stage.count > 8 else (12, 27, 2)))
    trial = stage.sweep(space)
    trial.late_s = 3.0
    folder = stage.folder / "toy" / "checkpoints" / "toy"
    while stage.injected < stage.count:
        process = trial.under_way(1)
        if trial.wait(process, stage.rng.uniform(0.5, trial.late_s)):
            break
        trial.look()
        process.kill()
        process.wait()
        files = sorted(folder.glob("*/epoch-*.ckpt"), key=lambda path: (path.parent, path.name))
        if not files:
            continue  # this driver was killed between two runs
        what = list(DAMAGES)[stage.injected % len(DAMAGES)]
        every = stage.injected // len(DAMAGES) % 2 == 1
        chosen = files if every else [path for path in files if path == max(files_of(path.parent))]
        for path in chosen:
            DAMAGES[what](path)
        stage.injected += 1
        trial.deaths[what] += 1
        trial.say(f"{len(chosen)} of {len(files)} checkpoints {what}")
    stage.code(trial.finish(timeout=1800), 0, trial)
    stage.whole(trial, rule, again=4)


def files_of(folder: Path) -> list[Path]:
    """Return the checkpoints of one run."""
    return list(folder.glob("epoch-*.ckpt"))


HEAD = struct.Struct("<I8s")


def records_of(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the end and the payload of each valid record of a journal, without the product's code."""
    at = 0
    while at + HEAD.size <= len(content):
        length, checksum = HEAD.unpack_from(content, at)
        payload = content[at + HEAD.size : at + HEAD.size + length]
        if len(payload) < length or hashlib.blake2b(payload, digest_size=8).digest() != checksum:
            return
        at += HEAD.size + length
        yield at, payload


@fault(
    "journal-truncated",
    "the journal of a killed driver is cut at the end of each record, 1 byte before and after, and at random",
    600,
    60,
)
def journal_truncated(stage: Stage) -> None:
    quick = stage.count <= 100
    # Short runs: each has three records, one of every kind.
    space, rule = spaces.loop(runs=15 if quick else 60, epochs=3, custom="pause: 0.1", checkpoint_every_s=0.1)
    trial = stage.sweep(space)
    process = trial.under_way(7)
    trial.look()
    with held(trial.url):  # the driver can write only to the journal now
        time.sleep(2.0 if quick else 8.0)
        process.kill()
        process.wait()
    trial.look()
    base = stage.folder / "base.db"
    with (
        closing(sqlite3.connect(trial.url.removeprefix("sqlite:///"))) as source,
        closing(sqlite3.connect(base)) as target,
    ):
        source.backup(target)
    before = snapshot(f"sqlite:///{base}")
    journal = stage.folder / "toy" / "checkpoints" / "toy.journal"
    content = journal.read_bytes()
    records = list(records_of(content))
    written = int(one(trial.url, "SELECT written FROM sweep"))
    stage.check(
        "the journal has records that the database does not have",
        [] if len(records) - 1 > written else [f"{len(records)} records"],
        f"{len(records) - 1 - written} of {len(records) - 1} records",
    )
    ends = [0, *(end for end, _ in records)]
    cuts = {cut for end in ends for cut in (end - 1, end, end + 1) if 0 <= cut <= len(content)}
    cuts |= {stage.rng.randint(0, len(content)) for _ in range(stage.count if quick else 200)}
    chosen = sorted(cuts) if not quick else sorted(stage.rng.sample(sorted(cuts), min(len(cuts), stage.count)))
    lives = set(stage.rng.sample(chosen, min(len(chosen), 2 if quick else 6)))
    breaches: list[str] = []
    for cut in chosen:
        breaches += [
            f"cut at {cut}: {breach}" for breach in _cut_at(stage, cut, base, before, content, records, written)
        ]
        stage.injected += 1
        if cut in lives:
            _continued(stage, trial, cut, base, content, rule)
    stage.count = min(stage.count, len(chosen))
    stage.check(
        "every complete record is replayed once, and no part of an incomplete one",
        breaches,
        f"{len(chosen)} cuts of {len(content)} bytes",
    )
    fewer = _cut_at(stage, len(content), base, before, content, records[:-1], written)
    stage.check("a record too many would be found", [] if fewer else ["it was not"])
    journal.write_bytes(content)
    stage.code(trial.finish(), 0, trial, "the command with the whole journal")
    stage.whole(trial, rule, again=2)


def _placed(folder: Path, base: Path, content: bytes, cut: int) -> str:
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "checkpoints").mkdir(parents=True)
    shutil.copy(base, folder / "sweeps.db")
    (folder / "checkpoints" / "toy.journal").write_bytes(content[:cut])
    return f"sqlite:///{folder / 'sweeps.db'}"


def _cut_at(
    stage: Stage,
    cut: int,
    base: Path,
    before: dict[str, Rows],
    content: bytes,
    records: list[tuple[int, bytes]],
    written: int,
) -> list[str]:
    """Replay a cut journal as the next driver does, and compare the rows with its complete records."""
    from sweeps.store.lease import Lease
    from sweeps.store.store import Store
    from sweeps.store.writer import replay_journal

    url = _placed(stage.folder / "cut", base, content, cut)
    with Store(url) as store, Lease(store, "toy") as lease:
        came = replay_journal(store, lease.fence, stage.folder / "cut" / "checkpoints" / "toy.journal")
        again = replay_journal(store, lease.fence, stage.folder / "cut" / "checkpoints" / "toy.journal")
    after = snapshot(url)
    whole = [json.loads(payload) for end, payload in records if end <= cut][
        1:
    ]  # the first one is the header of the file
    wanted = {(number, epoch, name, seq) for number, epoch, name, seq in _rows_of(before)}
    for record in whole:
        if record["kind"] == "StepRecorded":
            for place, report in enumerate(record["reports"]):
                wanted |= {
                    (record["number"], report["epoch"], name, record["first_seq"] + place) for name in report["metrics"]
                }
    found = _rows_of(after)
    breaches = changes(before, after)
    breaches += [f"{row} is missing" for row in sorted(wanted - set(found))] + [
        f"{row} was never complete" for row in sorted(set(found) - wanted)
    ]
    breaches += ["a row twice"] if len(found) != len(set(found)) else []
    expected = max(0, len(whole) - written)
    breaches += [] if came == expected else [f"{came} records were replayed, not {expected}"]
    breaches += [] if again == 0 else [f"{again} records were replayed twice"]
    return breaches


def _rows_of(rows: dict[str, Rows]) -> list[tuple]:
    numbers = {row["id"]: row["number"] for row in rows["run"].values()}
    return [(numbers[row["run_id"]], row["epoch"], row["name"], row["seq"]) for row in rows["epoch_metric"].values()]


def _continued(stage: Stage, trial: Trial, cut: int, base: Path, content: bytes, rule: Rule) -> None:
    """Run the same command with a cut journal: missing epochs are trained again, with equal values."""
    folder = stage.folder / f"life-{cut}"
    url = _placed(folder, base, content, cut)
    shutil.copytree(stage.folder / "toy" / "checkpoints" / "toy", folder / "checkpoints" / "toy")
    arguments = [word if not word.startswith("sqlite") else url for word in trial.command.arguments]
    life = stage.trial(arguments, url)
    life.look()
    stage.code(life.finish(), 0, life, "the command over a cut journal")
    stage.whole(life, rule, again=1)
