"""Batches in an order of their own: as many as declared, the same after a resume, refused in several processes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from search_spaces.errors import RunError, UsageError
from search_spaces.recipe.recipe import Budget, Recipe, Regularization
from tests.trainers.data.loaded_tasks import Blobs, shuffled
from tests.trainers.data.test_dataset_split import run
from trainers.compute.rank import Rank
from trainers.loop.training import Training
from trainers.tasks import IterableSplit

RECIPE = Recipe(regularization=Regularization(dropout=0.3), budget=Budget(epochs=2, batch_size=16, accumulation=2))


class Stream(IterableDataset[tuple[Tensor, Tensor]]):
    """Batches without an end."""

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield torch.randn(4, 6), torch.arange(4) % 3


def test_a_batch_of_all_examples_trains_as_a_split_in_memory() -> None:
    recipe = Recipe(budget=Budget(epochs=2, batch_size=70))  # a step per epoch, so that the order does not matter
    one, other = run(Blobs(lambda *pair: IterableSplit([pair])), recipe), run(Blobs(), recipe)
    assert one[-1]["train/loss"] == pytest.approx(other[-1]["train/loss"], rel=1e-5)
    assert one[-1]["test/nll"] == pytest.approx(other[-1]["test/nll"], rel=1e-4)


def test_a_training_repeats_and_resumes_with_its_own_order() -> None:
    whole = run(Blobs(shuffled), RECIPE)
    assert run(Blobs(shuffled), RECIPE, steps=1) == whole
    first = Training(RECIPE, Blobs(shuffled), 3)
    assert first.advance(2) is None
    second = Training(RECIPE, Blobs(shuffled), 3)
    second.load_state_dict(first.state_dict())
    report = second.run_epoch()
    assert {name: report.metrics[name] for name in whole[0]} == whole[0]


def test_a_pass_has_the_declared_number_of_batches() -> None:
    split = IterableSplit(DataLoader(Stream(), batch_size=None), batches=3)
    assert [len(batch) for batch in split.in_order(1)] == [4, 4, 4]
    assert len(split.targets) == split.examples == 12
    assert [len(batch) for batch in split.evenly_spaced(6).in_order(1)] == [4, 2]


def test_a_pass_that_ends_early_is_an_error() -> None:
    split = IterableSplit([(torch.zeros(2, 6), torch.zeros(2).long())], batches=5)
    with pytest.raises(RunError, match="the iterable ended after 1 of 5 batches"):
        list(split.in_order(1))


def test_the_number_of_batches_must_be_known() -> None:
    with pytest.raises(UsageError, match=r"batches=N\) needs the number of batches of a pass, since the Stream has no"):
        IterableSplit(Stream())
    with pytest.raises(UsageError, match="at least 1 batch in a pass, an integer, found 0"):
        IterableSplit([])


def test_several_processes_cannot_divide_its_batches() -> None:
    with pytest.raises(UsageError, match=r"cannot be divided between processes; .* found 2$"):
        Training(RECIPE, Blobs(shuffled), 3, Rank(0, 2))
