"""Continuous distributions: uniform, log-uniform and normal."""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import ClassVar

from search_spaces.errors import UsageError
from search_spaces.values import Value, check_ordered, check_unit, checked_number

_NORMAL_REACH = 4.0  # standard deviations
_PRIOR_SD = 1 / 6  # of the range
_BELOW_ONE = 1 - 2**-53


def _between(low: float, high: float, u: float) -> float:
    check_unit(u)
    return min(max(low + (high - low) * u, low), high)


def _near(centre: float, u: float) -> float:
    """Return the quantile `u` of a normal distribution around a point of [0, 1), truncated to that interval."""
    check_unit(u)
    bell = NormalDist(centre, _PRIOR_SD)
    p = _between(bell.cdf(0.0), bell.cdf(1.0), u)
    return min(max(bell.inv_cdf(p), 0.0), _BELOW_ONE)


@dataclass(frozen=True, slots=True)
class _Range:
    """A range [low, high] with an optional prior."""

    low: float
    high: float
    prior: float | None = None
    log: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "low", checked_number("low", self.low))
        object.__setattr__(self, "high", checked_number("high", self.high))
        if self.log and self.low <= 0:
            raise UsageError(f"low must be greater than 0 on a log scale, found {self.low!r}; or use uniform")
        check_ordered(self.low, self.high)
        if self.prior is not None:
            prior = checked_number("prior", self.prior)
            if not self.low <= prior <= self.high:
                raise UsageError(f"prior must be within [{self.low!r}, {self.high!r}], found {prior!r}")
            object.__setattr__(self, "prior", prior)

    def from_unit(self, u: float) -> float:
        """Return the value at quantile `u` of [0, 1)."""
        if not self.log:
            return _between(self.low, self.high, u)
        value = math.exp(_between(math.log(self.low), math.log(self.high), u))
        return min(max(value, self.low), self.high)

    def from_prior(self, u: float) -> float:
        """Return the value at quantile `u` of a normal distribution around the prior, whose sd is 1/6 of the range."""
        if self.prior is None:
            return self.from_unit(u)
        if self.log:
            return self.from_unit(_near(math.log(self.prior / self.low) / math.log(self.high / self.low), u))
        return self.from_unit(_near((self.prior - self.low) / (self.high - self.low), u))

    def edges(self) -> tuple[Value, ...]:
        """Return the values to validate: both bounds."""
        return (self.low, self.high)

    def arguments(self) -> list[Value]:
        """Return the arguments that YAML writes after the name."""
        return [self.low, self.high]


class Uniform(_Range):
    """A uniform distribution over [low, high].

    Attributes:
        low: Lower bound.
        high: Upper bound, greater than `low`.
        prior: First guess of an expert. The random runs with which `tpe` and `gp` start are drawn around it.
    """

    __slots__ = ()
    name: ClassVar[str] = "uniform"


class LogUniform(_Range):
    """A distribution over [low, high] that is uniform in the logarithm, as for learning rates and weight decay.

    Attributes:
        low: Lower bound, greater than 0.
        high: Upper bound, greater than `low`.
        prior: First guess of an expert. The random runs with which `tpe` and `gp` start are drawn around it.
    """

    __slots__ = ()
    name: ClassVar[str] = "loguniform"
    log: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Normal:
    """A normal distribution, truncated at four standard deviations so that every value has known bounds.

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
        """Return the values to validate: the points of truncation."""
        return self.ends

    def arguments(self) -> list[Value]:
        """Return the arguments that YAML writes after the name."""
        return [self.mean, self.sd]
