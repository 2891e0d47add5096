"""Statistics of the gradients, updates and weights in one epoch, and gradient clipping.

They are collected as tensors at every step and read only at the end of the epoch, because reading a number from a
tensor makes the CPU wait for the GPU.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from search_spaces.recipe.recipe import Regularization

NEAR_ZERO = 1e-3


class GradientStats:
    """Gradient statistics of one epoch.

    A *layer* here is a weight with two or more dimensions. Biases and norm scales have gradients of another order of
    magnitude and would always be the minimum; they count as layers only if the model has no others.

    Args:
        parameters: Trained parameters.
        regularization: Settings for clipping.
        steps: Number of steps in the epoch. The update is measured in the middle one, where a decaying learning rate is
            not yet near 0.
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
        """Record the gradient of a step before it is clipped, and return its global norm."""
        # Detached, since gradients of a second-order optimizer hold the graph of their step, with all its memory.
        gradients = [self._zero if p.grad is None else p.grad.detach() for p in self._parameters]
        # The kernel that torch's clip_grad_norm_ uses, which keeps only the total.
        norms = torch.stack(torch._foreach_norm(gradients))
        self._norms.append(norms)
        if self._regularization.clip_value is not None:
            self._largest.append(torch.stack(torch._foreach_norm(gradients, math.inf)).max())
        total: Tensor = torch.linalg.vector_norm(norms)
        return total

    @contextmanager
    def update(self, step: int) -> Iterator[None]:
        """Measure the update inside the block if this step is the sampled one."""
        if step != self._sampled_step:
            yield
            return
        before = [layer.detach().clone() for layer in self._layers]
        yield
        sizes = torch.stack([torch.linalg.vector_norm(weight) for weight in before])
        changes = [torch.linalg.vector_norm(a.detach() - b) for a, b in zip(self._layers, before, strict=True)]
        # A layer that starts at zero, such as an adapter, must not make the run look diverged.
        self._ratio = (torch.stack(changes) / sizes.clamp_min(1e-12)).median()

    def state_dict(self) -> dict[str, Tensor]:
        """Return a snapshot."""
        return {
            "norms": torch.stack(self._norms),
            "largest": torch.stack(self._largest) if self._largest else torch.empty(0),
            "ratio": self._ratio.clone(),
        }

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Resume from a snapshot."""
        device = self._zero.device
        self._norms = list(state["norms"].to(device).unbind())
        self._largest = list(state["largest"].to(device).unbind())
        self._ratio = state["ratio"].to(device)

    def metrics(self, skips_steps: bool) -> dict[str, float]:
        """Return the statistics as ``train/`` metrics.

        Args:
            skips_steps: Whether steps with a non-finite gradient were skipped.
        """
        by_parameter = torch.stack(self._norms).double()
        totals = torch.linalg.vector_norm(by_parameter, dim=1)
        largest = torch.stack(self._largest).double() if self._largest else totals
        if skips_steps:
            taken = totals.isfinite()
            # If all steps were skipped, report zeros, since NaN would mark the run as diverged.
            rows = taken if taken.any() else slice(0, 1)
            by_parameter, totals, largest = (
                torch.nan_to_num(values[rows], 0.0, 0.0) for values in (by_parameter, totals, largest)
            )
        layers = by_parameter[:, self._is_layer.to(by_parameter.device)].mean(dim=0)
        clip = self._regularization.clip_norm or self._regularization.clip_value or math.inf
        weights = torch.cat([layer.detach().flatten() for layer in self._layers])
        # Layer by layer: several numbers for each weight at once would need more memory than the training.
        near_zero = torch.stack([(layer.detach().abs() < NEAR_ZERO).count_nonzero() for layer in self._layers]).sum()
        values = {
            "grad_norm": totals.mean(),
            "grad_norm_max": totals.max(),
            "grad_norm_layer_min": layers.min(),
            "grad_norm_layer_max": layers.max(),
            "clip_rate": (largest > clip).double().mean(),
            "update_ratio": self._ratio,
            "weight_norm": torch.linalg.vector_norm(weights, dtype=torch.float64),
            "near_zero": near_zero.double() / len(weights),
        }
        return {f"train/{name}": value.item() for name, value in values.items()}


def clip_gradients(parameters: list[nn.Parameter], regularization: Regularization, norm: Tensor | None = None) -> None:
    """Clip the gradients as the recipe says; ``norm`` is their global norm if it is already known."""
    if regularization.clip_norm is not None and norm is not None:
        nn.utils.clip_grads_with_norm_(parameters, regularization.clip_norm, norm)
    elif regularization.clip_norm is not None:
        nn.utils.clip_grad_norm_(parameters, regularization.clip_norm)
    elif regularization.clip_value is not None:
        nn.utils.clip_grad_value_(parameters, regularization.clip_value)
