"""deploy/ray-job-submit.sh against a real head with its job server."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import psycopg
import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
SPACE = """
kind: sweep
extends: finetune
task: my_task:Mine
runs: {runs}
recipe:
  optimizer: {{lr: 1.0e-5}}
  budget: {{epochs: 27, batch_size: {batch_size}}}
"""


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


class Head:
    """`ray start --head` with its own home and temporary folder."""

    def __init__(self, folder: Path, tmp: Path, storage: str) -> None:
        port, self.jobs, client, agent = free_ports(4)
        self.folder = folder
        (folder / "home").mkdir()
        self.environment = {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "HOME": str(folder / "home"),
            "LANG": "C.UTF-8",
            "COLUMNS": "200",
            "RAY_TMPDIR": str(tmp),
            "RAY_AUTH_MODE": "token",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_JOB_STOP_WAIT_TIME_S": "60",
            "RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{self.jobs}",
            "SWEEPS_STORAGE": storage,
            "SWEEPS_CHECKPOINTS": str(folder / "checkpoints"),
        }
        subprocess.run(["ray", "get-auth-token", "--generate"], env=self.environment, check=True, capture_output=True)
        options = ["--node-ip-address=127.0.0.1", f"--port={port}", "--num-cpus=2", "--object-store-memory=100000000"]
        options += [f"--dashboard-port={self.jobs}", "--dashboard-host=127.0.0.1"]
        options += [f"--ray-client-server-port={client}", f"--dashboard-agent-listen-port={agent}"]
        with (folder / "head.log").open("wb") as log:
            self.process = subprocess.Popen(
                ["ray", "start", "--head", "--block", *options], env=self.environment, stdout=log, stderr=log
            )
        self._wait()

    def _wait(self) -> None:
        """Wait for the job server, which starts after the head."""
        end = time.monotonic() + 120
        while self.status_without_token() != 401:  # it listens, and requires the token
            assert time.monotonic() < end, (self.folder / "head.log").read_text()
            time.sleep(0.5)

    def status_without_token(self) -> int:
        """Return the status of a request without the token; 0 if the job server does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.jobs}/api/jobs/", timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            error.close()
            return int(error.code)
        except OSError:
            return 0

    def submit(self, folder: Path, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(ROOT / "deploy/ray-job-submit.sh"), *arguments],
            cwd=folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def close(self) -> None:
        family = [self.process, *psutil.Process(self.process.pid).children(recursive=True)]
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        _, alive = psutil.wait_procs(family[1:], timeout=10)
        for one in alive:
            one.kill()


@pytest.fixture
def head(tmp_path: Path, postgres_url: str) -> Iterator[Head]:
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as tmp:
        made = Head(tmp_path, Path(tmp), postgres_url)
        try:
            yield made
        finally:
            made.close()


def work(folder: Path, runs: int, batch_size: int) -> Path:
    """Create the folder of a user with their own task."""
    place = folder / "work"
    place.mkdir()
    (place / "tried.yaml").write_text(SPACE.format(runs=runs, batch_size=batch_size))
    (place / "my_task.py").write_text(
        "from trainers.tasks.mnist1d_transfer import Mnist1dTransfer\n\n\nclass Mine(Mnist1dTransfer):\n    pass\n"
    )
    return place


def one(url: str, query: str) -> int:
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        try:
            row = connection.execute(query).fetchone()
        except psycopg.errors.UndefinedTable:  # the driver has not created them yet
            return 0
    assert row is not None
    return int(row[0])


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_job_is_stopped_and_submitted_again(head: Head, tmp_path: Path, postgres_url: str) -> None:
    place = work(tmp_path, 6, 2)
    first = head.submit(place, "tried.yaml")
    while one(postgres_url, "SELECT count(*) FROM epoch_metric WHERE name = 'val/accuracy'") < 3:
        assert first.poll() is None, first.communicate()[0]
        time.sleep(0.2)
    listed = subprocess.run(["ray", "job", "list"], env=head.environment, capture_output=True, text=True).stdout
    name = listed.split("submission_id='")[1].split("'")[0]
    subprocess.run(["ray", "job", "stop", name], env=head.environment, check=True, capture_output=True)
    said, _ = first.communicate(timeout=90)
    assert "stopping: waiting for the steps that run now" in said
    assert one(postgres_url, "SELECT count(*) FROM run WHERE state = 'RUNNING'") == 0
    second = head.submit(place, "tried.yaml")
    said, _ = second.communicate(timeout=200)
    assert second.returncode == 0, said
    assert one(postgres_url, "SELECT count(*) FROM run WHERE state IN ('COMPLETE', 'STOPPED')") == 6


def test_missing_and_invalid_settings_are_named() -> None:
    script = str(ROOT / "deploy/ray-job-submit.sh")
    environment = {"PATH": os.environ["PATH"], "SWEEPS_CHECKPOINTS": "/nowhere"}
    for storage, said in (
        ("", "set it to a database"),
        ("postgresql+psycopg://me:secret@host/sweeps", "put it into ~/.pgpass"),
        ("postgresql+psycopg://me@host/sweeps", "usage:"),
    ):
        environment["SWEEPS_STORAGE"] = storage
        result = subprocess.run([script], env=environment, capture_output=True, text=True, timeout=20)
        assert result.returncode != 0
        assert said in result.stderr
        assert "secret" not in result.stderr
