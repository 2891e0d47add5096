"""Initialise the lazy layers of a model, such as ``torch.nn.LazyLinear``, whose shapes depend on their first inputs."""

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from search_spaces.errors import UsageError
from trainers.nested import Inputs, first, map_tensors


def initialize_lazy_layers(model: nn.Module, inputs: Inputs) -> None:
    """Initialise lazy layers by a forward pass of two examples in eval mode. A model without such layers is not run.

    The initial values are drawn from torch's global generator of the CPU.

    Args:
        model: Model on the CPU; its mode is restored.
        inputs: Inputs of ``train``, ``(n, ...)``.

    Raises:
        UsageError: The forward pass leaves out a lazy layer.
    """
    if not _uninitialized(model):
        return
    was_training = model.training
    model.eval()
    with torch.no_grad():
        model(map_tensors(Tensor.cpu, first(inputs, 2)))
    model.train(was_training)
    if names := _uninitialized(model):
        raise UsageError(
            f"model(recipe): {names[0]} has no shape after a forward pass, which leaves out its lazy layer; use it in"
            " forward, or give its sizes"
        )


def _uninitialized(model: nn.Module) -> list[str]:
    return [name for named in (model.named_parameters(), model.named_buffers()) for name, x in named if is_lazy(x)]
