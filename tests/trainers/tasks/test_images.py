"""The task for images from files: IDX, plain and gzipped, and npz."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from search_spaces.errors import UsageError
from search_spaces.recipe.model import Model
from search_spaces.recipe.optimizers import AdamW
from search_spaces.recipe.recipe import Budget, Recipe
from search_spaces.specs.task_reference import write_reference
from trainers.loop.training import Training
from trainers.task_lookup import load_task
from trainers.tasks.images import ImageFolder

RNG = np.random.default_rng(0)


def arrays(n: int, *shape: int) -> tuple[np.ndarray, np.ndarray]:
    """Make images whose class is 1 if they are bright."""
    labels = (np.arange(n) % 2).astype(np.uint8)
    noise = RNG.integers(0, 100, (n, *shape), dtype=np.uint8)
    return noise + 100 * labels.reshape(-1, *[1] * len(shape)), labels


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for part, n in (("train", 60), ("t10k", 20)):
        images, labels = arrays(n, 8, 8)
        (tmp_path / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx(labels))
    return tmp_path


def test_idx_files_train(folder):
    task = load_task(write_reference("images", {"root": str(folder)}))
    data = task.data(0)
    assert task.classes == 2
    assert [len(split) for split in (data.train, data.val, data.test)] == [54, 6, 20]
    assert data.train.inputs.shape[1:] == (1, 8, 8)
    assert 0 <= data.train.inputs.min() <= data.train.inputs.max() <= 1
    training = Training(Recipe(optimizer=AdamW(lr=1e-2), budget=Budget(epochs=6, batch_size=8)), task, 0)
    while not training.finished:
        report = training.run_epoch()
    assert report.metrics["test/accuracy"] > 0.9


def test_the_split_seed_leaves_test_alone(folder):
    task = ImageFolder(str(folder), val=10)
    a, b = task.data(1), task.data(2)
    assert torch.equal(a.test.inputs, b.test.inputs)
    assert not torch.equal(a.val.inputs, b.val.inputs)
    assert len(a.val) == 10


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 3), (3, 8, 8)])
@pytest.mark.parametrize("kind", ["cnn", "mlp", "transformer", "gru"])
def test_npz_files_in_grey_and_in_colour(tmp_path, shape, kind):
    x, y = arrays(30, *shape)
    np.savez(tmp_path / "some.npz", x_train=x, y_train=y.reshape(-1, 1), x_test=x[:5], y_test=y[:5])
    task = ImageFolder(str(tmp_path / "some.npz"), limit=20)
    data = task.data(0)
    assert (len(data.train), len(data.val), len(data.test)) == (18, 2, 5)
    assert task.model(Recipe(model=Model(kind=kind)))(data.val.inputs).shape == (2, 2)


def test_what_cannot_be_read_is_one_line(folder, tmp_path):
    for root in (tmp_path / "nowhere", tmp_path / "none.npz"):
        with pytest.raises(UsageError, match=r"task images: cannot read .*No such file"):
            ImageFolder(str(root)).data(0)
    labels = folder / "train-labels-idx1-ubyte"
    labels.write_bytes(labels.read_bytes()[:-1])
    with pytest.raises(UsageError, match="has 59 elements, but its header says 60"):
        ImageFolder(str(folder)).data(0)
    labels.write_bytes(b"hello, world")
    with pytest.raises(UsageError, match="is not an IDX file of unsigned bytes"):
        ImageFolder(str(folder)).data(0)
    np.savez(tmp_path / "flat.npz", **dict.fromkeys(("x_train", "y_train", "x_test", "y_test"), np.zeros((4, 2))))
    with pytest.raises(UsageError, match="the images must be square"):
        ImageFolder(str(tmp_path / "flat.npz")).data(0)
