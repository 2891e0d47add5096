"""Kill the driver (or its workers) of one sweep at random, again and again, and check that nothing was lost.

    python benchmarks/kill_trials.py --kills 20
    python benchmarks/kill_trials.py --kills 20 --target both --seed 3
    python benchmarks/kill_trials.py --kills 40 --local

Every kill is a SIGKILL at a random moment of a started command's life; the same command follows. About a third of the
moments lie before the first report of a life, the others after epochs of that life were recorded. Around each kill,
every recorded row is compared with what was there before. The space gets longer epochs (small batches) and more
frequent checkpoints, so that its training, and with it its stopping, lasts for all the kills. Exit code 1 on a breach
of any invariant.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import secrets
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from kill_checks import Rows, Rule, Verdict, changes, read_only, snapshot, verdicts
from sqlalchemy import text

SWEEPS = str(Path(sys.executable).with_name("sweeps"))
MARK = "SWEEPS_KILL_TRIAL"  # an environment variable that every process of the sweep inherits
# Two agents of Ray look for the GCS of a driver that was killed for a minute before they end; idle, but there.
PATIENCE_S = 90
EARLY = 0.35  # share of the driver's deaths before its life has recorded anything


@dataclass
class Command:
    """The command that is repeated, and the processes that it leaves.

    Attributes:
        arguments: After `sweeps`.
        folder: Where it is started.
        log: Takes what it prints.
        environment: On top of this process's own.
    """

    arguments: list[str]
    folder: Path
    log: Path
    environment: dict[str, str] = field(default_factory=dict)
    mark: str = field(default_factory=lambda: secrets.token_hex(8))
    seen: set[psutil.Process] = field(default_factory=set)

    def start(self) -> subprocess.Popen[bytes]:
        """Start it in a process group of its own."""
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [SWEEPS, *self.arguments],
                cwd=self.folder,
                env={**os.environ, **self.environment, MARK: self.mark},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def processes(self) -> list[psutil.Process]:
        """Every living process that one of the lives started, as far as it was seen with its mark or its parent."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get(MARK) == self.mark:
                    self.seen.add(process)
                    # A Ray worker gives itself a title, which overwrites the environment that others can read.
                    self.seen.update(process.children(recursive=True))
        return [process for process in self.seen if _lives(process)]

    def workers(self) -> list[psutil.Process]:
        """The processes of Ray actors that train."""
        found = []
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                title = process.cmdline()[:1]  # ray::ResourceTrainable.train while it trains
                if title and title[0].startswith("ray::") and "Trainable" in title[0]:
                    found.append(process)
        return found


def _lives(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def recorded(url: str) -> int:
    """How many epoch reports there are; 0 while there is no database."""
    try:
        with read_only(url).connect() as connection:
            query = "SELECT count(*) FROM (SELECT DISTINCT run_id, epoch FROM epoch_metric) AS reports"
            return connection.execute(text(query)).scalar_one()
    except Exception:  # noqa: BLE001  no file or no table yet, or a server that starts
        return 0


@dataclass
class Trial:
    """One sweep that is killed.

    Attributes:
        command: What is repeated.
        url: Its database.
        rng: Of the moments.
        breaches: Rows that disappeared or changed.
    """

    command: Command
    url: str
    rng: random.Random
    late_s: float = 2.5
    start_up_s: float = 8.0
    breaches: list[str] = field(default_factory=list)
    deaths: Counter[str] = field(default_factory=Counter)
    last: dict[str, Rows] = field(default_factory=dict)

    def look(self) -> None:
        """Compare every row with the last look."""
        now = snapshot(self.url)
        self.breaches += changes(self.last, now)
        self.last = now

    def kill_driver(self) -> bool:
        """One life of the driver and its sudden end; False when the sweep was over before."""
        began = time.monotonic()
        before = recorded(self.url)
        process = self.command.start()
        if self.rng.random() < EARLY:
            over = self._wait(process, self.rng.uniform(0.2, self.start_up_s))
        else:
            over = self._until_recorded(process, before) or self._wait(process, self.rng.uniform(0.0, self.late_s))
        if over:
            return False
        self.look()  # what any reader has seen until now must survive
        self.command.processes()  # remembers those that might outlive their driver
        process.kill()
        process.wait()
        new = recorded(self.url) - before
        self.look()
        what = "driver, before its first report" if new == 0 else "driver, while it recorded epochs"
        self.deaths[what] += 1
        self._say(f"killed the driver after {time.monotonic() - began:.1f} s and {new} new epochs")
        return True

    def kill_worker(self, process: subprocess.Popen[bytes]) -> bool:
        """The sudden end of one worker of a living driver; False when the sweep was over before."""
        if self._until_recorded(process, recorded(self.url)) or self._wait(process, self.rng.uniform(0.0, self.late_s)):
            return False
        workers = self.command.workers()
        if not workers:
            return process.poll() is None and self.kill_worker(process)
        victim = self.rng.choice(workers)
        self.look()
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.kill()
        self.look()
        self.deaths["worker"] += 1
        self._say(f"killed worker {victim.pid}, one of {len(workers)}")
        return True

    def finish(self, process: subprocess.Popen[bytes] | None = None, timeout: float = 600) -> int:
        """Let the command come to its end."""
        process = process or self.command.start()
        deadline = time.monotonic() + timeout
        while not self._wait(process, 1.0):
            self.command.processes()
            if time.monotonic() > deadline:
                process.kill()
                raise TimeoutError(f"the last command did not end within {timeout:.0f} s: see {self.command.log}")
        code = process.returncode
        self.look()
        return code

    def left_behind(self, patience: float = PATIENCE_S) -> list[str]:
        """Processes of the sweep that live on after its end."""
        deadline = time.monotonic() + patience
        while (left := self.command.processes()) and time.monotonic() < deadline:
            time.sleep(0.2)
        found = []
        for process in left:
            with contextlib.suppress(psutil.Error):
                found.append(f"{process.pid} {' '.join(process.cmdline())[:100]}")
        return found

    def _until_recorded(self, process: subprocess.Popen[bytes], before: int) -> bool:
        """Wait for new epochs; True when the command ended instead."""
        while recorded(self.url) <= before:
            if self._wait(process, 0.05):
                return True
        return False

    def _wait(self, process: subprocess.Popen[bytes], seconds: float) -> bool:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            return True
        return False

    def _say(self, what: str) -> None:
        states = Counter(str(row["state"]).lower() for row in self.last.get("run", {}).values())
        print(
            f"{sum(self.deaths.values()):3d}  {what}; recorded: {recorded(self.url)} epochs, "
            + (", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "no runs"),
            flush=True,
        )


def retrained(url: str, name: str, count: int) -> Verdict:
    """Train the runs that were interrupted most once more, in one go, and compare every recorded number."""
    import torch

    from search_spaces import Recipe
    from trainers.open import open_training

    torch.set_num_threads(1)
    verdict = Verdict("runs continued from checkpoints have the very numbers of an uninterrupted training")
    rows = snapshot(url)
    [sweep] = [row for row in rows["sweep"].values() if row["name"] == name]
    task = next(line.split(":", 1)[1].strip() for line in sweep["spec_yaml"].splitlines() if line.startswith("task:"))
    runs = [row for row in rows["run"].values() if row["sweep_id"] == sweep["id"] and row["state"] != "FAILED"]
    for run in sorted(runs, key=lambda row: (-row["attempts"], -row["epoch"]))[:count]:
        metrics = {key[1:]: row["value"] for key, row in rows["epoch_metric"].items() if key[0] == run["id"]}
        training = open_training(task, Recipe.model_validate_json(run["recipe"]), run["seed"])
        for _ in range(run["epoch"]):
            report = training.run_epoch()
            for metric, value in report.metrics.items():
                kept = metrics.get((report.epoch, metric))
                if "second" not in metric and kept != value and not (kept is None and value != value):
                    verdict.breaches.append(f"run {run['number']} epoch {report.epoch} {metric}: {kept} is {value}")
        verdict.note += f"{', ' if verdict.note else ''}run {run['number']}: {run['attempts']} attempts"
    return verdict


def write_space(path: Path, options: argparse.Namespace) -> None:
    """The space with more epochs and more checkpoints."""
    path.write_text(
        f"kind: sweep\nextends: {options.space}\nruns: {options.runs}\n"
        f"recipe:\n  budget: {{epochs: {options.epochs}, batch_size: {options.batch_size}}}\n"
        f"checkpoint_every_s: {options.checkpoint_every}\n"
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--space", default="finetune")
    parser.add_argument("--storage", help="database URL; default: a fresh SQLite file")
    parser.add_argument("--target", choices=("driver", "worker", "both"), default="driver")
    parser.add_argument("--local", action="store_true", help="the in-process runner instead of Ray")
    parser.add_argument("--runs", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=27, help="of a full run")
    parser.add_argument("--batch-size", type=int, default=2, help="small batches make long epochs")
    parser.add_argument("--checkpoint-every", type=float, default=0.5, help="seconds of training")
    parser.add_argument("--retrain", type=int, default=3, help="runs that are trained once more at the end")
    options = parser.parse_args()
    if options.local and options.target != "driver":
        parser.error("--local has no workers to kill")
    return options


def main() -> int:
    options = parse()
    folder = Path(tempfile.mkdtemp(prefix="kill-trials-"))
    url = options.storage or f"sqlite:///{folder / 'sweeps.db'}"
    space = folder / "killed.yaml"
    write_space(space, options)
    arguments = ["run", str(space), "--storage", url, *(["--local"] if options.local else [])]
    command = Command(arguments, folder, folder / "log.txt")
    start_up = 3.0 if options.local else 10.0
    trial = Trial(command, url, random.Random(options.seed), start_up_s=start_up)
    print(f"sweeps {' '.join(arguments)}", flush=True)
    began = time.monotonic()
    try:
        code = _kill_all(trial, options)
        left = trial.left_behind()
    finally:
        for process in command.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()
    rule = Rule.asha(options.runs, options.epochs)
    kills = sum(trial.deaths.values())
    judged = [
        Verdict(
            f"{options.kills} kills fell into the one sweep",
            []
            if kills == options.kills
            else [f"it was over after {kills}: make it longer, with a smaller --batch-size"],
            ", ".join(f"{count} {what}" for what, count in sorted(trial.deaths.items())),
        ),
        Verdict("the last command ends with 0", [] if code == 0 else [f"{code}: see {command.log}"]),
        Verdict("no recorded row disappeared or changed", trial.breaches, f"{2 * kills + 1} comparisons"),
        *verdicts(url, "killed", rule),
        Verdict(f"no process is left {PATIENCE_S} s after the end", left),
        *([retrained(url, "killed", options.retrain)] if options.retrain else []),
    ]
    print(f"after {time.monotonic() - began:.0f} s, {folder}:")
    for verdict in judged:
        print(verdict)
    return int(any(verdict.breaches for verdict in judged))


def _kill_all(trial: Trial, options: argparse.Namespace) -> int:
    """All the kills, and the end of the sweep; the exit code of the last command."""
    while sum(trial.deaths.values()) < options.kills:
        if options.target == "driver" or (options.target == "both" and trial.rng.random() < 0.5):
            if not trial.kill_driver():
                break
            continue
        process = trial.command.start()
        while sum(trial.deaths.values()) < options.kills and trial.kill_worker(process):
            if options.target == "both" and trial.rng.random() < 0.5:
                process.kill()
                process.wait()
                trial.look()
                trial.deaths["driver, after a worker"] += 1
                break
        else:
            return trial.finish(process)
    return trial.finish()


if __name__ == "__main__":
    sys.exit(main())
