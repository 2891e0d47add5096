"""The values of recipe fields, and the checks that distributions share."""

import math
from collections.abc import Iterable, Mapping

from search_spaces.errors import UsageError

Scalar = bool | int | float | str | None
Value = Scalar | tuple[Scalar, ...]
"""The value of a recipe field, or of an item of a tuple in it."""

_LARGEST = 1e300  # so that the difference of two bounds is finite, too


def show(value: object) -> str:
    """Return a value as YAML writes it, on one line of bounded length."""
    if isinstance(value, Mapping):
        return "a section"
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, list | tuple):
        text = f"[{', '.join(show(item) for item in value[:20])}]"
    else:
        text = repr(value) if not isinstance(value, int) or abs(value) < 10**60 else "a number of over 60 digits"
    return text if len(text) <= 80 else f"{text[:77]}..."


def checked_number(name: str, value: object) -> float:
    """Return a finite number as a float, or raise a `UsageError` with its name."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"{name} must be a number, found {show(value)}")
    if not abs(value) <= _LARGEST:  # in this form, NaN is rejected, too
        raise UsageError(f"{name} must be finite, found {show(value)}")
    return float(value)


def check_ordered(low: float, high: float) -> None:
    """Raise a `UsageError` unless `low` is less than `high`."""
    if low >= high:
        raise UsageError(f"low must be less than high, found [{low!r}, {high!r}]")


def check_unit(u: float) -> None:
    """Raise a `ValueError` unless `u` is in [0, 1)."""
    if not 0 <= u < 1:
        raise ValueError(f"u must be in [0, 1), found {u!r}")


def checked_value(value: object) -> Value:
    """Return a scalar, or a list of scalars as a tuple, or raise a `UsageError`."""
    if isinstance(value, list | tuple):
        return tuple(_checked_scalar(item) for item in value)
    return _checked_scalar(value)


def _checked_scalar(value: object) -> Scalar:
    if value is not None and not isinstance(value, bool | int | float | str):
        raise UsageError(f"a value must be a number, a text, true, false, null or a list of these, found {show(value)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"a value must be finite, found {value}")
    return value


def identity(option: Value) -> object:
    """Return a key that distinguishes true from 1 but not 1 from 1.0, which are equal in every field."""
    if isinstance(option, tuple):
        return tuple(identity(item) for item in option)
    return (isinstance(option, bool), option)


def distinct(values: Iterable[Value]) -> list[Value]:
    """Return the values without repetitions, in order; true and 1 are different."""
    return list({identity(value): value for value in values}.values())


def counted(count: int, noun: str) -> str:
    """Return a count with its noun: ``1 run``, ``3 runs``."""
    return f"{count} {noun}{'s' * (count != 1)}"
