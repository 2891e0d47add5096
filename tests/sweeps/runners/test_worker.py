from __future__ import annotations

import math
import pickle
import resource
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from search_spaces import SGD, Budget, Recipe
from search_spaces.recipe.recipe import Precision
from sweeps.engine.messages import Job, Step
from sweeps.runners import worker as worker_module
from sweeps.runners.worker import GpuLostError, Worker, next_steps, passes_rung
from trainers.compute import memory
from trainers.reports import EpochReport, Position
from trainers.storage import checkpoints
from trainers.storage.address import open_folder
from trainers.storage.local import LocalFolder

RECIPE = Recipe(optimizer=SGD(lr=0.1), budget=Budget(epochs=6, batch_size=256))


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _steps_end_at_rungs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "SLICE_S", 60.0)
    monkeypatch.setattr(worker_module, "TRAINED_PER_SAVED", 0)  # these trainings are shorter than their checkpoints


def job(folder: Path | None, **changes: Any) -> Job:
    parts: dict[str, Any] = {
        "number": 0,
        "task": "digits",
        "recipe": RECIPE.model_dump(mode="json"),
        "seed": 3,
        "rungs": (1, 3),
        "directory": "" if folder is None else str(folder / "000000"),
        "checkpoint_every_s": 1000.0,
        "threads": 1,
        "recorded": 99,
    }
    return Job(**(parts | changes))


def steps(worker: Worker, count: int = 99) -> list[Step]:
    found: list[Step] = []
    while len(found) < count and not (found and (found[-1].finished or found[-1].error)):
        found.append(worker.step())
    return found


def epochs(found: list[Step]) -> list[list[int]]:
    return [[report.epoch for report in step.reports] for step in found]


def reports(found: list[Step]) -> list[EpochReport]:
    return [report for step in found for report in step.reports]


def values(found: list[Step]) -> dict[int, dict[str, float]]:
    """Return everything that the epochs reported, except durations."""
    return {
        report.epoch: {name: value for name, value in report.metrics.items() if "second" not in name}
        for report in reports(found)
    }


def stored(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "000000").glob("*"))


@pytest.fixture(scope="module")
def whole() -> dict[int, dict[str, float]]:
    """Return the run without any interruption."""
    worker = Worker()
    worker.start(job(None))
    return values(steps(worker))


def test_steps_end_at_rungs_and_at_the_end(tmp_path: Path, whole: Any) -> None:
    worker = Worker()
    worker.start(job(tmp_path))
    found = steps(worker)
    assert epochs(found) == [[1], [2, 3], [4, 5, 6]]
    assert [step.finished for step in found] == [False, False, True]
    assert [step.error for step in found] == [None, None, None]
    assert values(found) == whole
    assert {part.split for part in found[-1].reports[-1].predictions} == {"val", "test"}
    assert whole[6]["val/accuracy"] > whole[1]["val/accuracy"]


def test_a_step_ends_after_its_share_of_time(monkeypatch: pytest.MonkeyPatch, whole: Any) -> None:
    monkeypatch.setattr(worker_module, "SLICE_S", 0.0)
    worker = Worker()
    worker.start(job(None, rungs=(), recorded=0))
    found = steps(worker, 999)
    length = len(found) // 6  # one step of the optimizer each
    assert length > 1
    assert epochs(found) == [[]] * (length - 1) + [[1]] + [
        part for epoch in range(2, 7) for part in [*[[]] * (length - 1), [epoch]]
    ]
    assert values(found) == whole
    spent = [step.unfinished_s for step in found[: length - 1]]
    assert spent[0] > 0
    assert spent == sorted(set(spent))
    assert found[length - 1].unfinished_s == 0.0


def test_a_worker_that_dies_after_every_step_makes_progress(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Any
) -> None:
    monkeypatch.setattr(worker_module, "SLICE_S", 0.0)
    found: list[Step] = []
    for _ in range(200):
        worker = Worker()
        worker.start(job(tmp_path, checkpoint_every_s=1e-9, recorded=max(values(found), default=0)))
        found += steps(worker, 2)  # the second one saves what the first one trained
        if found[-1].finished:
            break
    assert found[-1].finished
    assert values(found) == whole
    saved = [step.saved for step in found]
    assert saved == sorted(saved)
    assert saved[:4] == [(0, 0), (0, 1), (0, 1), (0, 2)]  # a worker reports the checkpoint from which it continues


@pytest.mark.parametrize(
    ("steps", "seconds", "following"), [(1, 2.0, 1), (1, 0.0, 2), (8, 0.1, 16), (8, 0.4, 10), (8, 4.0, 1), (1, 0.25, 2)]
)
def test_as_many_steps_as_fit(monkeypatch: pytest.MonkeyPatch, steps: int, seconds: float, following: int) -> None:
    monkeypatch.setattr(worker_module, "SLICE_S", 0.5)
    assert next_steps(steps, seconds) == following


def test_checkpoints_are_written_at_the_start_of_a_step(tmp_path: Path) -> None:
    worker = Worker()
    worker.start(job(tmp_path))
    done = 0
    for expected in (
        [],
        ["epoch-000001.ckpt"],
        ["epoch-000001.ckpt", "epoch-000003.ckpt", "final.ckpt"],
    ):
        step = worker.step()
        assert stored(tmp_path) == expected
        # Epochs in the checkpoint had reached the driver before this step started.
        assert all(int(name[6:12]) <= done for name in expected if name.startswith("epoch"))
        done = step.reports[-1].epoch
    weights = checkpoints.load(LocalFolder(tmp_path / "000000"), "final.ckpt")
    assert weights["epoch"] == 6


def test_between_rungs_time_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "SLICE_S", 0.0)
    worker = Worker()
    worker.start(job(tmp_path, rungs=(), checkpoint_every_s=1e-9))
    steps(worker, 3)
    assert stored(tmp_path) == ["epoch-000000-step-000000001.ckpt", "epoch-000000-step-000000002.ckpt"]
    other = Worker()
    other.start(job(tmp_path / "rare", rungs=(), checkpoint_every_s=1e9))
    steps(other, 3)
    assert stored(tmp_path / "rare") == []


def test_saving_within_an_epoch_takes_a_small_share_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "SLICE_S", 0.0)
    monkeypatch.setattr(worker_module, "TRAINED_PER_SAVED", 1e9)
    worker = Worker()
    worker.start(job(tmp_path, rungs=(), checkpoint_every_s=1e-9, recorded=0))
    found = []
    while epochs(found)[-1:] != [[1]]:
        found += steps(worker, 1)
    assert stored(tmp_path) == ["epoch-000000-step-000000001.ckpt"]  # the training was too short for another one
    steps(worker, 1)  # between two epochs, only `checkpoint_every_s` counts
    assert stored(tmp_path) == ["epoch-000000-step-000000001.ckpt", "epoch-000001.ckpt"]


@pytest.mark.parametrize("done", [1, 2])
def test_another_worker_continues_bit_by_bit(tmp_path: Path, whole: Any, done: int) -> None:
    first = Worker()
    first.start(job(tmp_path))
    found = steps(first, done)
    second = Worker()
    second.start(job(tmp_path))
    again = steps(second)
    # The epochs of the last step had no checkpoint yet: they are repeated, with the same values.
    assert reports(again)[0].epoch == done
    assert values(found).items() <= whole.items()
    assert values(found) | values(again) == whole


def test_damaged_checkpoints_cost_epochs_only(tmp_path: Path, whole: Any) -> None:
    worker = Worker()
    worker.start(job(tmp_path))
    steps(worker)
    folder = tmp_path / "000000"
    newest, older = folder / "epoch-000003.ckpt", folder / "epoch-000001.ckpt"
    for damaged, first in ((newest, 2), (older, 1)):
        content = damaged.read_bytes()
        damaged.write_bytes(content[: len(content) // 2])
        again = Worker()
        again.start(job(tmp_path, checkpoint_every_s=1e9, rungs=()))
        found = steps(again)
        assert reports(found)[0].epoch == first
        assert values(found).items() <= whole.items()
        assert found[-1].finished


def test_a_checkpoint_of_something_else_starts_over(tmp_path: Path, whole: Any) -> None:
    other = {"epoch": 4, "model": {"weight": torch.zeros(3)}, "optimizer": {}}
    checkpoints.save(LocalFolder(tmp_path / "000000"), Position(4), other)
    worker = Worker()
    worker.start(job(tmp_path))
    assert values(steps(worker)) == whole


def test_one_worker_trains_one_job_after_the_other(whole: Any) -> None:
    worker = Worker()
    for seed in (4, 3):
        worker.start(job(None, seed=seed))
        found = values(steps(worker))
        assert (found == whole) == (seed == 3)


def test_a_job_may_be_left_in_the_middle(tmp_path: Path, whole: Any) -> None:
    worker = Worker()
    worker.start(job(tmp_path, seed=4))
    steps(worker, 2)
    worker.start(job(tmp_path / "other"))
    assert values(steps(worker)) == whole


def test_every_step_has_the_fingerprint_of_its_training(tmp_path: Path) -> None:
    worker = Worker()
    worker.start(job(tmp_path))
    first = steps(worker, 2)
    worker.start(job(tmp_path))  # from its checkpoint, so the weights differ from the initial ones
    resumed = steps(worker)
    assert {tuple(step.fingerprint.items()) for step in first + resumed} == {tuple(first[0].fingerprint.items())}
    assert set(first[0].fingerprint) == {"weights", "order", "split"}
    assert pickle.loads(pickle.dumps(first[0])).fingerprint == first[0].fingerprint
    assert all(step.reports_all for step in first + resumed)
    worker.start(job(None, seed=4))
    assert worker.step().fingerprint["weights"] != first[0].fingerprint["weights"]
    worker.start(job(None, task="no_such_module:Task"))
    assert worker.step().fingerprint == {}


def test_threads_are_those_of_the_job() -> None:
    worker = Worker()
    worker.start(job(None, threads=2))
    assert torch.get_num_threads() == 2


def test_divergence_ends_the_step() -> None:
    recipe = RECIPE.model_copy(update={"optimizer": SGD(lr=1e30)})
    worker = Worker()
    worker.start(job(None, recipe=recipe.model_dump(mode="json"), rungs=()))
    step = worker.step()
    assert not step.reports[-1].finite
    assert all(report.finite for report in step.reports[:-1])
    assert not step.finished


# --- the user's own ---------------------------------------------------------------------------------------------


@pytest.fixture
def module(tmp_path: Path) -> Iterator[Any]:
    """Write a user's module into a folder that is not on the import path yet."""
    before, names = list(sys.path), []
    folder = tmp_path / "theirs"
    folder.mkdir()

    def write(name: str, text: str) -> tuple[str, ...]:
        (folder / f"{name}.py").write_text(textwrap.dedent(text))
        names.append(name)
        return (str(folder),)

    yield write
    sys.path[:] = before
    for name in names:
        sys.modules.pop(name, None)


LOOP = """
    def train(config, seed, state=None):
        start = 0 if state is None else state["epoch"]
        for epoch in range(start, 100):
            yield {"val/x": seed + config["custom"]["slope"] * epoch}, {"epoch": epoch + 1}

    def short(config, seed, state=None):
        yield {"val/x": 1.0}
        yield {"val/x": 2.0}

    def leaves(config, seed, state=None):
        yield {"val/x": 1.0}
        raise SystemExit("diverged, giving up")

    def silent(config, seed, state=None):
        yield {"val/x": 1.0}
        raise SystemExit

    def interrupts(config, seed, state=None):
        yield {"val/x": 1.0}
        raise KeyboardInterrupt

    class WordlessError(Exception):
        def __str__(self):
            raise ValueError("no text")

    def wordless(config, seed, state=None):
        yield {"val/x": 1.0}
        raise WordlessError

    def broken(config, seed, state=None):
        yield {"val/x": 1.0}
        raise KeyError("their mistake")

    def nan(config, seed, state=None):
        yield {"val/x": 1.0}
        yield {"val/x": float("nan")}
        yield {"val/x": 1.0}
    """
CARDS = """
    import os

    imported_with = os.environ["CUDA_VISIBLE_DEVICES"]

    def train(config, seed, state=None):
        for _ in range(5):
            yield {"val/x": float(imported_with == os.environ["CUDA_VISIBLE_DEVICES"] == config["custom"]["cards"])}
    """
LOOP_RECIPE = Recipe(budget=Budget(epochs=5), custom={"slope": 0.5}).model_dump(mode="json")


def loop(module: Any, name: str, folder: Path | None = None, **changes: Any) -> Worker:
    paths = module("their_loop", LOOP)
    worker = Worker()
    worker.start(job(folder, task=f"their_loop:{name}", recipe=LOOP_RECIPE, import_paths=paths, **changes))
    return worker


def test_a_loop_is_trained_to_its_budget_and_continued(tmp_path: Path, module: Any) -> None:
    worker = loop(module, "train", tmp_path)
    found = steps(worker, 2)
    assert [report.metrics["val/x"] for report in reports(found)] == [3.0, 3.5, 4.0]
    again = steps(loop(module, "train", tmp_path))
    assert [report.metrics["val/x"] for report in reports(again)] == [3.5, 4.0, 4.5, 5.0]
    assert again[-1].finished
    assert again[-1].fingerprint == {}
    assert not again[-1].reports_all
    assert "final.ckpt" in stored(tmp_path)


@pytest.mark.parametrize(("gpu", "cards"), [(0.0, ""), (0.5, "GPU-1")])
def test_a_run_without_a_share_sees_no_gpu(
    module: Any, monkeypatch: pytest.MonkeyPatch, gpu: float, cards: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu > 0)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda share: None)
    released: list[bool] = []
    monkeypatch.setattr(memory, "release", lambda: released.append(True))
    recipe = Recipe(budget=Budget(epochs=5), custom={"cards": cards}).model_dump(mode="json")
    name = f"their_cards_{len(cards)}"  # a task is imported once per process
    worker, paths = Worker(), module(name, CARDS)
    worker.start(job(None, task=f"{name}:train", recipe=recipe, import_paths=paths, gpu=gpu, rungs=()))
    assert [report.metrics["val/x"] for report in reports(steps(worker))] == [1.0] * 5
    assert len(released) == (gpu > 0)  # the memory of the last run


def test_a_worker_that_can_no_longer_use_its_gpu_raises_after_the_epochs(
    module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = loop(module, "broken", rungs=())
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)

    def synchronize() -> None:
        raise torch.AcceleratorError("CUDA error: device-side assert triggered")

    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)
    with pytest.raises(GpuLostError, match="can no longer use the GPU") as raised:
        worker.step()
    assert [report.epoch for report in raised.value.step.reports] == [1]
    assert "KeyError: 'their mistake'" in str(raised.value.step.error)


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_a_run_with_a_share_of_a_gpu_that_torch_does_not_find_fails(
    monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    worker = Worker()
    recipe = RECIPE.model_copy(update={"precision": Precision(device=device)})
    worker.start(job(None, recipe=recipe.model_dump(mode="json"), gpu=0.25))
    step = worker.step()
    assert "UsageError: resources.gpu: 0.25 of a GPU, but torch " in str(step.error)
    assert not step.out_of_memory


def test_a_loop_that_ends_early_has_failed_after_its_epochs(tmp_path: Path, module: Any) -> None:
    [step] = steps(loop(module, "short", tmp_path, rungs=()))
    assert [report.epoch for report in step.reports] == [1, 2]
    assert "RunError: the training loop returned after 2 of 5 epochs" in str(step.error)
    assert stored(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("leaves", "SystemExit: diverged, giving up"),
        ("silent", "SystemExit"),
        ("interrupts", "KeyboardInterrupt"),
        ("wordless", "their_loop.WordlessError: <exception str() failed>"),
    ],
)
def test_code_that_leaves_fails_its_run_after_its_epochs(module: Any, name: str, reason: str) -> None:
    [step] = steps(loop(module, name, rungs=()))
    assert [report.epoch for report in step.reports] == [1]
    assert str(step.error).splitlines()[-1] == reason


def test_code_that_leaves_at_import_fails_its_run(module: Any) -> None:
    paths = module("their_exit", "import sys\nsys.exit('not today')\n")
    worker = Worker()
    worker.start(job(None, task="their_exit:train", import_paths=paths))
    assert "SystemExit: not today" in str(worker.step().error)


def test_a_persons_interrupt_is_raised(module: Any) -> None:
    worker = Worker(interrupted=lambda: True)
    paths = module("their_loop", LOOP)
    worker.start(job(None, task="their_loop:interrupts", recipe=LOOP_RECIPE, import_paths=paths, rungs=()))
    with pytest.raises(KeyboardInterrupt):
        steps(worker)


def test_what_a_loop_raises_is_a_traceback_after_its_epochs(module: Any) -> None:
    [step] = steps(loop(module, "broken", rungs=()))
    assert [report.epoch for report in step.reports] == [1]
    assert not step.finished
    assert step.error is not None
    assert step.error.startswith("Traceback")
    assert "KeyError: 'their mistake'" in step.error
    assert "their_loop.py" in step.error


def test_a_loop_that_reports_nan_stops_there(module: Any) -> None:
    step = loop(module, "nan", rungs=()).step()
    assert [report.epoch for report in step.reports] == [1, 2]
    assert math.isnan(step.reports[-1].metrics["val/x"])


@pytest.mark.parametrize(
    ("task", "words"),
    [("no_such_module:Task", "no_such_module"), ("digitz", "did you mean digits")],
)
def test_a_task_that_cannot_be_opened_is_reported_by_the_step(task: str, words: str) -> None:
    worker = Worker()
    worker.start(job(None, task=task))
    for _ in range(2):
        step = worker.step()
        assert step.reports == ()
        assert words in (step.error or "")


def test_a_failed_start_does_not_spoil_the_next(whole: Any) -> None:
    worker = Worker()
    worker.start(job(None, task="no_such_module:Task"))
    assert worker.step().error
    worker.start(job(None))
    assert values(steps(worker)) == whole


def test_a_step_without_a_job() -> None:
    assert Worker().step().error == "the worker was asked to step without a job"


def test_a_checkpoint_that_is_ahead_of_the_records_is_dropped(tmp_path: Path, whole: Any) -> None:
    first = Worker()
    first.start(job(tmp_path))
    steps(first)
    second = Worker()
    second.start(job(tmp_path, recorded=2))  # the record of the third epoch was lost
    found = steps(second)
    assert reports(found)[0].epoch == 2
    assert values(found).items() <= whole.items()
    third = Worker()
    third.start(job(tmp_path))
    assert reports(steps(third))[0].epoch > 2


def test_a_full_disk_costs_checkpoints_and_no_run(tmp_path: Path, whole: Any) -> None:
    worker = Worker()
    worker.start(job(tmp_path))
    found = steps(worker, 1)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        found += steps(worker)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [step.error for step in found] == [None] * 3
    assert values(found) == whole
    assert [step.warning for step in found] == [
        None,
        "checkpoint not written: File too large",
        "trained weights not written: File too large",
    ]
    assert stored(tmp_path) == []
    assert {step.saved for step in found} == {(0, 0)}
    worker.start(job(tmp_path, seed=4))
    assert worker.step().warning is None


def test_a_folder_that_cannot_be_made_costs_checkpoints_and_no_run(tmp_path: Path, whole: Any) -> None:
    (tmp_path / "000000").write_text("in the way")
    worker = Worker()
    worker.start(job(tmp_path))
    found = steps(worker)
    assert values(found) == whole
    assert found[-1].finished
    assert found[-1].warning == "trained weights not written: File exists"


def test_a_remote_folder_that_goes_away_costs_checkpoints_and_no_run(
    whole: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    folder = open_folder("memory://goes-away")

    def away(*_: Any, **__: Any) -> None:
        raise ConnectionResetError("the store\nis away")

    worker = Worker()
    worker.start(job(None, directory=str(folder)))
    found = steps(worker, 2)
    assert folder.names() == ["epoch-000001.ckpt"]
    with monkeypatch.context() as patch:
        patch.setattr(MemoryFileSystem, "_open", away)
        patch.setattr(MemoryFileSystem, "find", away)
        found += steps(worker)
        other = Worker()
        other.start(job(None, directory=str(folder)))
        first = other.step()
    assert values(found) == whole
    assert [step.error for step in found] == [None] * 3
    assert [step.warning for step in found] == [None, None, "trained weights not written: the store is away"]
    # A run that starts during the outage trains from the start, and writes checkpoints again afterwards.
    assert (first.error, first.warning) == (None, "checkpoints not read, trained from the start: the store is away")
    again = [first, *steps(other)]
    assert values(again) == whole
    assert sorted(folder.names()) == ["epoch-000001.ckpt", "epoch-000003.ckpt", "final.ckpt"]
    folder.remove()


@pytest.mark.parametrize(
    ("before", "after", "passes"), [(0, 1, False), (0, 3, True), (3, 8, False), (3, 9, True), (8, 10, True)]
)
def test_a_report_may_come_later_than_its_rung(before, after, passes):
    assert passes_rung((3, 9), before, after) is passes
