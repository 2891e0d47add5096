"""Copy the state that a user's loop yields into what a checkpoint stores, tensors and plain values, and back."""

import copy
from typing import Any

import numpy as np
import torch

from search_spaces.errors import RunError
from trainers.storage import checkpoints

_ARRAY = "numpy.ndarray"  # {_ARRAY: (dtype, shape, bytes)} stands for an array
_STORED = (type(None), bool, int, float, complex, str, bytes)


def to_stored(state: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of a state without NumPy: its scalars become Python's, its arrays a form that `from_stored` knows.

    Raises:
        RunError: A value cannot be copied or stored; the message names its key.
    """
    memo: dict[int, Any] = {}
    copied = {}
    for key, value in state.items():
        try:
            copied[key] = copy.deepcopy(value, memo)
        except Exception as error:
            raise _not_stored(f"state[{key!r}]", value) from error
    stored: dict[str, Any] = _stored(copied, "state")
    return stored


def from_stored(value: Any) -> Any:
    """Return the state of a checkpoint with its arrays, as the loop had yielded it."""
    if isinstance(value, dict):
        if value.keys() == {_ARRAY}:
            kind, shape, content = value[_ARRAY]
            return np.frombuffer(content.numpy().tobytes(), np.dtype(kind)).reshape(shape).copy()
        for key, item in value.items():
            value[key] = from_stored(item)
    if isinstance(value, list | tuple):
        return type(value)([from_stored(item) for item in value])
    return value


def _stored(value: Any, where: str) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        content = torch.from_numpy(np.frombuffer(value.tobytes(), np.uint8).copy())
        return {_ARRAY: (value.dtype.str, value.shape, content)}
    if isinstance(value, dict):
        items = {_stored(key, f"a key of {where}"): _stored(item, f"{where}[{key!r}]") for key, item in value.items()}
        value.clear()  # in place: a state_dict has attributes
        value.update(items)
        return value
    if type(value) in (list, tuple):
        return type(value)(_stored(item, f"{where}[{index}]") for index, item in enumerate(value))
    if type(value) not in _STORED and not isinstance(value, torch.Tensor):
        _check(value, where)
    return value


def _check(value: object, where: str) -> None:
    try:
        checkpoints.decode(checkpoints.encode({"value": value}), where)
    except Exception as error:  # CheckpointError, or whatever pickling raises
        raise _not_stored(where, value) from error


def _not_stored(where: str, value: object) -> RunError:
    kind = type(value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return RunError(f"{where} is {name}: a state holds tensors, arrays, numbers, texts, and lists and dicts of these")
