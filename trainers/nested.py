"""Work on nested inputs of a model: a tensor, or a dict, tuple or list of such inputs."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

Inputs = Any
"""A tensor ``(n, ...)``, or a dict, tuple or list of inputs with the same first dimension."""

_MOST_DESCRIBED = 8


def map_tensors(function: Callable[[Tensor], Tensor], inputs: Inputs) -> Inputs:
    """Return the same structure with ``function`` applied to each tensor; any other value is kept."""
    if isinstance(inputs, Tensor):
        return function(inputs)
    if isinstance(inputs, Mapping):
        return {key: map_tensors(function, value) for key, value in inputs.items()}
    if isinstance(inputs, tuple | list):
        values = [map_tensors(function, value) for value in inputs]
        return type(inputs)(*values) if hasattr(inputs, "_fields") else type(inputs)(values)  # a namedtuple or not
    return inputs


def leaves(inputs: Inputs, where: str = "") -> list[tuple[str, Any]]:
    """Return each value of a structure that is no dict, tuple or list, with its place: ``['ids']``, ``[0]``."""
    if isinstance(inputs, Mapping):
        return [leaf for key, value in inputs.items() for leaf in leaves(value, f"{where}[{key!r}]")]
    if isinstance(inputs, tuple | list):
        return [leaf for at, value in enumerate(inputs) for leaf in leaves(value, f"{where}[{at}]")]
    return [(where, inputs)]


def first(inputs: Inputs, count: int) -> Inputs:
    """Return the first ``count`` examples."""
    return map_tensors(lambda tensor: tensor[:count], inputs)


def count_examples(inputs: Inputs) -> int:
    """Return the number of examples, the first dimension of the first tensor."""
    return len(leaves(inputs)[0][1])


def describe_inputs(inputs: Inputs) -> str:
    """Return the types and shapes for an error message: ``float32 (2, 3)``, ``['ids'] int64 (2, 9)``."""
    found = [f"{where} {describe_tensor(tensor)}".lstrip() for where, tensor in leaves(inputs)]
    more = f" and {len(found) - _MOST_DESCRIBED} more" if len(found) > _MOST_DESCRIBED else ""
    return ", ".join(found[:_MOST_DESCRIBED]) + more


def describe_tensor(value: object) -> str:
    """Return the type and shape of a tensor for an error message: ``float32 (2, 3)``; the type of anything else."""
    if not isinstance(value, Tensor):
        return type(value).__name__
    return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
