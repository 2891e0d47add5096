"""Distributions with a value for every quantile."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import ClassVar

from search_spaces.errors import UsageError
from search_spaces.values import Value, check_ordered, check_unit, checked_number

_NORMAL_REACH = 4.0
_PRIOR_SD = 1 / 6  # of the range
_BELOW_ONE = 1 - 2**-53


def _between(low: float, high: float, u: float) -> float:
    check_unit(u)
    return min(max(low + (high - low) * u, low), high)


def _checked_prior(prior: float | None, low: float, high: float) -> float | None:
    if prior is None:
        return None
    number = checked_number("prior", prior)
    if not low <= number <= high:
        raise UsageError(f"prior must be within [{low!r}, {high!r}], found {number!r}")
    return number


def _near(centre: float, u: float) -> float:
    """Return the quantile `u` of the bell curve around a place of [0, 1), cut off at its ends."""
    check_unit(u)
    bell = NormalDist(centre, _PRIOR_SD)
    p = _between(bell.cdf(0.0), bell.cdf(1.0), u)
    return min(max(bell.inv_cdf(p), 0.0), _BELOW_ONE)


@dataclass(frozen=True, slots=True)
class Uniform:
    """Every value of [low, high] alike.

    Attributes:
        low: Lower bound.
        high: Upper bound, greater than `low`.
        prior: What an expert would try first; the random runs with which `tpe` and `gp` start are drawn around it.
    """

    low: float
    high: float
    prior: float | None = None
    name: ClassVar[str] = "uniform"

    def __post_init__(self) -> None:
        object.__setattr__(self, "low", checked_number("low", self.low))
        object.__setattr__(self, "high", checked_number("high", self.high))
        check_ordered(self.low, self.high)
        object.__setattr__(self, "prior", _checked_prior(self.prior, self.low, self.high))

    def from_unit(self, u: float) -> float:
        """Return the value at quantile `u` of [0, 1)."""
        return _between(self.low, self.high, u)

    def from_prior(self, u: float) -> float:
        """Return the value at quantile `u` of the bell curve around the prior, with a sixth of the range as its sd."""
        if self.prior is None:
            return self.from_unit(u)
        return self.from_unit(_near((self.prior - self.low) / (self.high - self.low), u))

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
        prior: What an expert would try first; the random runs with which `tpe` and `gp` start are drawn around it.
    """

    low: float
    high: float
    prior: float | None = None
    name: ClassVar[str] = "loguniform"

    def __post_init__(self) -> None:
        object.__setattr__(self, "low", checked_number("low", self.low))
        object.__setattr__(self, "high", checked_number("high", self.high))
        if self.low <= 0:
            raise UsageError(f"low must be greater than 0 on a log scale, found {self.low!r}; or use uniform")
        check_ordered(self.low, self.high)
        object.__setattr__(self, "prior", _checked_prior(self.prior, self.low, self.high))

    def from_unit(self, u: float) -> float:
        """Return the value at quantile `u` of [0, 1)."""
        value = math.exp(_between(math.log(self.low), math.log(self.high), u))
        return min(max(value, self.low), self.high)

    def from_prior(self, u: float) -> float:
        """Return the value at quantile `u` of the bell curve around the prior, with a sixth of the log range as sd."""
        if self.prior is None:
            return self.from_unit(u)
        return self.from_unit(_near(math.log(self.prior / self.low) / math.log(self.high / self.low), u))

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

    @property
    def ends(self) -> tuple[float, float]:
        """The points of truncation."""
        return (self.mean - _NORMAL_REACH * self.sd, self.mean + _NORMAL_REACH * self.sd)

    def edges(self) -> tuple[Value, ...]:
        """Return the values that a law must be tried with: the points of truncation."""
        return self.ends

    def arguments(self) -> list[Value]:
        """Return what stands behind the name in YAML."""
        return [self.mean, self.sd]
