"""Distributions with a value for every quantile."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import ClassVar

from search_spaces.errors import UsageError
from search_spaces.values import Value, check_ordered, check_unit, checked_number

_NORMAL_REACH = 4.0


def _between(low: float, high: float, u: float) -> float:
    check_unit(u)
    return min(max(low + (high - low) * u, low), high)


@dataclass(frozen=True, slots=True)
class Uniform:
    """Every value of [low, high] alike.

    Attributes:
        low: Lower bound.
        high: Upper bound, greater than `low`.
    """

    low: float
    high: float
    name: ClassVar[str] = "uniform"

    def __post_init__(self) -> None:
        object.__setattr__(self, "low", checked_number("low", self.low))
        object.__setattr__(self, "high", checked_number("high", self.high))
        check_ordered(self.low, self.high)

    def from_unit(self, u: float) -> float:
        """Return the value at quantile `u` of [0, 1)."""
        return _between(self.low, self.high, u)

    def edges(self) -> tuple[Value, ...]:
        """Return the values that a law must be tried with: both ends."""
        return (self.low, self.high)

    def arguments(self) -> list[Value]:
        """Return what stands behind the name in YAML."""
        return [self.low, self.high]


@dataclass(frozen=True, slots=True)
class LogUniform:
    """Every order of magnitude of [low, high] alike: the natural scale of learning rates and decays.

    Attributes:
        low: Lower bound, greater than 0.
        high: Upper bound, greater than `low`.
    """

    low: float
    high: float
    name: ClassVar[str] = "loguniform"

    def __post_init__(self) -> None:
        object.__setattr__(self, "low", checked_number("low", self.low))
        object.__setattr__(self, "high", checked_number("high", self.high))
        if self.low <= 0:
            raise UsageError(f"low must be greater than 0 on a log scale, found {self.low!r}; or use uniform")
        check_ordered(self.low, self.high)

    def from_unit(self, u: float) -> float:
        """Return the value at quantile `u` of [0, 1)."""
        value = math.exp(_between(math.log(self.low), math.log(self.high), u))
        return min(max(value, self.low), self.high)

    def edges(self) -> tuple[Value, ...]:
        """Return the values that a law must be tried with: both ends."""
        return (self.low, self.high)

    def arguments(self) -> list[Value]:
        """Return what stands behind the name in YAML."""
        return [self.low, self.high]


@dataclass(frozen=True, slots=True)
class Normal:
    """The bell curve, truncated at four standard deviations so that every value has known bounds.

    Attributes:
        mean: Mean.
        sd: Standard deviation before the truncation, greater than 0.
    """

    mean: float
    sd: float
    name: ClassVar[str] = "normal"

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", checked_number("mean", self.mean))
        object.__setattr__(self, "sd", checked_number("sd", self.sd))
        if self.sd <= 0:
            raise UsageError(f"sd must be greater than 0, found {self.sd!r}")

    def from_unit(self, u: float) -> float:
        """Return the value at quantile `u` of [0, 1)."""
        standard = NormalDist()
        p = _between(standard.cdf(-_NORMAL_REACH), standard.cdf(_NORMAL_REACH), u)
        z = min(max(standard.inv_cdf(p), -_NORMAL_REACH), _NORMAL_REACH)
        return self.mean + self.sd * z

    def edges(self) -> tuple[Value, ...]:
        """Return the values that a law must be tried with: the points of truncation."""
        return (self.mean - _NORMAL_REACH * self.sd, self.mean + _NORMAL_REACH * self.sd)

    def arguments(self) -> list[Value]:
        """Return what stands behind the name in YAML."""
        return [self.mean, self.sd]
