"""Mixup, CutMix and the augmentation of a task: change the batches of a training, and compute their loss."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from search_spaces.errors import UsageError
from search_spaces.recipe.recipe import Regularization
from search_spaces.seeds import derive_seed
from trainers.nested import Inputs, describe_inputs
from trainers.objective import Augment, Objective
from trainers.seeding import stream
from trainers.task import Split


class Mixed(NamedTuple):
    """A batch after mixing.

    Attributes:
        inputs: Mixed inputs, ``(n, ...)``; nested inputs are never mixed.
        targets: Targets of the examples, ``(n, ...)``.
        others: Targets of the examples mixed into them, ``(n, ...)``.
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
        partners = torch.from_numpy(self._random.permutation(len(batch))).to(batch.targets.device, non_blocking=True)
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


class Augmentation:
    """The augmentation of a task's own; its random numbers depend only on the seed and the place of a micro-batch.

    Args:
        augment: The task's function; None leaves the batches as they are.
        seed: Seed of the run.
    """

    def __init__(self, augment: Augment | None, seed: int) -> None:
        self._augment = augment
        self._seed = seed

    def __call__(self, batch: Split, *place: int) -> Split:
        """Return a micro-batch augmented.

        Args:
            batch: Examples of the micro-batch.
            place: Index of the pass through the data, of the step within it, and of the micro-batch within the step.
        """
        if self._augment is None:
            return batch
        return Split(*self._augment(batch.inputs, batch.targets, stream(self._seed, "transform", *place)))


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


def mixed_loss(outputs: Tensor, batch: Mixed, objective: Objective, label_smoothing: float) -> Tensor:
    """Return the loss with both targets, weighted by their shares and summed over the examples."""
    loss = objective.summed(outputs, batch.targets, label_smoothing)
    if batch.share == 1.0:
        return loss
    other = objective.summed(outputs, batch.others, label_smoothing)
    return batch.share * loss + (1.0 - batch.share) * other
