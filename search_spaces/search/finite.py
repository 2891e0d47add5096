"""Distributions over finitely many, equally likely values."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from search_spaces.errors import UsageError
from search_spaces.values import Scalar, Value, check_ordered, check_unit, checked_number, checked_value, identity, show

_EXACT_INT = 2**53  # beyond it, neighbouring integers are the same float
_MAX_OPTIONS = 1000
_MAX_STEPS = 1_000_000


def _exact(number: float) -> Fraction:
    """Return the decimal number that was written, such as 1/10 for 0.1."""
    return Fraction(repr(number))


class _Finite(ABC):
    """A distribution over `size` values."""

    __slots__ = ()

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of values."""

    @abstractmethod
    def at(self, index: int) -> Value:
        """Return the value with this index, from 0."""

    def from_unit(self, u: float) -> Value:
        """Return the value at quantile `u` of [0, 1)."""
        check_unit(u)
        return self.at(min(int(u * self.size), self.size - 1))

    def grid(self) -> tuple[Value, ...]:
        """Return every value, in order."""
        return tuple(self.at(index) for index in range(self.size))


@dataclass(frozen=True, slots=True)
class QUniform(_Finite):
    """The values low, low + q, ..., high. They are floats; `RandInt` has whole numbers.

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
        if steps > _MAX_STEPS:
            raise UsageError(f"must have at most {_MAX_STEPS:,} steps, found q {self.q!r}; use a larger q or uniform")
        if steps.denominator != 1:
            raise UsageError(
                f"high must be a whole number of steps above low, found [{self.low!r}, {self.high!r},"
                f" {self.q!r}]; the nearest valid high is {self.at(max(1, round(steps)))!r}"
            )

    @property
    def size(self) -> int:
        return 1 + int((_exact(self.high) - _exact(self.low)) / _exact(self.q))

    def at(self, index: int) -> float:
        """Return the value with this index, from 0; exact arithmetic gives 0.3, not 0.30000000000000004."""
        return float(_exact(self.low) + index * _exact(self.q))

    def edges(self) -> tuple[Value, ...]:
        """Return the values to validate: the first and the last."""
        return (self.low, self.high)

    def arguments(self) -> list[Value]:
        """Return the arguments that YAML writes after the name."""
        return [self.low, self.high, self.q]


@dataclass(frozen=True, slots=True)
class RandInt(_Finite):
    """The whole numbers of [low, high], both ends included.

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
                raise UsageError(f"{name} must be between -2**53 and 2**53, found {show(bound)}")
        if self.low > self.high:
            raise UsageError(f"low must not be greater than high, found [{self.low}, {self.high}]")

    @property
    def size(self) -> int:
        return self.high - self.low + 1

    def at(self, index: int) -> int:
        return self.low + index

    def edges(self) -> tuple[Value, ...]:
        """Return the values to validate: the first and the last."""
        return (self.low, self.high)

    def arguments(self) -> list[Value]:
        """Return the arguments that YAML writes after the name."""
        return [self.low, self.high]


@dataclass(frozen=True, slots=True, init=False)
class Choice(_Finite):
    """A list of options. An option is a scalar, None, or a tuple of scalars for a field such as betas.

    Attributes:
        options: Options: at least one, all different.
    """

    options: tuple[Value, ...]
    name: ClassVar[str] = "choice"

    def __init__(self, options: Sequence[Value | Sequence[Scalar]]) -> None:
        if isinstance(options, str) or not isinstance(options, Sequence):
            raise UsageError(f"options must be a list, found {show(options)}")
        if not 1 <= len(options) <= _MAX_OPTIONS:
            raise UsageError(f"must have 1 to {_MAX_OPTIONS} options, found {len(options)}")
        checked = tuple(checked_value(option) for option in options)
        seen: set[object] = set()
        for option in checked:
            if identity(option) in seen:
                raise UsageError(f"options must be different, found {show(option)} twice")
            seen.add(identity(option))
        object.__setattr__(self, "options", checked)

    @property
    def size(self) -> int:
        return len(self.options)

    def at(self, index: int) -> Value:
        return self.options[index]

    def edges(self) -> tuple[Value, ...]:
        """Return the values to validate: every option."""
        return self.options

    def arguments(self) -> list[Value]:
        """Return the arguments that YAML writes after the name."""
        return list(self.options)


@dataclass(frozen=True, slots=True)
class Constant(_Finite):
    """One value in every run but run 0, which is the unchanged recipe.

    Attributes:
        value: A scalar, None, or a tuple of scalars.
    """

    value: Value
    name: ClassVar[str] = "constant"

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", checked_value(self.value))

    @property
    def size(self) -> int:
        return 1

    def at(self, index: int) -> Value:
        return (self.value,)[index]

    def edges(self) -> tuple[Value, ...]:
        """Return the values to validate: the only one."""
        return (self.value,)

    def arguments(self) -> Value:
        """Return the argument that YAML writes after the name."""
        return self.value
