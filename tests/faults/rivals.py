"""Drivers of the same sweep: two at once, one that sleeps longer than its lease, and clocks that are changed."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import time
from contextlib import closing

import spaces
from kills import one, recorded, until
from servers import Postgres
from stage import Stage, fault

REFUSED = 1  # the exit code of a second driver
SHORT = {
    "sweeps.store.lease.DURATION_S": 2.0,
    "sweeps.store.lease.RENEW_EVERY_S": 0.3,
    "sweeps.store.lease.RETRY_EVERY_S": 0.2,
}


@fault(
    "two-drivers", "two drivers of one sweep are started at once on an empty database: SQLite, then PostgreSQL", 20, 4
)
def two_drivers(stage: Stage) -> None:
    server = Postgres(stage.folder / "server")
    stage.stack.callback(server.close)
    space, rule = spaces.loop(runs=4, custom="pause: 0.1")
    while stage.injected < stage.count:
        on_server = stage.injected % 2 == 1
        name = f"toy{stage.injected}"
        if on_server:
            server.empty()
        pair = [stage.sweep(space, url=server.url if on_server else None, name=name) for _ in range(2)]
        lives = [trial.command.start() for trial in pair]
        where = "PostgreSQL" if on_server else "SQLite"
        codes = [trial.finish(life, 120) for trial, life in zip(pair, lives, strict=True)]
        stage.injected += 1
        pair[0].look()
        pair[0].deaths[f"two at once on {where}"] = stage.injected
        pair[0].say(f"two at once on {where}: {codes}")
        stage.same(f"exit codes of two drivers on {where}", sorted(codes), [0, REFUSED])
        if 0 in codes and sorted(codes) != [0, 0]:
            winner = codes.index(0)
            refused = pair[1 - winner].command.said()
            holder = f"sweep '{name}' has a driver already: process {lives[winner].pid} on "
            good = refused.startswith(holder) and ", since 20" in refused and len(refused.splitlines()) == 1
            stage.check("one line names the holder and its start time", [] if good else [refused[:300]])
        stage.same("attempts at most", one(pair[0].url, "SELECT max(attempts) FROM run"), 1)
        stage.whole(pair[0], rule, name, again=0)


def stop_between_transactions(process: subprocess.Popen[bytes], url: str) -> None:
    """Send SIGSTOP while the driver holds no lock on the file, since a lock could not be taken from it."""
    while True:
        process.send_signal(signal.SIGSTOP)
        try:
            with closing(sqlite3.connect(url.removeprefix("sqlite:///"), 0.2, isolation_level=None)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
            return
        except sqlite3.OperationalError:
            process.send_signal(signal.SIGCONT)
            time.sleep(0.03)


@fault(
    "asleep",
    "SIGSTOP of a driver until its lease (2 s here) expires; another one takes over; SIGCONT of the first",
    5,
    1,
)
def asleep(stage: Stage) -> None:
    while stage.injected < stage.count:
        name = f"toy{stage.injected}"
        space, rule = spaces.loop(runs=5)
        first, second = (stage.sweep(space, name=name, altered={"set": SHORT}) for _ in range(2))
        sleeper = first.under_way(stage.rng.randint(3, 15))
        stop_between_transactions(sleeper, first.url)
        first.look()
        second.last = first.last
        stopped_at = recorded(first.url)
        time.sleep(SHORT["sweeps.store.lease.DURATION_S"])
        driver = second.command.start()
        second.wait_for_epochs(driver, stopped_at + 3)
        owner = one(second.url, "SELECT lease_token FROM sweep")
        sleeper.send_signal(signal.SIGCONT)
        code = first.finish(sleeper, 60)
        stage.injected += 1
        first.deaths["asleep"] += 1
        first.say(f"stopped, replaced, woken: {code}")
        stage.code(code, 1, first, "the driver that woke up")
        stage.check("it says that it was replaced", [] if "took sweep" in first.command.said() else [first.tail()])
        stage.same("it did not take the lease back: token", one(second.url, "SELECT lease_token FROM sweep"), owner)
        stage.code(second.finish(driver), 0, second, "the driver that took over")
        tries = one(second.url, "SELECT sum(attempts) - count(*) FROM run")
        stage.check("only the run that was stopped in the middle was restarted", [] if tries <= 1 else [f"{tries}"])
        second.breaches += first.breaches
        stage.whole(second, rule, name, again=1)


@fault(
    "clock",
    "the wall clock of the driver is set an hour back or forward; a second driver tries to start",
    4,
    2,
)
def clock(stage: Stage) -> None:
    while stage.injected < stage.count:
        hours = (-1, 1)[stage.injected % 2]
        name = f"toy{stage.injected}"
        space, rule = spaces.loop(runs=6)
        altered = {"step_h": hours, "after_s": stage.rng.uniform(2.0, 4.0), "set": SHORT}
        first = stage.sweep(space, name=name, altered=altered)
        second = stage.sweep(space, name=name, altered={"set": SHORT})
        driver = first.command.start()
        time.sleep(altered["after_s"] + 1.0)
        until(lambda trial=first: recorded(trial.url) > 0, 60, "the sweep begins")
        first.look()
        stage.code(second.finish(timeout=60), REFUSED, second, "a second driver with a correct clock")
        stage.injected += 1
        stage.code(first.finish(driver), 0, first, "the driver whose clock was changed")
        first.deaths[f"clock changed by {hours} h"] += 1
        first.say(f"the clock was changed by {hours} h")
        stage.same("attempts at most", one(first.url, "SELECT max(attempts) FROM run"), 1)
        first.breaches += second.breaches
        stage.whole(first, rule, name, again=1)


@fault(
    "clock-of-sqlite",
    "the lease of a killed driver expires in an hour, as after the machine's clock was set back",
    3,
    1,
)
def clock_of_sqlite(stage: Stage) -> None:
    space, rule = spaces.loop(runs=6)
    trial = stage.sweep(space)
    while stage.injected < stage.count:
        process = trial.under_way(3)
        trial.look()
        process.kill()
        process.wait()
        with closing(sqlite3.connect(trial.url.removeprefix("sqlite:///"), 30)) as connection:
            connection.execute("UPDATE sweep SET lease_expires = datetime(lease_expires, '+1 hour') || '.000000'")
            connection.commit()
        stage.injected += 1
        trial.deaths["lease an hour ahead"] += 1
        trial.say("the lease expires in an hour")
        began = time.monotonic()
        process = trial.under_way(1)
        took = time.monotonic() - began
        stage.check("the next driver continues at once", [] if took < 15 else [f"after {took:.0f} s"], f"{took:.1f} s")
        process.kill()
        process.wait()
    stage.code(trial.finish(), 0, trial)
    stage.whole(trial, rule)
