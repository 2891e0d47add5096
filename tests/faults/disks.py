"""Disks that are full for a while: of the database, of the checkpoints, of the journal.

A small tmpfs replaces each of them, and a file of zeros fills it. Mounting a tmpfs needs root, or a user namespace:
`unshare --user --map-root-user --mount python tests/faults/run.py disk-database`.
"""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import spaces
from kills import Trial, one, recorded, until
from stage import Stage, fault
from verdicts import Rule

FULL_S, QUICK_S = 15.0, 6.0
PAUSE_S = 0.3


class SmallDisk:
    """A file system of a few megabytes, mounted on a new folder.

    Raises:
        RuntimeError: It cannot be mounted on this machine.
    """

    def __init__(self, stage: Stage, at: Path, megabytes: int = 8) -> None:
        at.mkdir(parents=True)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(at)]
        done = subprocess.run(mount, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{done.stderr.strip()}: run it as root, or with unshare --user --map-root-user --mount")
        stage.stack.callback(subprocess.run, ["umount", "--lazy", str(at)])
        self._ballast = at / ".ballast"

    def fill_for(self, seconds: float) -> None:
        """Keep the disk full, also when other files are deleted meanwhile."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.fill()
            time.sleep(0.02)

    def fill(self) -> None:
        """Fill the free space."""
        file = os.open(self._ballast, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for size in (2**20, 2**12, 1):
            try:
                while os.write(file, bytes(size)) == size:
                    pass
            except OSError:
                continue
        os.close(file)

    def free(self) -> None:
        """Free the space again."""
        self._ballast.unlink(missing_ok=True)


def _under_way(stage: Stage, full_s: float) -> tuple[Trial, Rule, Path]:
    """Return a sweep that takes longer than its disk is full, its rule, and its folder."""
    space, rule = spaces.loop(
        runs=max(6, int(stage.count * (full_s + 4) * 1.5 / (9 * PAUSE_S))), custom=f"pause: {PAUSE_S}"
    )
    return stage.sweep(space), rule, stage.folder / "toy"


def _full_for_a_while(stage: Stage, trial: Trial, rule: Rule, disk: SmallDisk, full_s: float) -> None:
    stage.how = f", for {full_s:.0f} s each time"
    process = trial.command.start()
    # The first run is the best one, so its weights exist even if those of others cannot be written.
    until(lambda: recorded(trial.url) > rule.epochs + 2, 60, "the first run ends")
    while stage.injected < stage.count:
        trial.wait_for_epochs(process, recorded(trial.url) + stage.rng.randint(2, 6))
        trial.look()
        before = recorded(trial.url)
        disk.fill_for(full_s)
        full = recorded(trial.url) - before
        stage.check("the driver continues while its disk is full", [] if process.poll() is None else [trial.tail()])
        disk.free()
        trial.wait_for_epochs(process, before + int(full_s / PAUSE_S / 2))
        trial.look()
        stage.injected += 1
        trial.deaths["disk full"] += 1
        back = recorded(trial.url) - before
        trial.say(f"full for {full_s:.0f} s: {full} epochs recorded meanwhile, {back} a moment later")
    stage.code(trial.finish(process), 0, trial)
    stage.same("attempts at most", one(trial.url, "SELECT max(attempts) FROM run"), 1)
    stage.whole(trial, rule, again=1)


@fault("disk-database", "the disk of the database is full for a while: a tmpfs and a file that fills it", 2, 1)
def disk_database(stage: Stage) -> None:
    full_s = FULL_S if stage.count > 1 else QUICK_S
    trial, rule, folder = _under_way(stage, full_s)
    disk = SmallDisk(stage, folder)
    (stage.folder / "elsewhere").mkdir()
    (folder / "checkpoints").symlink_to(stage.folder / "elsewhere")
    _full_for_a_while(stage, trial, rule, disk, full_s)
    stage.says(trial, "database unreachable for", "records waiting")


@fault("disk-checkpoints", "the disk of the checkpoints is full for a while: a tmpfs and a file that fills it", 2, 1)
def disk_checkpoints(stage: Stage) -> None:
    full_s = FULL_S if stage.count > 1 else QUICK_S
    trial, rule, folder = _under_way(stage, full_s)
    disk = SmallDisk(stage, folder / "checkpoints" / "toy")
    _full_for_a_while(stage, trial, rule, disk, full_s)
    stage.says(trial, "not written: No space left on device")


@fault("disk-journal", "the disk of the journal is full until the driver ends: a tmpfs and a file that fills it", 3, 2)
def disk_journal(stage: Stage) -> None:
    trial, rule, folder = _under_way(stage, 4.0)
    disk = SmallDisk(stage, folder / "checkpoints", megabytes=2)
    (stage.folder / "elsewhere").mkdir()
    (folder / "checkpoints" / "toy").symlink_to(stage.folder / "elsewhere")
    while stage.injected < stage.count:
        process = trial.under_way(stage.rng.randint(2, 6))
        trial.look()
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            disk.fill_for(0.1)
        stage.code(trial.finish(process, 1), 1, trial, "a command whose journal is full")
        stage.injected += 1
        trial.deaths["journal full"] += 1
        trial.say(trial.tail())
        stage.nothing_runs(trial, "a journal that was full")
        stage.no_process_left()
        code = trial.finish(timeout=60)  # the disk is still full
        stage.code(code, 1, trial, "the same command while the disk is still full")
        disk.free()
    stage.code(trial.finish(), 0, trial)
    stage.says(trial, "No space left on device")
    stage.whole(trial, rule)
