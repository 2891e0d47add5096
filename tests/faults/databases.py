"""A database that is unreachable or locked during a sweep."""

from __future__ import annotations

import socket
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field

import spaces
from kills import Trial, one, recorded, until
from servers import Postgres, held
from stage import Stage, fault

QUICK_S = 8.0


@fault(
    "postgres-stopped",
    "PostgreSQL is stopped during the sweep (as `pg_ctl stop -m immediate`) and started later",
    2,
    1,
)
def postgres_stopped(stage: Stage) -> None:
    away_s = 60.0 if stage.count > 1 else QUICK_S
    stage.how = f": unreachable for {away_s:.0f} s each time"
    server = Postgres(stage.folder / "server")
    stage.stack.callback(server.close)
    # Training takes longer than the outage, and runs one after another, so that it never pauses.
    space, rule = spaces.loop(runs=max(5, int(stage.count * away_s * 2 / (9 * 0.5))), custom="pause: 0.5")
    trial = stage.sweep(space, url=server.url)
    process = trial.under_way(6)
    while stage.injected < stage.count:
        trial.wait_for_epochs(process, recorded(trial.url) + stage.rng.randint(2, 8))
        trial.look()
        server.stop_at_once()
        time.sleep(away_s)
        stage.check(
            "the driver continues while its database is unreachable", [] if process.poll() is None else [trial.tail()]
        )
        server.start()
        until(lambda: recorded(trial.url) > 0, 30, "the server is back")
        trial.look()
        stage.injected += 1
        trial.deaths["server stopped"] += 1
        trial.say(f"the server was unreachable for {away_s:.0f} s")
    stage.code(trial.finish(process), 0, trial)
    stage.says(trial, "database unreachable for", "records waiting")
    tries = one(trial.url, "SELECT max(attempts) FROM run")
    stage.same("attempts at most", tries, 1)
    stage.whole(trial, rule, again=1)


@dataclass
class Reader:
    """Requests data from the dashboard continuously, as a browser does.

    Attributes:
        address: URL of the study's data.
        answers: Time and duration in seconds of each successful request.
        errors: Time and error of each failed request.
        over: Set to stop the requests.
    """

    address: str
    answers: list[tuple[float, float]] = field(default_factory=list)
    errors: list[tuple[float, str]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def ask(self, timeout: float = 60) -> None:
        """Send one request."""
        began = time.monotonic()
        try:
            with urllib.request.urlopen(self.address, timeout=timeout) as answer:
                answer.read()
            self.answers.append((began, time.monotonic() - began))
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            self.errors.append((began, str(error)))

    def keep_asking(self) -> None:
        """Until it is over."""
        while not self.over.wait(0.2):
            self.ask()

    def between(self, begin: float, end: float) -> list[float]:
        """Seconds of the answers to what was asked between two moments."""
        return [seconds for at, seconds in self.answers if begin <= at < end]


@fault(
    "sqlite-locked",
    "another process holds BEGIN EXCLUSIVE on the SQLite file while the dashboard gets requests",
    3,
    1,
)
def sqlite_locked(stage: Stage) -> None:
    locked_s = 20.0 if stage.count > 1 else QUICK_S
    stage.how = f": for {locked_s:.0f} s each time"
    space, rule = spaces.loop(runs=max(6, int(stage.count * locked_s * 2 / (9 * 0.4))), custom="pause: 0.4")
    trial = stage.sweep(space)
    process = trial.under_way(6)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    dashboard = stage.trial(["dashboard", "--port", str(port), "--storage", trial.url], trial.url)
    served = dashboard.command.start()
    reader = Reader(f"http://127.0.0.1:{port}/api/studies")
    until(lambda: (reader.ask(5), bool(reader.answers))[1], 60, "the dashboard answers")
    reader.address = f"http://127.0.0.1:{port}/api/studies/{one(trial.url, 'SELECT study_id FROM studies')}?after=0"
    reader.errors.clear()
    asking = threading.Thread(target=reader.keep_asking, daemon=True)
    asking.start()
    time.sleep(2)
    while stage.injected < stage.count:
        _locked_once(stage, trial, reader, locked_s)
        trial.wait_for_epochs(process, recorded(trial.url) + 4)
    stage.code(trial.finish(process), 0, trial)
    reader.over.set()
    asking.join(60)
    served.terminate()
    served.wait(20)
    stage.check(
        "every request to the dashboard was answered",
        [text for _, text in reader.errors],
        f"{len(reader.answers)} answers",
    )
    stage.same("attempts at most", one(trial.url, "SELECT max(attempts) FROM run"), 1)
    stage.whole(trial, rule, again=1)


def _locked_once(stage: Stage, trial: Trial, reader: Reader, locked_s: float) -> None:
    trial.look()
    before = recorded(trial.url)
    begin = time.monotonic()
    with held(trial.url):
        time.sleep(locked_s)
        stuck = recorded(trial.url) - before
    end = time.monotonic()
    time.sleep(3)
    trial.look()
    stage.injected += 1
    trial.deaths["locked"] += 1
    asked = {
        "before": reader.between(begin - 2, begin),
        "meanwhile": reader.between(begin, end),
        "after": reader.between(end, end + 3),
    }
    note = ", ".join(f"{len(found)} {when}, the slowest {max(found, default=0):.2f} s" for when, found in asked.items())
    trial.say(f"held for {locked_s:.0f} s; answers of the dashboard: {note}")
    stage.check(
        "the dashboard answers before and after", [when for when in ("before", "after") if not asked[when]], note
    )
    stage.check("the driver writes nothing while the file is locked", [] if stuck <= 1 else [f"{stuck} epochs"])
    back = recorded(trial.url) - before
    wanted = locked_s / 0.4 / 2
    stage.check(
        "training continues meanwhile",
        [] if back >= wanted else [f"{back} epochs, not {wanted:.0f}"],
        f"{back} epochs were recorded at once afterwards",
    )
