"""One sweep that is killed, stopped or disturbed repeatedly, with its rows compared before and after every fault."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import psutil
from command import PATIENCE_S, Command
from snapshot import Rows, changes, read_only, snapshot
from sqlalchemy import text

EARLY = 0.35  # share of kills of a driver before it has recorded anything
LOCAL_START_S, RAY_START_S = 3.0, 10.0


class OverError(Exception):
    """The sweep ended before the fault was injected; it must be longer."""


def one(url: str, query: str) -> object:
    """Return the only value of a query."""
    with read_only(url).connect() as connection:
        return connection.execute(text(query)).scalar_one()


def recorded(url: str) -> int:
    """Return the number of recorded epochs; 0 while there is no database."""
    try:
        return int(one(url, "SELECT count(*) FROM (SELECT DISTINCT run_id, epoch FROM epoch_metric) AS e"))
    except Exception:  # noqa: BLE001  no file or table yet, or the server is starting
        return 0


def until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait until a condition holds.

    Raises:
        TimeoutError: It does not hold in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.05)


@dataclass
class Trial:
    """One sweep and the faults that are injected into it.

    Attributes:
        command: Command of the sweep, which is repeated.
        url: URL of the database.
        rng: Random generator for the moments of the faults.
        late_s: Maximum time of a late fault after the first new epochs, in seconds.
        start_up_s: Maximum time of an early fault after the start, in seconds.
        breaches: Rows that disappeared or changed.
        looks: Number of comparisons of all rows.
        deaths: Number of faults by kind.
        last: All rows at the last comparison.
    """

    command: Command
    url: str
    rng: random.Random
    late_s: float = 2.5
    start_up_s: float = LOCAL_START_S
    breaches: list[str] = field(default_factory=list)
    looks: int = 0
    deaths: Counter[str] = field(default_factory=Counter)
    last: dict[str, Rows] = field(default_factory=dict)

    def look(self) -> None:
        """Compare every row with the last snapshot."""
        now = snapshot(self.url)
        self.breaches += changes(self.last, now)
        self.last = now
        self.looks += 1

    def under_way(self, more: int = 3) -> subprocess.Popen[bytes]:
        """Start the command and return when it has recorded this number of new epochs.

        Raises:
            OverError: The command ended earlier.
        """
        before = recorded(self.url)
        process = self.command.start()
        self.wait_for_epochs(process, before + more)
        return process

    def wait_for_epochs(self, process: subprocess.Popen[bytes], epochs: int) -> None:
        """Return when this number of epochs is recorded in total.

        Raises:
            OverError: The command ended earlier.
        """
        while recorded(self.url) < epochs:
            if self.wait(process, 0.05):
                raise OverError(f"ended with {process.returncode} after {recorded(self.url)} epochs: {self.tail()}")

    def kill_driver(self) -> bool:
        """Start a driver and kill it; return False if the sweep ended first."""
        began = time.monotonic()
        before = recorded(self.url)
        process = self.command.start()
        if self.rng.random() < EARLY:
            over = self.wait(process, self.rng.uniform(0.2, self.start_up_s))
        else:
            over = self._until_recorded(process, before) or self.wait(process, self.rng.uniform(0.0, self.late_s))
        if over:
            return False
        self.look()  # all rows that a reader has seen until now must survive
        self.command.processes()  # remember the processes that might outlive their driver
        process.kill()
        process.wait()
        new = recorded(self.url) - before
        self.look()
        what = "driver, before its first report" if new == 0 else "driver, while it recorded epochs"
        self.deaths[what] += 1
        self.say(f"killed the driver after {time.monotonic() - began:.1f} s and {new} new epochs")
        return True

    def kill_worker(self, process: subprocess.Popen[bytes]) -> bool:
        """Kill one worker of a running driver; return False if the sweep ended first."""
        if self._until_recorded(process, recorded(self.url)) or self.wait(process, self.rng.uniform(0.0, self.late_s)):
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
        self.say(f"killed worker {victim.pid}, one of {len(workers)}")
        return True

    def finish(self, process: subprocess.Popen[bytes] | None = None, timeout: float = 600) -> int:
        """Wait for the end of the command and return its exit code.

        Raises:
            TimeoutError: The command did not end in time.
        """
        process = process or self.command.start()
        deadline = time.monotonic() + timeout
        while not self.wait(process, 1.0):
            self.command.processes()
            if time.monotonic() > deadline:
                process.send_signal(signal.SIGABRT)  # prints the stacks of all its threads to its log
                self.wait(process, 5.0)
                process.kill()
                raise TimeoutError(f"the command did not end within {timeout:.0f} s: {self.tail()}")
        code = process.returncode
        self.look()
        return code

    def left_behind(self, patience: float = PATIENCE_S) -> list[str]:
        """Return the processes of the sweep that are still alive after this time."""
        return self.command.left_behind(patience)

    def tail(self) -> str:
        """Return the last line that the command printed."""
        lines = self.command.said().strip().splitlines()
        return f"{self.command.log}: {lines[-1][:200] if lines else 'nothing printed'}"

    def wait(self, process: subprocess.Popen[bytes], seconds: float) -> bool:
        """Return whether the command ends within this time."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            return True
        return False

    def _until_recorded(self, process: subprocess.Popen[bytes], before: int) -> bool:
        """Wait for new epochs; return True if the command ended instead."""
        while recorded(self.url) <= before:
            if self.wait(process, 0.05):
                return True
        return False

    def say(self, what: str) -> None:
        """Print one fault and the progress of the sweep."""
        states = Counter(str(row["state"]).lower() for row in self.last.get("run", {}).values())
        print(
            f"{sum(self.deaths.values()):5d}  {what}; recorded: {recorded(self.url)} epochs, "
            + (", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "no runs"),
            flush=True,
        )
