"""What one epoch of training says about itself besides its loss.

Gathered as tensors, step by step, and read only at the end of the epoch: to read a number out of a tensor makes
a CPU wait for its GPU.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from search_spaces.recipe.recipe import Regularization

NEAR_ZERO = 1e-3


class GradientStats:
    """The signals of one epoch.

    A *layer* here is a weight with two or more dimensions: biases and norm scales have gradients of another order
    of magnitude, and would be every minimum. A model that has only those has them as its layers.

    Args:
        parameters: Those that are trained.
        regularization: Its clipping.
        steps: Of the epoch; the update is measured in the middle one, where a decayed learning rate is not over yet.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], regularization: Regularization, steps: int) -> None:
        self._parameters = parameters
        self._regularization = regularization
        self._sampled_step = steps // 2
        self._is_layer = torch.tensor([p.ndim >= 2 for p in parameters])
        if not self._is_layer.any():
            self._is_layer[:] = True
        self._layers = [p for p, layer in zip(parameters, self._is_layer.tolist(), strict=True) if layer]
        self._zero = torch.zeros(1, device=parameters[0].device)
        self._norms: list[Tensor] = []
        self._largest: list[Tensor] = []
        self._ratio = self._zero

    def gradient(self) -> Tensor:
        """Take in the gradient of a step before it is clipped, and return its global norm."""
        gradients = [self._zero if p.grad is None else p.grad for p in self._parameters]
        # The kernel of torch's own clip_grad_norm_, which keeps only the total of what this returns.
        norms = torch.stack(torch._foreach_norm(gradients))
        self._norms.append(norms)
        if self._regularization.clip_value is not None:
            self._largest.append(torch.stack(torch._foreach_norm(gradients, math.inf)).max())
        total: Tensor = torch.linalg.vector_norm(norms)
        return total

    @contextmanager
    def update(self, step: int) -> Iterator[None]:
        """Measure the update that happens inside the block, if it is the sampled step's."""
        if step != self._sampled_step:
            yield
            return
        before = [layer.detach().clone() for layer in self._layers]
        yield
        sizes = torch.stack([torch.linalg.vector_norm(weight) for weight in before])
        changes = [torch.linalg.vector_norm(a.detach() - b) for a, b in zip(self._layers, before, strict=True)]
        # A layer that starts from zeros, as adapters do, must not make a whole run look diverged.
        self._ratio = (torch.stack(changes) / sizes.clamp_min(1e-12)).median()

    def metrics(self, skips_steps: bool) -> dict[str, float]:
        """Return the ``train/`` metrics that are no losses.

        Args:
            skips_steps: Whether a step with a gradient that is not finite was no step at all.
        """
        by_parameter = torch.stack(self._norms).double()
        totals = torch.linalg.vector_norm(by_parameter, dim=1)
        largest = torch.stack(self._largest).double() if self._largest else totals
        if skips_steps:
            taken = totals.isfinite()
            # With no step taken there was no gradient: zeros, since NaN would call the run diverged.
            rows = taken if taken.any() else slice(0, 1)
            by_parameter, totals, largest = (
                torch.nan_to_num(values[rows], 0.0, 0.0) for values in (by_parameter, totals, largest)
            )
        layers = by_parameter[:, self._is_layer.to(by_parameter.device)].mean(dim=0)
        clip = self._regularization.clip_norm or self._regularization.clip_value or math.inf
        weights = torch.cat([layer.detach().flatten() for layer in self._layers])
        values = {
            "grad_norm": totals.mean(),
            "grad_norm_max": totals.max(),
            "grad_norm_layer_min": layers.min(),
            "grad_norm_layer_max": layers.max(),
            "clip_rate": (largest > clip).double().mean(),
            "update_ratio": self._ratio,
            "weight_norm": torch.linalg.vector_norm(weights, dtype=torch.float64),
            "near_zero": (weights.abs() < NEAR_ZERO).double().mean(),
        }
        return {f"train/{name}": value.item() for name, value in values.items()}


def reset_peak_memory(device: torch.device) -> None:
    """Start to measure ``peak_memory`` anew."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> dict[str, float]:
    """Return the most memory that tensors took on a GPU, in bytes. Of a CPU torch does not know it."""
    return {"train/peak_memory": float(torch.cuda.max_memory_allocated(device))} if device.type == "cuda" else {}
