"""deploy/slurm/sweep.sbatch, unchanged, on nodes with their own addresses if this machine can create them."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.deploy.fake_slurm import ROOT, Cluster, UnavailableError, cluster

SPACE = """
kind: sweep
extends: finetune
runs: {runs}
recipe:
  optimizer: {{lr: 1.0e-5}}
  budget: {{epochs: 27, batch_size: 2}}
"""


def submitted(slurm: Cluster, url: str) -> subprocess.Popen[bytes]:
    slurm.environment["SWEEPS_STORAGE"] = url
    return slurm.submit("tried.yaml")


def one(url: str, query: str) -> int:
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        try:
            row = connection.execute(query).fetchone()
        except psycopg.errors.UndefinedTable:  # the driver has not created them yet
            return 0
    assert row is not None
    return int(row[0])


def wait_for_epochs(slurm: Cluster, job: subprocess.Popen[bytes], url: str, more: int) -> None:
    """Wait until this number of further epochs is recorded."""
    count = "SELECT count(*) FROM epoch_metric WHERE name = 'val/accuracy'"
    before = one(url, count)
    while one(url, count) < before + more:
        assert job.poll() is None, slurm.log()
        time.sleep(0.1)


def left(slurm: Cluster) -> list[str]:
    """Return the processes that still run; Ray's agents end a moment after their raylet."""
    end = time.monotonic() + 20
    while (found := slurm.processes()) and time.monotonic() < end:
        time.sleep(0.5)
    return list(found.values())


def free_job() -> int:
    return secrets.randbelow(10**6)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_one_node_is_stopped_by_sigterm_and_the_same_script_continues(tmp_path: Path, postgres_url: str) -> None:
    (tmp_path / "tried.yaml").write_text(SPACE.format(runs=4))
    with cluster(tmp_path, free_job(), 1) as slurm:
        if not next(iter(slurm.nodes.values())) and any("gcs_server" in one.name() for one in psutil.process_iter()):
            pytest.skip("this machine has no namespaces, and `ray symmetric-run` would end the Ray that runs on it")
        job = submitted(slurm, postgres_url)
        wait_for_epochs(slurm, job, postgres_url, 3)
        job.send_signal(signal.SIGTERM)
        assert job.wait(120) == 130, slurm.log()
        assert "stopping: waiting for the steps that run now" in slurm.log()
        assert "Traceback" not in slurm.log()
        assert not any(call.startswith("scontrol requeue") for call in slurm.calls())
        assert one(postgres_url, "SELECT count(*) FROM run WHERE state = 'RUNNING'") == 0
        assert left(slurm) == []
        assert submitted(slurm, postgres_url).wait(200) == 0, slurm.log()
        assert one(postgres_url, "SELECT count(*) FROM run WHERE state IN ('COMPLETE', 'STOPPED')") == 4
        assert left(slurm) == []
    token = tmp_path / "home/.ray/auth_token"
    assert token.stat().st_mode & 0o777 == 0o600
    assert list((tmp_path / "checkpoints").glob(".slurm-*")) == []


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_three_nodes_are_requeued_before_the_time_limit_and_complete_the_sweep(
    tmp_path: Path, postgres_url: str
) -> None:
    (tmp_path / "tried.yaml").write_text(SPACE.format(runs=6))
    with ExitStack() as stack:
        try:
            slurm = stack.enter_context(cluster(tmp_path, free_job(), 3))
        except UnavailableError as error:
            pytest.skip(str(error))
        job = submitted(slurm, postgres_url)
        wait_for_epochs(slurm, job, postgres_url, 6)
        assert sum("ray::" in command for command in slurm.processes().values()) >= 3
        job.send_signal(signal.SIGUSR1)  # as --signal=B:USR1@180 does
        assert job.wait(150) == 130, slurm.log()
        assert "the time limit is near" in slurm.log()
        assert "Traceback" not in slurm.log()
        assert f"scontrol requeue {slurm.job}" in slurm.calls()
        assert one(postgres_url, "SELECT count(*) FROM run WHERE state = 'RUNNING'") == 0
        assert left(slurm) == []
        assert submitted(slurm, postgres_url).wait(250) == 0, slurm.log()
        assert one(postgres_url, "SELECT count(*) FROM run WHERE state IN ('COMPLETE', 'STOPPED')") == 6
        assert "(3 at a time)" in slurm.log()
        assert left(slurm) == []


@pytest.mark.parametrize(
    ("missing", "said"), [("SWEEPS_STORAGE", "PostgreSQL"), ("SWEEPS_CHECKPOINTS", "a folder that all nodes share")]
)
def test_a_missing_variable_is_named(missing: str, said: str) -> None:
    given = {"SWEEPS_STORAGE": "sqlite:///x.db", "SWEEPS_CHECKPOINTS": "/nowhere", "PATH": os.environ["PATH"]}
    del given[missing]
    script = str(ROOT / "deploy/slurm/sweep.sbatch")
    result = subprocess.run(["bash", script, "finetune"], env=given, capture_output=True, text=True, timeout=20)
    assert result.returncode != 0
    assert missing in result.stderr
    assert said in result.stderr


def test_the_script_is_bash() -> None:
    script = ROOT / "deploy/slurm/sweep.sbatch"
    assert subprocess.run(["bash", "-n", str(script)], capture_output=True, timeout=20).returncode == 0
    assert script.read_text().startswith("#!/bin/bash\n")
