"""Pairs of inputs and targets: the items of a dataset, and the batches that a collate function or an iterable gives."""

from typing import Any

from torch import Tensor

from search_spaces.errors import UsageError
from trainers.nested import describe_inputs, leaves
from trainers.task import Split


def pair(value: object, what: str) -> tuple[Any, Any]:
    """Return a pair of inputs and targets.

    Raises:
        UsageError: It is no pair.
    """
    if isinstance(value, tuple | list) and len(value) == 2:
        return value[0], value[1]
    size = f" of {len(value)}" if isinstance(value, tuple | list) else ""
    raise UsageError(f"{what} must be a pair (input, target), found a {type(value).__name__}{size}")


def batch_of(value: object, what: str) -> Split:
    """Return a batch on the CPU.

    Args:
        value: Pair of inputs, a tensor or a structure of tensors, and a tensor of targets.
        what: Name of the value in error messages.

    Raises:
        UsageError: It is something else, or the numbers of examples differ.
    """
    inputs, targets = pair(value, what)
    found = leaves(inputs)
    tensors = [("targets", targets), *((f"inputs{where}", leaf) for where, leaf in found)]
    for name, tensor in tensors:
        if not isinstance(tensor, Tensor) or not tensor.ndim:
            raise UsageError(
                f"{what} must be a pair of tensors (n, ...), or of a dict, tuple or list of tensors and a tensor;"
                f" {name} is a {describe_inputs(tensor)}"
            )
    if not found or any(len(tensor) != len(targets) for _, tensor in tensors):
        raise UsageError(
            f"{what} must have as many inputs as targets, found inputs {describe_inputs(inputs) or 'without a tensor'}"
            f" and targets {describe_inputs(targets)}"
        )
    return Split(inputs, targets)
