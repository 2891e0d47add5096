"""Distributions with finitely many values, all equally likely."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from search_spaces.errors import UsageError
from search_spaces.values import Scalar, Value, check_ordered, check_unit, checked_number, checked_value, identity, show

_EXACT_INT = 2**53  # beyond it, neighbouring integers are the same float
_MOST_OPTIONS = 1000
_MOST_STEPS = 1_000_000


def _exact(number: float) -> Fraction:
    """Return the decimal number that a person wrote, such as 1/10 for 0.1."""
    return Fraction(repr(number))


def _pick(u: float, size: int) -> int:
    check_unit(u)
    return min(int(u * size), size - 1)


@dataclass(frozen=True, slots=True)
class QUniform:
    """Each of low, low + q, ..., high alike. Values are floats; `RandInt` has whole numbers.

    Attributes:
        low: First value.
        high: Last value: a whole number of steps above `low`.
        q: Step, greater than 0.
    """

    low: float
    high: float
    q: float
    name: ClassVar[str] = "quniform"

    def __post_init__(self) -> None:
        for name in ("low", "high", "q"):
            object.__setattr__(self, name, checked_number(name, getattr(self, name)))
        check_ordered(self.low, self.high)
        if self.q <= 0:
            raise UsageError(f"q must be greater than 0, found {self.q!r}")
        steps = (_exact(self.high) - _exact(self.low)) / _exact(self.q)
        if steps > _MOST_STEPS:
            raise UsageError(f"there may be at most {_MOST_STEPS:,} steps, found q {self.q!r}; or use uniform")
        if steps.denominator != 1:
            raise UsageError(
                f"high must be a whole number of steps above low, found [{self.low!r}, {self.high!r},"
                f" {self.q!r}]; the nearest such high is {self.at(max(1, round(steps)))!r}"
            )

    @property
    def size(self) -> int:
        """How many values there are."""
        return 1 + int((_exact(self.high) - _exact(self.low)) / _exact(self.q))

    def at(self, index: int) -> float:
        """Return the value number `index`, from 0; exact arithmetic gives 0.3, not 0.30000000000000004."""
        return float(_exact(self.low) + index * _exact(self.q))

    def from_unit(self, u: float) -> float:
        """Return the value at quantile `u` of [0, 1)."""
        return self.at(_pick(u, self.size))

    def grid(self) -> tuple[Value, ...]:
        """Return every value, in order."""
        return tuple(self.at(index) for index in range(self.size))

    def edges(self) -> tuple[Value, ...]:
        """Return the values that a law must be tried with: both ends."""
        return (self.low, self.high)

    def arguments(self) -> list[Value]:
        """Return what stands behind the name in YAML."""
        return [self.low, self.high, self.q]


@dataclass(frozen=True, slots=True)
class RandInt:
    """Every whole number of [low, high] alike; both ends are included.

    Attributes:
        low: First value.
        high: Last value, not less than `low`.
    """

    low: int
    high: int
    name: ClassVar[str] = "randint"

    def __post_init__(self) -> None:
        for name, bound in (("low", self.low), ("high", self.high)):
            if isinstance(bound, bool) or not isinstance(bound, int):
                raise UsageError(f"{name} must be a whole number, found {show(bound)}")
            if abs(bound) > _EXACT_INT:
                raise UsageError(f"{name} must be within -2**53 and 2**53, found {show(bound)}")
        if self.low > self.high:
            raise UsageError(f"low must not be greater than high, found [{self.low}, {self.high}]")

    @property
    def size(self) -> int:
        """How many values there are."""
        return self.high - self.low + 1

    def at(self, index: int) -> int:
        """Return the value number `index`, from 0."""
        return self.low + index

    def from_unit(self, u: float) -> int:
        """Return the value at quantile `u` of [0, 1)."""
        return self.at(_pick(u, self.size))

    def grid(self) -> tuple[Value, ...]:
        """Return every value, in order."""
        return tuple(range(self.low, self.high + 1))

    def edges(self) -> tuple[Value, ...]:
        """Return the values that a law must be tried with: both ends."""
        return (self.low, self.high)

    def arguments(self) -> list[Value]:
        """Return what stands behind the name in YAML."""
        return [self.low, self.high]


@dataclass(frozen=True, slots=True, init=False)
class Choice:
    """Each option alike. An option is a scalar, None, or a tuple of them for a field such as betas.

    Attributes:
        options: The options: at least one, all different.
    """

    options: tuple[Value, ...]
    name: ClassVar[str] = "choice"

    def __init__(self, options: Sequence[Value | Sequence[Scalar]]) -> None:
        if isinstance(options, str) or not isinstance(options, Sequence):
            raise UsageError(f"options must be a list, found {show(options)}")
        if not 1 <= len(options) <= _MOST_OPTIONS:
            raise UsageError(f"there must be 1 to {_MOST_OPTIONS} options, found {len(options)}")
        checked = tuple(checked_value(option) for option in options)
        seen: set[object] = set()
        for option in checked:
            if identity(option) in seen:
                raise UsageError(f"options must be different, found {show(option)} twice")
            seen.add(identity(option))
        object.__setattr__(self, "options", checked)

    @property
    def size(self) -> int:
        """How many values there are."""
        return len(self.options)

    def at(self, index: int) -> Value:
        """Return the option number `index`, from 0."""
        return self.options[index]

    def from_unit(self, u: float) -> Value:
        """Return the value at quantile `u` of [0, 1)."""
        return self.options[_pick(u, self.size)]

    def grid(self) -> tuple[Value, ...]:
        """Return every option, in order."""
        return self.options

    def edges(self) -> tuple[Value, ...]:
        """Return the values that a law must be tried with: every option."""
        return self.options

    def arguments(self) -> list[Value]:
        """Return what stands behind the name in YAML."""
        return list(self.options)


@dataclass(frozen=True, slots=True)
class Constant:
    """One value in every run but run 0, which is the recipe as it stands.

    Attributes:
        value: The value: a scalar, None, or a tuple of them.
    """

    value: Value
    name: ClassVar[str] = "constant"

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", checked_value(self.value))

    @property
    def size(self) -> int:
        """How many values there are."""
        return 1

    def at(self, index: int) -> Value:
        """Return the value, which is number 0."""
        return self.grid()[index]

    def from_unit(self, u: float) -> Value:
        """Return the value, for every `u` of [0, 1)."""
        check_unit(u)
        return self.value

    def grid(self) -> tuple[Value, ...]:
        """Return the only value."""
        return (self.value,)

    def edges(self) -> tuple[Value, ...]:
        """Return the values that a law must be tried with: the only one."""
        return (self.value,)

    def arguments(self) -> Value:
        """Return what stands behind the name in YAML."""
        return self.value
