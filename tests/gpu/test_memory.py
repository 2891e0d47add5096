"""Memory of a GPU: peaks, shares, and what is left of a run."""

from __future__ import annotations

import gc
from contextlib import closing

import pytest
import torch

from search_spaces.recipe.optimizers import AdamW
from search_spaces.recipe.recipe import Budget, Signals
from sweeps.runners.worker import Worker
from tests.gpu.helpers import DEVICE, HERE, Examples, job, last_step, needs_card, recipe
from trainers.compute.cards import use_share
from trainers.compute.memory import gpu_is_lost
from trainers.loop.training import Training

pytestmark = pytest.mark.gpu


def test_the_peak_is_reported_on_a_gpu_only() -> None:
    report = Training(recipe(), Examples("cnn"), 0).run_epoch()
    assert ("train/peak_memory" in report.metrics) == (DEVICE == "cuda")
    assert report.metrics.get("train/peak_memory", 1.0) > 0


@needs_card
def test_a_snapshot_needs_no_memory_of_the_gpu() -> None:
    training = Training(recipe(optimizer=AdamW(lr=0.01)), Examples("cnn"), 0)
    training.advance(3)
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    state = training.state_dict()
    assert torch.cuda.max_memory_allocated() == before
    assert state["model"]


@needs_card
def test_the_last_epoch_needs_no_more_than_the_training() -> None:
    """Test evaluation and FGSM on more examples than a batch has."""
    plan = recipe(1, signals=Signals(fgsm=(0.1,), pruning=(0.5,)))
    plan = plan.model_copy(update={"budget": Budget(epochs=1, batch_size=10)})
    training = Training(plan, Examples("transformer"), 0)
    training.advance(7)
    trained = torch.cuda.max_memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    training.advance(1)
    assert torch.cuda.max_memory_allocated() <= 1.5 * trained


def test_three_jobs_leave_nothing() -> None:
    left = []
    with closing(Worker()) as worker:
        for _ in range(3):
            step = last_step(worker, job())
            assert step.error is None
            worker.close()
            gc.collect()
            left.append(torch.cuda.memory_allocated() if DEVICE == "cuda" else 0)
    assert left[2] == left[0]


def test_a_job_runs_after_one_that_is_too_large() -> None:
    with closing(Worker()) as worker:
        failed = last_step(worker, job(f"{HERE}:TooLarge"))
        assert failed.out_of_memory
        assert str(failed.error).startswith(f"out of memory on the {'device' if DEVICE == 'cuda' else 'host'}")
        assert last_step(worker, job()).finished
        assert not gpu_is_lost()


@needs_card
def test_a_process_keeps_to_its_share() -> None:
    total = torch.cuda.get_device_properties(0).total_memory
    use_share(0.1, "auto")
    try:
        torch.empty(int(0.05 * total), dtype=torch.uint8, device="cuda")
        with pytest.raises(torch.OutOfMemoryError):
            torch.empty(int(0.2 * total), dtype=torch.uint8, device="cuda")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        torch.cuda.empty_cache()
