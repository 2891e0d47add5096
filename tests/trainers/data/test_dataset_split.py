"""A dataset that is loaded gives the numbers of the same examples in memory, in any number of processes."""

from __future__ import annotations

import itertools
import os
import random
import signal
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from search_spaces.errors import RunError, UsageError
from search_spaces.recipe.averaging import EMA
from search_spaces.recipe.optimizers import SGD
from search_spaces.recipe.recipe import Budget, Recipe, Regularization, Signals
from search_spaces.recipe.schedules import Constant
from tests.trainers.data.loaded_tasks import Blobs, Noisy, noisy, plain
from trainers.loop.training import Training
from trainers.task import EpochPlan
from trainers.tasks import Data, DatasetSplit, Split

RECIPE = Recipe(
    optimizer=SGD(lr=0.1),
    regularization=Regularization(dropout=0.3, mixup=0.4),
    averaging=EMA(decay=0.9),
    signals=Signals(train_rescored=True, fgsm=(0.1,), pruning=(0.5,)),
    budget=Budget(epochs=2, batch_size=16, accumulation=2),
)


def run(task: Blobs, recipe: Recipe = RECIPE, steps: int = 100) -> list[dict[str, float]]:
    """Return the metrics of every epoch that do not measure time."""
    found = []
    with closing(Training(recipe, task, seed=3)) as training:
        while not training.finished:
            report = training.advance(steps)
            if report is not None:
                found.append({name: value for name, value in report.metrics.items() if "second" not in name})
    return found


def test_a_dataset_trains_as_the_tensors_that_it_wraps() -> None:
    one, other = Training(RECIPE, Blobs(), 3), Training(RECIPE, Blobs(plain(0)), 3)
    for name in ("order", "weights"):
        assert one.fingerprint[name] == other.fingerprint[name]
    loaded = run(Blobs(plain(0)))
    assert loaded == run(Blobs())
    assert loaded == run(Blobs(plain(2)))


def test_random_numbers_of_items_do_not_depend_on_the_workers() -> None:
    alone = run(Blobs(noisy(0)))
    assert alone == run(Blobs(noisy(1)), steps=1)
    assert alone == run(Blobs(noisy(2)))
    assert alone[0]["train/loss"] != run(Blobs())[0]["train/loss"]


def test_items_differ_between_epochs_and_not_between_evaluations() -> None:
    split = DatasetSplit(Noisy(torch.zeros(5, 6), torch.zeros(5).long()))
    epochs = [
        next(split.epoch_steps(EpochPlan(Budget(batch_size=5), 3, epoch, False)).after(0))[0].load() for epoch in (0, 1)
    ]
    assert not torch.equal(epochs[0].inputs.sort(0).values, epochs[1].inputs.sort(0).values)
    first, again = (torch.cat([batch.inputs for batch in split.in_order(size)]) for size in (2, 5))
    assert torch.equal(first, again)
    assert len({tuple(row) for row in first.tolist()}) == 5


def test_loading_draws_nothing_from_the_global_generators() -> None:
    split = DatasetSplit(Noisy(torch.zeros(5, 6), torch.zeros(5).long()))
    torch.manual_seed(1), np.random.seed(1), random.seed(1)
    before = torch.get_rng_state(), np.random.get_state(legacy=False), random.getstate()
    list(split.in_order(2))
    split.sample(2)
    assert torch.equal(before[0], torch.get_rng_state())
    assert str(before[1]) == str(np.random.get_state(legacy=False))
    assert before[2] == random.getstate()


def test_resuming_within_an_epoch_is_bit_identical_and_loads_only_the_rest() -> None:
    whole = run(Blobs(noisy(0)))
    first = Training(RECIPE, Blobs(noisy(0)), 3)
    assert first.advance(2) is None
    second = Training(RECIPE, Blobs(noisy(0)), 3)
    second.load_state_dict(first.state_dict())
    dataset = second._data.train._loader.dataset  # type: ignore[attr-defined]
    dataset.loaded.clear()
    while (report := second.advance(1)) is None:
        assert len(dataset.loaded) <= 70 - 64  # the first two steps have 32 examples each
    assert {name: report.metrics[name] for name in whole[0]} == whole[0]


def test_training_equals_a_plain_loop_over_a_data_loader() -> None:
    recipe = Recipe(
        optimizer=SGD(lr=0.1, momentum=0.0, nesterov=False, weight_decay=0.0),
        schedule=Constant(),
        budget=Budget(epochs=2, batch_size=10),
    )
    training = Training(recipe, Blobs(plain(0)), 3)
    task = Blobs()
    model = task.model(recipe)
    model.load_state_dict(training.model.state_dict())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for epoch in range(2):
        training.run_epoch()
        split = training._data.train
        assert isinstance(split, DatasetSplit)
        order = [int(index) for parts in _order(70, epoch) for index in parts]
        dataset: Dataset[Any] = split._loader.dataset
        model.train()
        for inputs, targets in DataLoader(dataset, batch_size=10, sampler=order):
            optimizer.zero_grad()
            functional.cross_entropy(model(inputs), targets).backward()
            optimizer.step()
    for ours, theirs in zip(training.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def _order(examples: int, epoch: int) -> list[list[int]]:
    indices = DatasetSplit(TensorDataset(torch.arange(examples), torch.zeros(examples).long()))
    steps = indices.epoch_steps(EpochPlan(Budget(batch_size=10), 3, epoch, False)).after(0)
    return [part.load().inputs.tolist() for parts in steps for part in parts]


def test_a_rank_loads_only_its_own_micro_batches() -> None:
    dataset = Noisy(torch.randn(12, 6), torch.arange(12) % 3)
    split = DatasetSplit(dataset)
    plan = EpochPlan(Budget(batch_size=2, accumulation=3), 3, 0, False, lambda number: number % 2 == 1)
    sizes = [[len(part.load()) for part in parts] for parts in split.epoch_steps(plan).after(0)]
    assert sizes == [[2, 2, 2], [2, 2, 2]]
    order = split.order(3).tolist()
    assert set(dataset.loaded) == {0, *order[2:4], *order[8:10]}  # 0 stands in for those of the other rank


def test_workers_end_with_the_training() -> None:
    before = set(psutil.Process().children(recursive=True))
    training = Training(RECIPE, Blobs(noisy(2)), 3)
    training.advance(1)
    assert len(set(psutil.Process().children(recursive=True)) - before) == 2
    training.close()
    assert set(psutil.Process().children(recursive=True)) <= before


class Faulty(Dataset[tuple[Tensor, Tensor]]):
    """Raises at one index; at another, it kills the process that loads it."""

    def __init__(self, raises: int = -1, dies: int = -1) -> None:
        self.raises, self.dies = raises, dies

    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if index == self.raises:
            raise ValueError("cannot read the photo\nand more")
        if index == self.dies:
            os.kill(os.getpid(), signal.SIGKILL)
        return torch.zeros(3), torch.tensor(0)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_item_that_fails_is_one_line_in_any_number_of_workers(workers: int) -> None:
    with (
        closing(DatasetSplit(Faulty(raises=7), workers)) as split,
        pytest.raises(RunError, match=r"^item 7 of the dataset failed: ValueError: cannot read the photo \(.*:\d+\)$"),
    ):
        list(split.in_order(4))


def test_a_worker_that_is_killed_is_one_line_and_raised_nowhere_else() -> None:
    handler = signal.getsignal(signal.SIGCHLD)
    with closing(DatasetSplit(Faulty(dies=17), workers=2)) as split:
        batches = split.in_order(4)
        next(batches)
        assert signal.getsignal(signal.SIGCHLD) is handler
        with pytest.raises(RunError, match=r"^a process that loads the data ended: killed by SIGKILL; if memory ran"):
            list(batches)


class Pairs(nn.Module):
    """A model of nested inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(6, 3)

    def forward(self, inputs: dict[str, Any]) -> torch.Tensor:
        logits: torch.Tensor = self.head(torch.cat([inputs["a"], *inputs["rest"]], dim=1))
        return logits


class Nested(Blobs):
    def __init__(self, loaded: bool) -> None:
        super().__init__()
        self._loaded = loaded

    def data(self, seed: int) -> Data:
        data = super().data(seed)
        return Data(*(self._nest(split) for split in (data.train, data.val, data.test)))

    def _nest(self, split: Any) -> Any:
        def nested(x: torch.Tensor) -> dict[str, Any]:
            return {"a": x[..., :2], "rest": (x[..., 2:5], x[..., 5:])}

        if not self._loaded:
            return Split(nested(split.inputs), split.targets)
        return DatasetSplit([(nested(x), y) for x, y in zip(split.inputs, split.targets, strict=True)])  # type: ignore[arg-type]

    def model(self, recipe: Recipe) -> nn.Module:
        return Pairs()


class Joined(Blobs):
    """The same model on the same numbers, as one tensor."""

    def model(self, recipe: Recipe) -> nn.Module:
        return nn.Sequential(nn.Linear(6, 3))


def test_nested_inputs_train_as_one_tensor_does() -> None:
    recipe = Recipe(budget=Budget(epochs=2, batch_size=16), signals=Signals(pruning=(0.5,)))
    one = run(Joined(), recipe)
    assert run(Nested(loaded=False), recipe) == one
    assert run(Nested(loaded=True), recipe) == one


class Endless(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        return itertools.count()


def test_what_is_no_dataset_of_items_is_refused() -> None:
    with pytest.raises(UsageError, match=r"needs a dataset with __len__ and __getitem__, found a Endless; use an It"):
        DatasetSplit(Endless())
    with pytest.raises(UsageError, match=r"workers of at least 0 .* found -1 and 256"):
        DatasetSplit(TensorDataset(torch.zeros(2)), workers=-1)
