"""Compute digests of the start of a training. They must be equal for the two trainings of a pair."""

import hashlib
import itertools
import operator
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from trainers.task import Data

DIGEST_BYTES = 16


def fingerprint(model: nn.Module, order: Tensor, data: Data) -> dict[str, str]:
    """Return hex digests (BLAKE2b, 16 bytes) of a training before its first epoch.

    Args:
        model: Model with its initial weights.
        order: Order of the examples of ``train`` in the first epoch, int64, ``(n,)``.
        data: Splits of the task.

    Returns:
        ``weights`` (all parameters and buffers by name), ``order``, and ``split`` (the targets of train, val and test).
    """
    state = itertools.chain(model.named_parameters(remove_duplicate=False), model.named_buffers(remove_duplicate=False))
    splits = (("train", data.train), ("val", data.val), ("test", data.test))
    return {
        "weights": _digest(sorted(state, key=operator.itemgetter(0))),
        "order": _digest([("order", order)]),
        "split": _digest((name, split.targets) for name, split in splits),
    }


def _digest(tensors: Iterable[tuple[str, Tensor]]) -> str:
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for name, tensor in tensors:
        # Name, type and shape are included, so that different lists of tensors never give the same bytes.
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        # As bytes, since numpy has no bfloat16.
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
