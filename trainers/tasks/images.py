"""Task ``images``: square images from IDX files (the format of MNIST) or from an npz file, and a CNN.

The IDX files are ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte`` and the same two with ``t10k``, each plain or
gzipped, in one folder, such as Debian's ``dataset-fashion-mnist``. An npz file has the arrays ``x_train``, ``y_train``,
``x_test`` and ``y_test``.
"""

from __future__ import annotations

import gzip
import math
import struct
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from search_spaces.errors import UsageError
from search_spaces.recipe.recipe import Recipe
from trainers.models.build import Images, build_model
from trainers.task import Data, Split, carve

Array = npt.NDArray[Any]
_UNSIGNED_BYTES = 8  # code of the only element type in image data sets


class ImageFolder:
    """Train and test split of the files; val is chosen from train by the split seed.

    Args:
        root: Folder of IDX files, or an npz file.
        val: Number of images in ``val``; 0 means a tenth of the training images.
        limit: Number of training images to use, the first ones; 0 means all.

    Raises:
        UsageError: The files at ``root`` are missing or invalid.
    """

    def __init__(self, root: str = "", val: int = 0, limit: int = 0) -> None:
        if not root:
            raise UsageError("task images: root is missing; write task: {images: {root: FOLDER}}")
        self._root = Path(root).expanduser()
        self._val = val
        self._limit = limit

    @property
    def classes(self) -> int:
        """Number of classes."""
        pool, test = self._parts
        return 1 + int(max(pool.targets.max(), test.targets.max()))

    def data(self, seed: int) -> Data:
        """Return the three splits."""
        pool, test = self._parts
        train, val = carve(pool, self._val or len(pool) // 10, seed)
        return Data(train, val, test)

    def model(self, recipe: Recipe) -> nn.Module:
        """Return the model of the recipe; by default a CNN."""
        colours, size = self._parts.pool.inputs.shape[1:3]
        return build_model(recipe, Images(colours, size), self.classes, default="cnn")

    @cached_property
    def _parts(self) -> _Parts:
        """Training and test images, loaded once per process."""
        try:
            arrays = _read_npz(self._root) if self._root.suffix == ".npz" else _read_idx(self._root)
        except (OSError, KeyError, ValueError, struct.error) as error:
            raise UsageError(f"task images: cannot read {self._root}: {error}") from error
        x_train, y_train, x_test, y_test = arrays
        limit = self._limit or len(x_train)
        if not self._val < min(limit, len(x_train)):
            raise UsageError(f"task images: val must be less than {limit}, the number of images, found {self._val}")
        return _Parts(_split(x_train[:limit], y_train[:limit]), _split(x_test, y_test))


class _Parts(NamedTuple):
    pool: Split
    test: Split


def _split(images: Array, labels: Array) -> Split:
    """Return the images with channels first and pixels from 0 to 1, and their labels."""
    if images.ndim == 3:
        images = images[:, None]
    elif images.ndim == 4 and images.shape[1] not in (1, 3):
        images = np.moveaxis(images, 3, 1)
    if images.ndim != 4 or images.shape[2] != images.shape[3]:
        raise UsageError(f"task images: the images must be square, found an array of shape {images.shape}")
    scale = 255.0 if images.dtype == np.uint8 else 1.0
    inputs = torch.from_numpy(np.ascontiguousarray(images)).float() / scale
    return Split(inputs, torch.from_numpy(labels.reshape(-1).astype(np.int64)))


def _read_npz(path: Path) -> list[Array]:
    with np.load(path, allow_pickle=False) as arrays:
        return [arrays[name] for name in ("x_train", "y_train", "x_test", "y_test")]


def _read_idx(folder: Path) -> list[Array]:
    names = [f"{part}-{kind}" for part in ("train", "t10k") for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")]
    return [_idx(folder / name) for name in names]


def _idx(path: Path) -> Array:
    """Read an IDX file: two zero bytes, the element type, the number of dimensions, the sizes, the elements."""
    zipped = path.with_name(f"{path.name}.gz")
    content = gzip.decompress(zipped.read_bytes()) if zipped.exists() else path.read_bytes()
    zeros, kind, dimensions = struct.unpack(">HBB", content[:4])
    if zeros or kind != _UNSIGNED_BYTES:
        raise ValueError(f"{path.name} is not an IDX file of unsigned bytes")
    sizes = struct.unpack(f">{dimensions}I", content[4 : 4 + 4 * dimensions])
    elements = np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).copy()  # torch needs a writable array
    if len(elements) != math.prod(sizes):
        raise ValueError(f"{path.name} has {len(elements)} elements, but its header says {math.prod(sizes)}")
    return elements.reshape(sizes)
