"""Copy the state that a user's loop yields into what a checkpoint stores, tensors and plain values, and back."""

import copy
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from search_spaces.errors import RunError
from trainers.compute.memory import cpu_copy
from trainers.storage import checkpoints

_ARRAY = "numpy.ndarray"  # {_ARRAY: (dtype, shape, bytes)} stands for an array, and with the shape None for a scalar
_STORED = (type(None), bool, int, float, complex, str, bytes)


def to_stored(state: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of a state with its arrays and scalars of NumPy in a form that `from_stored` knows.

    Keys that are scalars of NumPy become Python's, which are equal to them.

    Raises:
        RunError: A value cannot be copied or stored; the message names its key.
    """
    try:
        stored: dict[str, Any] = _stored(_copied(state), "state")
    except RecursionError:
        raise RunError("state: a list or dict of it contains itself, which cannot be stored") from None
    return stored


def _copied(state: dict[str, Any]) -> dict[str, Any]:
    try:
        return cpu_copy(state)
    except RecursionError:
        raise
    except Exception as error:
        raise _not_stored(*_not_copied(state, "state")) from error


def from_stored(value: Any) -> Any:
    """Return the state of a checkpoint with its arrays and scalars, as the loop had yielded it."""
    if isinstance(value, dict):
        if value.keys() == {_ARRAY}:
            kind, shape, content = value[_ARRAY]
            array = np.frombuffer(content.numpy().tobytes(), np.dtype(kind))
            return array[0] if shape is None else array.reshape(shape).copy()
        for key, item in value.items():
            value[key] = from_stored(item)
    if isinstance(value, list | tuple):
        return type(value)([from_stored(item) for item in value])
    return value


def _not_copied(value: object, where: str) -> tuple[str, object]:
    """Return the place and the value of the innermost part of a value that cannot be copied."""
    items: Iterable[tuple[object, object]] = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list | tuple):
        items = enumerate(value)
    for key, item in items:
        try:
            copy.deepcopy(item)
        except Exception:  # noqa: BLE001  a value may raise anything when it is copied
            return _not_copied(item, f"{where}[{key!r}]")
    return where, value


def _stored(value: Any, where: str) -> Any:
    if isinstance(value, np.generic) or type(value) is np.ndarray:
        return _array(value, where)
    if type(value) in (dict, OrderedDict):
        items = {_plain(key, f"a key of {where}"): _stored(item, f"{where}[{key!r}]") for key, item in value.items()}
        value.clear()  # in place: a state_dict has attributes
        value.update(items)
        return value
    if type(value) in (list, tuple):
        return type(value)(_stored(item, f"{where}[{index}]") for index, item in enumerate(value))
    if type(value) is set:
        return {_plain(item, f"an item of {where}") for item in value}
    if type(value) not in _STORED and not isinstance(value, torch.Tensor):
        _check(value, where)
    return value


def _array(value: np.ndarray[Any, Any] | np.generic, where: str) -> dict[str, Any]:
    if value.dtype.hasobject or value.dtype.kind == "V":  # the text of a structured type lacks its fields
        raise _not_stored(where, value, f" of {value.dtype}")
    shape = value.shape if isinstance(value, np.ndarray) else None
    content = torch.from_numpy(np.frombuffer(value.tobytes(), np.uint8).copy())
    return {_ARRAY: (value.dtype.str, shape, content)}


def _plain(value: object, where: str) -> object:
    """Return a key of a dict or an item of a set, which must be hashable."""
    if isinstance(value, np.generic):
        value = value.item()
    if type(value) is tuple:
        return tuple(_plain(item, where) for item in value)
    return _stored(value, where)


def _check(value: object, where: str) -> None:
    try:
        checkpoints.decode(checkpoints.encode({"value": value}), where)
    except Exception as error:  # CheckpointError, or whatever pickling raises
        raise _not_stored(where, value) from error


def _not_stored(where: str, value: object, of: str = "") -> RunError:
    kind = type(value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return RunError(
        f"{where} is {name}{of}: a state holds detached tensors, arrays, numbers, texts, and lists, tuples, sets and "
        "dicts of these"
    )
