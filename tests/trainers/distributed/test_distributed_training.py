"""Distributed trainings in real processes, which communicate over gloo on the CPU."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest
import torch
from torch import nn

from search_spaces.errors import CheckpointError, RunError, UsageError
from search_spaces.recipe.averaging import EMA, SWA
from search_spaces.recipe.model import Model
from search_spaces.recipe.optimizers import SGD, Adam, AdamW, Sophia
from search_spaces.recipe.recipe import Budget, Patience, Precision, Recipe, Regularization, Signals, Switch
from search_spaces.recipe.schedules import Cosine, Plateau
from sweeps.engine.messages import Job
from sweeps.runners.worker import Worker
from trainers.compute.rank import ALONE, Rank
from trainers.factory import open_training
from trainers.reports import EpochReport, Position
from trainers.seeding import global_stream
from trainers.storage import checkpoints
from trainers.storage.local import LocalFolder
from trainers.task_checks import prepare

TASKS = "tests.trainers.distributed.rank_tasks"
ROOT = Path(__file__).parents[3]
SMALL = Recipe(optimizer=AdamW(lr=0.02), budget=Budget(epochs=4, batch_size=8))

# Steps of 70 examples that leave rank 1 idle at the end (6 left), that do not (10 left), and that fit three processes.
RECIPES = {
    "adamw": (
        2,
        Recipe(
            optimizer=AdamW(lr=0.02, weight_decay=0.1),
            schedule=Cosine(warmup=0.2),
            regularization=Regularization(label_smoothing=0.1, clip_norm=0.3, mixup=0.4, cutmix=1.0),
            averaging=EMA(decay=0.9),
            budget=Budget(epochs=4, batch_size=8, lr_scaling="sqrt", base_batch_size=32),
        ),
    ),
    "sgd": (
        2,
        Recipe(
            optimizer=SGD(lr=0.4),
            switch=Switch(to=Adam(lr=0.01)),
            regularization=Regularization(clip_value=0.02),
            averaging=SWA(last=0.5),
            budget=Budget(epochs=4, batch_size=5, accumulation=2, lr_scaling="linear", base_batch_size=128),
        ),
    ),
    "three": (
        3,
        Recipe(
            optimizer=SGD(lr=3.0, nesterov=False),  # too high, so that the loss stops improving
            schedule=Plateau(patience=0, gamma=0.5),
            patience=Patience(epochs=2),
            budget=Budget(epochs=6, batch_size=4, accumulation=3),
        ),
    ),
}


def run(training, epochs: int | None = None) -> list[EpochReport]:
    reports: list[EpochReport] = []
    while not training.finished and len(reports) != epochs:
        reports.append(training.run_epoch())
    return reports


def values(reports: list[EpochReport]) -> list[dict[str, float]]:
    return [{name: v for name, v in report.metrics.items() if "second" not in name} for report in reports]


def ranks() -> list[psutil.Process]:
    """Return the processes of all trainings, which are children of the fork server."""
    return [one for one in psutil.Process().children(recursive=True) if one.ppid() != os.getpid()]


@pytest.fixture(autouse=True)
def _no_process_is_left() -> Iterator[None]:
    yield
    assert ranks() == []


# --- the same training ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("processes", "recipe"), RECIPES.values(), ids=RECIPES)
def test_processes_are_one_process_with_as_much_more_accumulation(processes: int, recipe: Recipe) -> None:
    budget = recipe.budget.model_copy(update={"accumulation": recipe.budget.accumulation * processes})
    one = open_training(f"{TASKS}:Plain", recipe.model_copy(update={"budget": budget}), 3)
    expected = run(one)
    with closing(open_training(f"{TASKS}:Plain", recipe, 3, processes)) as several:
        found = run(several)
        weights = several.state_dict()
    assert (several.epoch, several.finished) == (one.epoch, True)
    assert several.fingerprint == one.fingerprint
    assert len(found) == len(expected) > 2
    for a, b in zip(values(found), values(expected), strict=True):
        assert a == pytest.approx(b, rel=1e-5, abs=1e-7)
    for name, weight in one.state_dict()["model"].items():
        torch.testing.assert_close(weights["model"][name], weight, rtol=1e-5, atol=1e-6)
    clipped = [report.metrics["train/clip_rate"] for report in found]
    assert max(clipped) > 0 or processes == 3
    for a, b in zip(found[-1].predictions, expected[-1].predictions, strict=True):
        assert (a.split, a.weights, a.label.tolist()) == (b.split, b.weights, b.label.tolist())


@pytest.mark.parametrize("within", [0, 3])
def test_continues_bit_by_bit_from_a_file(tmp_path: Path, within: int) -> None:
    """With dropout, and a buffer that every forward pass changes."""
    recipe = SMALL.model_copy(update={"regularization": Regularization(dropout=0.3, clip_norm=0.5)})
    with closing(open_training(f"{TASKS}:Blobs", recipe, 3, 2)) as whole:
        expected = run(whole)
        end = whole.state_dict()
    with closing(open_training(f"{TASKS}:Blobs", recipe, 3, 2)) as first:
        before = run(first, 2)
        for _ in range(within):
            assert first.advance(1) is None
        assert first.step == within
        checkpoints.save(LocalFolder(tmp_path), Position(first.epoch, first.step), first.state_dict())
    found = checkpoints.latest(LocalFolder(tmp_path))
    with closing(open_training(f"{TASKS}:Blobs", recipe, 3, 2)) as second:
        second.load_state_dict(found[1])
        assert (second.epoch, second.step, second.finished) == (2, within, False)
        after = run(second)
        weights = second.state_dict()
    assert values(before + after) == values(expected)
    assert all(torch.equal(weights["model"][name], weight) for name, weight in end["model"].items())
    assert weights["model"]["passes"] == 4 * 5  # of the first rank: five steps, a micro-batch in each


def test_every_rank_has_its_own_dropout_and_the_first_that_of_one_process() -> None:
    draws = []
    for rank in (0, 1, 2):
        with global_stream(3, "dropout", 5, rank):
            draws.append(torch.rand(4))
    with global_stream(3, "dropout", 5):
        assert torch.equal(torch.rand(4), draws[0])
    assert not torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[1], draws[2])


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_micro_batches_are_shared_once_and_every_rank_reduces_once(count: int) -> None:
    model = nn.Linear(1, 1)
    for micro_batches in range(1, 10):
        rounds = -(-micro_batches // count)
        owned: list[int] = []
        for index in range(count):
            rank = Rank(index, count)
            own = [number for number in range(micro_batches) if rank.owns(number)]
            owned += own
            assert len(own) + rank.idle_in_last_round(micro_batches) == rounds
        assert sorted(owned) == list(range(micro_batches))
        assert not Rank(0, count).idle_in_last_round(micro_batches)
    assert ALONE.data_parallel(model) is model
    assert ALONE.equivalent_recipe(SMALL) is SMALL


# --- synchronised norms ------------------------------------------------------------------------------------------


def test_sync_batch_norm_is_refused_on_a_cpu_and_ignored_in_one_process() -> None:
    recipe = SMALL.model_copy(update={"model": Model(sync_batch_norm=True)})
    with pytest.raises(UsageError, match=r"^model\.sync_batch_norm needs CUDA, found cpu; set it to false, or .*$"):
        open_training(f"{TASKS}:Normed", recipe, 3, 2)
    alone, plain = (open_training(f"{TASKS}:Normed", one, 3) for one in (recipe, SMALL))
    assert values(run(alone)) == values(run(plain))


def test_sync_batch_norm_replaces_batch_norm_with_its_weights() -> None:
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8))
    state = {name: value.clone() for name, value in model.state_dict().items()}
    joint = Rank(1, 2).with_sync_batch_norm(model, torch.device("cuda"))
    assert [type(module) for module in joint.children()] == [nn.Linear, nn.SyncBatchNorm]
    assert all(torch.equal(value, state[name]) for name, value in joint.state_dict().items())


@pytest.mark.parametrize("batch_size", [8, 6])  # in the last step rank 1 has nothing, or 4 examples to the other's 6
def test_processes_with_sync_batch_norm_are_one_process_with_a_larger_batch(batch_size: int) -> None:
    """Use torch's SyncBatchNorm with its CUDA kernels written in Python, see cpu_sync_batch_norm.py."""
    recipe = Recipe(optimizer=SGD(lr=0.1), budget=Budget(epochs=2, batch_size=batch_size))
    larger = recipe.model_copy(update={"budget": Budget(epochs=2, batch_size=2 * batch_size)})
    one = open_training(f"{TASKS}:Normed", larger, 3)
    expected = run(one)
    joint = recipe.model_copy(update={"model": Model(sync_batch_norm=True)})
    with closing(open_training("tests.trainers.distributed.cpu_sync_batch_norm:Normed", joint, 3, 2)) as two:
        found = run(two)
        weights = two.state_dict()
    for a, b in zip(values(found), values(expected), strict=True):
        assert a == pytest.approx(b, rel=1e-4, abs=1e-6)
    for name, weight in one.state_dict()["model"].items():
        torch.testing.assert_close(weights["model"][name], weight, rtol=1e-4, atol=1e-5)


def test_statistics_of_averaged_and_pruned_weights_wait_for_no_other_process() -> None:
    """Only the first process evaluates pruned copies, and SyncBatchNorm in training mode waits for all."""
    changes = {"averaging": EMA(decay=0.9), "signals": Signals(pruning=(0.5,))}
    recipe = Recipe(optimizer=SGD(lr=0.1), budget=Budget(epochs=2, batch_size=8), **changes)
    expected = run(
        open_training(f"{TASKS}:Normed", recipe.model_copy(update={"budget": Budget(epochs=2, batch_size=16)}), 3)
    )
    joint = recipe.model_copy(update={"model": Model(sync_batch_norm=True)})
    with closing(open_training("tests.trainers.distributed.cpu_sync_batch_norm:Normed", joint, 3, 2)) as two:
        found = run(two)
    for name in ("val/nll@ema", "test/nll@ema", "test/nll@pruned50"):  # over batches of 8, and of 16
        assert found[-1].metrics[name] == pytest.approx(expected[-1].metrics[name], rel=0.05)


# --- what goes wrong --------------------------------------------------------------------------------------------


def test_an_error_of_a_rank_has_its_traceback() -> None:
    training = open_training(f"{TASKS}:SecondRankRaises", SMALL, 3, 2)
    began = time.monotonic()
    with pytest.raises(RunError, match=r"^rank 1 of 2 failed during advance:\nTraceback") as raised:
        run(training)
    assert time.monotonic() - began < 10
    assert "ValueError: the second rank's mistake" in str(raised.value)
    assert ranks() == []
    with pytest.raises(RunError, match="the processes of this training have been stopped"):
        training.run_epoch()
    training.close()


@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_rank_is_an_error_within_seconds(victim: int) -> None:
    training = open_training(f"{TASKS}:Slow", SMALL, 3, 2)
    pid = sorted(one.pid for one in ranks())[victim]
    threading.Timer(0.5, os.kill, (pid, signal.SIGKILL)).start()
    began = time.monotonic()
    with pytest.raises(RunError, match=f"^rank {victim} of 2 died during advance: killed by SIGKILL$"):
        run(training)
    assert time.monotonic() - began < 5


def test_a_rank_that_was_killed_between_two_calls_is_an_error_of_the_next() -> None:
    training = open_training(f"{TASKS}:Blobs", SMALL, 3, 2)
    training.run_epoch()
    os.kill(max(one.pid for one in ranks()), signal.SIGKILL)
    with pytest.raises(RunError, match="rank 1 of 2 died during advance: killed by SIGKILL"):
        training.run_epoch()


PARENT = """
import psutil
from search_spaces.recipe.recipe import Recipe
from trainers.factory import open_training

if __name__ == "__main__":
    training = open_training("tests.trainers.distributed.rank_tasks:Slow", Recipe(), 3, 2)
    print(*(one.pid for one in psutil.Process().children(recursive=True)), flush=True)
    training.run_epoch()
"""


def test_nothing_outlives_a_killed_parent_not_even_in_the_middle_of_an_epoch(tmp_path: Path) -> None:
    (tmp_path / "parent.py").write_text(PARENT)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, str(tmp_path / "parent.py")], stdout=subprocess.PIPE, text=True, env=environment
    ) as parent:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        time.sleep(0.3)
        parent.kill()
    assert len(pids) == 4  # two ranks, the server that they are forked from, and Python's resource tracker
    deadline = time.monotonic() + 5
    while any(map(psutil.pid_exists, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(psutil.pid_exists, pids))


@pytest.mark.parametrize(
    ("task", "changes", "words"),
    [
        ("Blobs", {"optimizer": Sophia()}, r"optimizer\.kind: sophia .*; set resources\.processes to 1, found 2"),
        ("Blobs", {"switch": Switch(to=Sophia())}, "sophia differentiates the gradient"),
        ("Blobs", {"precision": Precision(kind="fp16")}, r"precision\.kind fp16 needs CUDA"),
        ("Blobs", {"precision": Precision(device="cuda")}, r"precision\.device cuda: torch finds no CUDA"),
        (
            "loop",
            {},
            "a training loop runs in one process, which manages its own devices; set resources.processes to 1, found 2",
        ),
        ("Missing", {}, "Missing"),
    ],
)
def test_what_cannot_be_trained_in_processes_is_one_line(task: str, changes: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words) as raised:
        open_training(f"{TASKS}:{task}", SMALL.model_copy(update=changes), 3, 2)
    assert "\n" not in str(raised.value)


def test_prepare_knows_of_the_processes() -> None:
    prepare(f"{TASKS}:Blobs", SMALL, 3, 2)
    with pytest.raises(UsageError, match="manages its own devices"):
        prepare(f"{TASKS}:loop", SMALL, 3, 2)


def test_a_snapshot_of_something_else_is_refused() -> None:
    training = open_training(f"{TASKS}:Blobs", SMALL, 3, 2)
    with pytest.raises(CheckpointError, match="not a checkpoint of this training"):
        training.load_state_dict({"epoch": 1, "model": {}})
    assert ranks() == []


# --- in a worker ------------------------------------------------------------------------------------------------


def job(folder: Path, **changes) -> Job:
    parts = {
        "number": 0,
        "task": f"{TASKS}:Blobs",
        "recipe": SMALL.model_dump(mode="json"),
        "seed": 3,
        "rungs": (1, 2),
        "directory": str(folder),
        "checkpoint_every_s": 1000.0,
        "threads": 2,
        "recorded": 99,
        "processes": 2,
    }
    return Job(**(parts | changes))


def test_a_worker_trains_jobs_in_processes_and_resumes_from_their_checkpoints(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    with closing(open_training(f"{TASKS}:Blobs", SMALL, 3, 2)) as whole:
        expected = values(run(whole))
    worker = Worker()
    try:
        worker.start(job(tmp_path / "a"))
        first = [worker.step(), worker.step()]
        assert len(ranks()) == 2
        worker.start(job(tmp_path / "a"))  # as another driver would
        assert len(ranks()) == 2
        rest = worker.step()
        assert rest.error is None
        assert rest.reports[0].epoch == 2  # the checkpoint of the first rung is the newest
        again = worker.step()
        assert again.finished
        reports = [*first[0].reports, *rest.reports, *again.reports]
        assert values(reports) == expected
        assert values([*first[0].reports, *first[1].reports]) == expected[:2]
        assert (tmp_path / "a" / "final.ckpt").exists()

        worker.start(job(tmp_path / "b", task=f"{TASKS}:SecondRankRaises"))
        failed = worker.step()
        assert "the second rank's mistake" in (failed.error or "")
        worker.start(job(tmp_path / "c", processes=1))
        assert worker.step().error is None
        assert ranks() == []
    finally:
        worker.close()
        torch.set_num_threads(threads)


def test_processes_see_no_gpu_without_a_share(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with closing(Worker()) as worker:
        worker.start(job(tmp_path, task=f"{TASKS}:Seeing"))
        assert worker.step().error is None
    assert capfd.readouterr().out == "CUDA sees ['', ':4096:8']\n" * 2


def test_processes_print_where_their_parent_does_now(capfd: pytest.CaptureFixture[str]) -> None:
    # The fork server was started earlier, with other streams.
    for _ in range(2):
        with closing(open_training(f"{TASKS}:Printing", SMALL, 3, 2)):
            assert capfd.readouterr().out == "a model of one of 2\n" * 2


def test_memory_that_runs_out_in_a_process_is_known_as_that(tmp_path: Path) -> None:
    with closing(Worker()) as worker:
        worker.start(job(tmp_path, task=f"{TASKS}:TooLarge"))
        step = worker.step()
    assert step.out_of_memory
    assert "out of memory on the device" in str(step.error)
    assert "Tried to allocate 20.00 GiB" in str(step.error)


def test_a_dataset_with_workers_trains_as_in_a_single_process() -> None:
    noise = "tests.trainers.data.loaded_tasks:Noise?workers=1"
    recipe = SMALL.model_copy(update={"regularization": Regularization(mixup=0.4)})
    alone = recipe.model_copy(update={"budget": recipe.budget.model_copy(update={"accumulation": 2})})
    with closing(open_training(noise, alone, 3)) as training:
        expected = [training.run_epoch().metrics["train/loss"] for _ in range(2)]  # type: ignore[attr-defined]
    with closing(open_training(noise, recipe, 3, processes=2)) as training:
        found = [training.run_epoch().metrics["train/loss"] for _ in range(2)]  # type: ignore[attr-defined]
    assert found == pytest.approx(expected, rel=1e-5)
