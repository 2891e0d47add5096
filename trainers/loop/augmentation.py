"""Mixup and CutMix: mix the examples of a batch in pairs, and compute the loss of the mixed examples."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from search_spaces.errors import UsageError
from search_spaces.recipe.recipe import Regularization
from search_spaces.seeds import derive_seed
from trainers.nested import Inputs, describe_inputs
from trainers.task import Split


class Mixed(NamedTuple):
    """A batch after mixing.

    Attributes:
        inputs: Mixed inputs, ``(n, ...)``; nested inputs are never mixed.
        targets: True classes of the examples, ``(n,)``.
        others: True classes of the examples mixed into them, ``(n,)``.
        share: Weight of the original example, in ``[0, 1]``.
    """

    inputs: Inputs
    targets: Tensor
    others: Tensor
    share: float


class Mixing:
    """Random mixing of the batches of one epoch; all numbers come from the ``augment`` stream of this epoch.

    Args:
        regularization: Strengths of ``mixup`` and ``cutmix``.
        seed: Seed of the run.
        epoch: Index of the epoch, from 0.
    """

    def __init__(self, regularization: Regularization, seed: int, epoch: int) -> None:
        self._alphas = {"mixup": regularization.mixup, "cutmix": regularization.cutmix}
        self._kinds = [kind for kind, alpha in self._alphas.items() if alpha > 0]
        self._random = np.random.default_rng(derive_seed(seed, "augment", epoch))

    def state_dict(self) -> dict[str, Any]:
        """Return a snapshot of the random numbers."""
        return dict(self._random.bit_generator.state)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a snapshot."""
        self._random.bit_generator.state = state

    def __call__(self, batch: Split) -> Mixed:
        """Return a batch mixed, or unchanged if the recipe mixes nothing."""
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
        """Paste a box of each partner into an example: a segment of a signal, an area of an image.

        The box is centred at random and clipped at the border, so the share is known only afterwards.
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


def check_mixing(regularization: Regularization, inputs: Inputs) -> None:
    """Check that the inputs can be mixed.

    Raises:
        UsageError: Mixup is used with integer inputs, such as word ids, or CutMix without images or signals.
    """
    found = f"found inputs {describe_inputs(inputs)}"
    floating = isinstance(inputs, Tensor) and inputs.is_floating_point()
    if regularization.mixup > 0 and not floating:
        raise UsageError(f"regularization.mixup needs float inputs, {found}; set it to 0")
    if regularization.cutmix > 0 and not (floating and 2 <= inputs.ndim <= 4):
        raise UsageError(f"regularization.cutmix needs signals (n, c, l) or images (n, c, h, w), {found}; set it to 0")


def mixed_loss(logits: Tensor, batch: Mixed, label_smoothing: float) -> Tensor:
    """Return the cross entropy with both classes, weighted by their shares and summed over the examples."""
    loss = functional.cross_entropy(logits, batch.targets, reduction="sum", label_smoothing=label_smoothing)
    if batch.share == 1.0:
        return loss
    other = functional.cross_entropy(logits, batch.others, reduction="sum", label_smoothing=label_smoothing)
    return batch.share * loss + (1.0 - batch.share) * other
