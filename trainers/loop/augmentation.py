"""Mixup and CutMix: batches whose examples are mixed in pairs, and the loss of what is mixed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from search_spaces.errors import UsageError
from search_spaces.recipe.recipe import Regularization
from search_spaces.seeds import derive_seed
from trainers.task import Split


class Mixed(NamedTuple):
    """A batch after mixing.

    Attributes:
        inputs: ``(n, ...)``.
        targets: True classes of the examples, ``(n,)``.
        others: True classes of what was mixed into them, ``(n,)``.
        share: How much of each example is its own, in ``[0, 1]``.
    """

    inputs: Tensor
    targets: Tensor
    others: Tensor
    share: float


class Mixing:
    """What one epoch draws for its batches; every number comes from the epoch's own ``augment`` stream.

    Args:
        regularization: Its ``mixup`` and ``cutmix``.
        seed: Of the run.
        epoch: From 0.
    """

    def __init__(self, regularization: Regularization, seed: int, epoch: int) -> None:
        self._alphas = {"mixup": regularization.mixup, "cutmix": regularization.cutmix}
        self._kinds = [kind for kind, alpha in self._alphas.items() if alpha > 0]
        self._random = np.random.default_rng(derive_seed(seed, "augment", epoch))

    def __call__(self, batch: Split) -> Mixed:
        """Mix a batch, or hand it back as it is when the recipe mixes nothing."""
        if not self._kinds:
            return Mixed(batch.inputs, batch.targets, batch.targets, 1.0)
        kind = self._kinds[self._random.integers(len(self._kinds))]
        share = float(self._random.beta(self._alphas[kind], self._alphas[kind]))
        partners = torch.from_numpy(self._random.permutation(len(batch))).to(batch.targets.device)
        if kind == "mixup":
            inputs = share * batch.inputs + (1.0 - share) * batch.inputs[partners]
        else:
            inputs, share = self._cut(batch.inputs, partners, share)
        return Mixed(inputs, batch.targets, batch.targets[partners], share)

    def _cut(self, inputs: Tensor, partners: Tensor, share: float) -> tuple[Tensor, float]:
        """Paste one box of each partner: a segment of signals ``(n, l)``, ``(n, c, l)``, an area of images.

        The box is centred anywhere and cut off at the border, so that the share is known only afterwards.
        """
        sizes = inputs.shape[2:] if inputs.ndim == 4 else inputs.shape[-1:]
        spread = (1.0 - share) ** (1.0 / len(sizes))
        box = [slice(None)] * (inputs.ndim - len(sizes))
        pasted = 1.0
        for size in sizes:
            half = int(size * spread) / 2.0
            centre = float(self._random.integers(size))
            low, high = max(0, int(centre - half)), min(size, int(centre + half))
            box.append(slice(low, high))
            pasted *= (high - low) / size
        inputs = inputs.clone()
        inputs[tuple(box)] = inputs[partners][tuple(box)]
        return inputs, 1.0 - pasted


def check_mixing(regularization: Regularization, inputs: Tensor) -> None:
    """Refuse to mix what cannot be mixed.

    Raises:
        UsageError: Mixup of whole numbers, such as the ids of words, or CutMix of what is no image or signal.
    """
    found = f"found inputs {str(inputs.dtype).removeprefix('torch.')} {tuple(inputs.shape)}"
    if regularization.mixup > 0 and not inputs.is_floating_point():
        raise UsageError(f"regularization.mixup needs inputs of floats, {found}; set it to 0")
    if regularization.cutmix > 0 and not (inputs.is_floating_point() and 2 <= inputs.ndim <= 4):
        raise UsageError(f"regularization.cutmix needs signals (n, c, l) or images (n, c, h, w), {found}; set it to 0")


def mixed_loss(logits: Tensor, batch: Mixed, label_smoothing: float) -> Tensor:
    """Return the sum over the examples of the cross entropy against both classes, weighted by their shares."""
    loss = functional.cross_entropy(logits, batch.targets, reduction="sum", label_smoothing=label_smoothing)
    if batch.share == 1.0:
        return loss
    other = functional.cross_entropy(logits, batch.others, reduction="sum", label_smoothing=label_smoothing)
    return batch.share * loss + (1.0 - batch.share) * other
