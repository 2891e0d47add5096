"""Processes and GPUs: workers, ranks, loaders, and a GPU that fails."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import torch

from search_spaces.errors import RunError, UsageError
from sweeps.runners.worker import Worker
from tests.gpu.helpers import DEVICE, HERE, Examples, job, last_step, needs_card, recipe
from trainers.distributed.distributed_training import DistributedTraining
from trainers.loop.training import Training

pytestmark = pytest.mark.gpu
ROOT = Path(__file__).parents[2]
LOOPS = "tests.gpu.loops"

# In a process of its own: its GPU cannot be used afterwards.
ASSERTING = """
from sweeps.runners.worker import GpuLostError, Worker
from tests.gpu.helpers import job, last_step

worker = Worker()
try:
    step = last_step(worker, job("tests.gpu.loops:asserts"))
except GpuLostError as error:
    step, lost = error.step, True
else:
    lost = not last_step(worker, job("tests.gpu.loops:plain")).finished
print("lost" if lost else "kept", step.reports[0].metrics["val/x"])
raise SystemExit("Error" not in step.error)
"""
HIDDEN = """
from sweeps.runners.worker import Worker
from tests.gpu.helpers import job, last_step

print(last_step(Worker(), job("tests.gpu.loops:sees", gpu=0.0)).reports[-1].metrics["val/x"])
"""


def run(program: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=250
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_assert_on_a_gpu_ends_the_worker() -> None:
    assert run(ASSERTING) == ("lost 1.0\n" if DEVICE == "cuda" else "kept 1.0\n")


def test_a_run_without_a_share_sees_no_gpu() -> None:
    assert run(HIDDEN) == "0.0\n"


def test_pinned_batches_arrive() -> None:
    with closing(Worker()) as worker:
        step = last_step(worker, job(f"{LOOPS}:pinned"))
    assert step.error is None
    assert [report.metrics["val/x"] for report in step.reports] == [780.0, 780.0]


def epochs(training: Training | DistributedTraining) -> list[float]:
    found = []
    while not training.finished:
        found.append(training.run_epoch().metrics["val/nll"])
    return found


@pytest.mark.parametrize("processes", [1, 2])
def test_processes_agree_with_one_that_accumulates(processes: int) -> None:
    """Test with NCCL on GPUs, and with gloo on CPUs."""
    if DEVICE == "cuda" and torch.cuda.device_count() < processes:
        pytest.skip("needs a GPU for each process")
    plan = recipe(dropout=0.0)
    more = plan.budget.model_copy(update={"accumulation": processes})
    expected = epochs(Training(plan.model_copy(update={"budget": more}), Examples(), 0))
    with closing(DistributedTraining(f"{HERE}:Examples", plan, 0, processes)) as training:
        assert epochs(training) == pytest.approx(expected, rel=1e-4)
    with pytest.raises(RunError):
        training.advance(1)


@needs_card
def test_more_processes_than_gpus_are_refused() -> None:
    count = torch.cuda.device_count() + 1
    with pytest.raises(UsageError, match=f"{count} processes need {count} CUDA devices, found {count - 1}"):
        DistributedTraining(f"{HERE}:Examples", recipe(), 0, count)
