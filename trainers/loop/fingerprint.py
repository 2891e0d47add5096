"""Compute digests of the start of a training, equal for the two trainings of a pair, and of the data of a task."""

import hashlib
import itertools
import math
import operator
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from trainers.data.checks import read_some
from trainers.nested import leaves
from trainers.task import Data, Examples, Split

DIGEST_BYTES = 16
_MOST_VALUES = 4096


def fingerprint(model: nn.Module, order: Tensor, data: Data) -> dict[str, str]:
    """Return hex digests (BLAKE2b, 16 bytes) of a training before its first epoch.

    Args:
        model: Model with its initial weights.
        order: Order of the examples of ``train`` in the first epoch, int64, ``(n,)``.
        data: Splits of the task.

    Returns:
        ``weights`` (all parameters and buffers by name), ``order``, and ``split`` (the targets of each split; of one
        that is loaded, its size and the targets of some examples).
    """
    state = itertools.chain(model.named_parameters(remove_duplicate=False), model.named_buffers(remove_duplicate=False))
    return {
        "weights": _digest(sorted(state, key=operator.itemgetter(0))),
        "order": _digest([("order", order)]),
        "split": _digest(
            (f"{name}{size}", found.targets) for name, split in data.splits.items() for size, found in [_read(split)]
        ),
    }


def data_digests(data: Data) -> dict[str, str]:
    """Return the hex digest of each split by name: all targets, and about 4000 evenly spaced values of the inputs.

    Of a split that is loaded batch by batch, the size and 32 evenly spaced items are read; of an iterable, the number
    of batches and the first one.

    Floating-point inputs are rounded to about one standard deviation, so the last digits of another processor do not
    change the digest.
    """
    return {name: _digest(_described(*_read(split))) for name, split in data.splits.items()}


def _read(split: Examples) -> tuple[str, Split]:
    """Return what a digest is computed of, and the size of a split of which that is a part."""
    if isinstance(split, Split):
        return "", split
    return f" of {split.examples}", read_some(split)


def _described(size: str, split: Split) -> Iterator[tuple[str, Tensor]]:
    yield f"targets{size}", split.targets
    for where, tensor in leaves(split.inputs):
        yield f"inputs{where} {tuple(tensor.shape)}", _values(tensor)


def _values(inputs: Tensor) -> Tensor:
    flat = inputs.detach().reshape(-1)
    values = flat[:: max(1, len(flat) // _MOST_VALUES)].cpu()
    if not values.is_floating_point():
        return values
    values = values.double()
    spread = float(values.std(correction=0))
    step = 2.0 ** round(math.log2(spread)) if spread > 0 else 1.0
    return (values / step).round() + 0.0  # without negative zeros


def _digest(tensors: Iterable[tuple[str, Tensor]]) -> str:
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for name, tensor in tensors:
        # Name, type and shape are included, so that different lists of tensors never give the same bytes.
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        # As bytes, since numpy has no bfloat16.
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
