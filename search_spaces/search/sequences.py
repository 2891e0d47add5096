"""The points that a sampler takes without looking at results, by their number, each satisfying every constraint."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Protocol

from search_spaces.errors import Problem, SweepError, UsageError
from search_spaces.search.continuous import LogUniform, Uniform
from search_spaces.search.distributions import Distribution, FiniteDistribution, Value
from search_spaces.search.parameters import Parameter, Parameters
from search_spaces.seeds import derive_seed

TRIES = 1000
"""Drawn points that may break the constraints in a row before a sweep gives up."""

MOST_GRID_POINTS = 20_000
"""Of a grid with conditions or constraints, which has to be walked to know its size."""


class PointSequence(Protocol):
    """Points by number, from 0, each of which satisfies the constraints."""

    def point(self, number: int) -> dict[str, Value]: ...


class RandomSequence:
    """Independent draws; those of a point that breaks a constraint are made again.

    A parameter's draw depends on its own name, so that adding or removing another leaves it as it was.

    Args:
        parameters: Of the search.
        seed: Of the sequence.
        startup: How many of the first points are drawn around the priors.
    """

    def __init__(self, parameters: Parameters, seed: int, startup: int = 0) -> None:
        self._parameters = parameters
        self._seed = seed
        self._startup = startup

    def point(self, number: int) -> dict[str, Value]:
        """Return the point of that number, from 0.

        Raises:
            SweepError: None of `TRIES` draws satisfies the constraints.
        """
        for attempt in range(TRIES):
            point = self._parameters.walk(lambda one, attempt=attempt: self._draw(one, number, attempt))  # type: ignore[misc]
            if self._parameters.satisfies(point):
                return point
        raise infeasible()

    def _draw(self, parameter: Parameter, number: int, attempt: int) -> Value:
        u = unit_draw(self._seed, number, parameter.name, attempt)
        if number < self._startup and isinstance(parameter.distribution, Uniform | LogUniform):
            return parameter.distribution.from_prior(u)
        return parameter.distribution.from_unit(u)


class SobolSequence:
    """The points of a scrambled Sobol sequence that satisfy the constraints.

    It runs over all parameters, those that are not active in a point included: which points there are does not
    depend on what they are used for.

    Args:
        parameters: Of the search.
        seed: Of the scrambling.
    """

    def __init__(self, parameters: Parameters, seed: int) -> None:
        self._parameters = parameters
        self._seed = seed
        self._kept: list[dict[str, Value]] = []
        self._rest = self._satisfying()

    def point(self, number: int) -> dict[str, Value]:
        """Return the point of that number, from 0.

        Raises:
            SweepError: `TRIES` points in a row break the constraints.
        """
        if not self._parameters.constraints:  # no need to walk there
            return self._at(number)
        self._kept += islice(self._rest, max(0, number + 1 - len(self._kept)))
        return self._kept[number]

    def _at(self, index: int) -> dict[str, Value]:
        values = sobol_point(self._parameters.distributions, self._seed, index)
        return self._parameters.walk(lambda one: values[one.name])

    def _satisfying(self) -> Iterator[dict[str, Value]]:
        index = 0
        while True:
            for _ in range(TRIES):
                point = self._at(index)
                index += 1
                if self._parameters.satisfies(point):
                    yield point
                    break
            else:
                raise infeasible()


class Grid:
    """Every point of a search whose parameters have finitely many values, and which satisfies the constraints.

    Args:
        parameters: Of the search.

    Raises:
        UsageError: A parameter has infinitely many values, or there are too many points to walk.
    """

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters
        total = grid_points(parameters.distributions)
        self._points: Sequence[Mapping[str, Value]] | None = None
        if parameters.conditional or parameters.constraints:
            self._points = _walked(parameters)
        self.size = total if self._points is None else len(self._points)

    def point(self, number: int) -> dict[str, Value]:
        """Return the point of that number, from 0 and below `size`."""
        if self._points is None:
            return grid_point(self._parameters.distributions, number)
        return dict(self._points[number])


def _walked(parameters: Parameters) -> Sequence[Mapping[str, Value]]:
    every = list(islice(parameters.points(_values), MOST_GRID_POINTS + 1))
    if len(every) > MOST_GRID_POINTS:
        law = f"a grid with conditions or constraints has at most {MOST_GRID_POINTS:,} points"
        raise UsageError(f"{law}, found more; use qmc or random")
    return [point for point in every if parameters.satisfies(point)]


def _values(parameter: Parameter) -> Iterator[Value]:
    distribution = parameter.distribution
    if not isinstance(distribution, FiniteDistribution):  # grid_points has refused it
        raise TypeError(f"{distribution} has no grid")
    return (distribution.at(index) for index in range(distribution.size))  # of a huge one, only the first are looked at


def infeasible(tries: int = TRIES) -> SweepError:
    """Return what ends a sweep whose constraints leave nothing to propose."""
    law = f"nothing to propose: {tries} points in a row break the constraints of the space"
    return SweepError(f"{law}; widen its search or loosen them, and start it as another sweep with --name")


_BLOCK = 64  # Sobol points made at once: a power of two, as their balance wants


def random_point(search: Mapping[str, Distribution], seed: int, number: int) -> dict[str, Value]:
    """Return independent draws of every field.

    A field's draw depends on its own name, so that adding or removing another field leaves it as it was.

    Args:
        search: Distribution of each field.
        seed: Seed of the sequence.
        number: Which point of the sequence, from 0.
    """
    return {field: search[field].from_unit(unit_draw(seed, number, field)) for field in sorted(search)}


def unit_draw(seed: int, number: int, field: str, attempt: int = 0) -> float:
    """Return the number of [0, 1) that a field's random draw comes from.

    Args:
        seed: Seed of the sequence.
        number: Which point of the sequence, from 0.
        field: Name of the field.
        attempt: How many draws of this point were rejected before.
    """
    again = (attempt,) if attempt else ()
    return (derive_seed("random", seed, number, field, *again) >> 10) / 2**53


def sobol_point(search: Mapping[str, Distribution], seed: int, number: int) -> dict[str, Value]:
    """Return a point of a scrambled Sobol sequence, which fills the space more evenly than random points.

    Source: Owen, "Scrambling Sobol' and Niederreiter-Xing Points", Journal of Complexity, 1998.

    Args:
        search: Distribution of each field.
        seed: Seed of the scrambling.
        number: Which point of the sequence, from 0 and below 2**30.
    """
    if not search:
        return {}
    units = _sobol_block(len(search), seed, number // _BLOCK)[number % _BLOCK]
    return {field: search[field].from_unit(u) for field, u in zip(sorted(search), units, strict=True)}


@lru_cache(maxsize=16)
def _sobol_block(dimensions: int, seed: int, block: int) -> tuple[tuple[float, ...], ...]:
    from scipy.stats.qmc import Sobol  # slow to import, and only this sampler needs it

    engine = Sobol(d=dimensions, scramble=True, rng=derive_seed("sobol", seed))
    if block:  # it cannot stay where it is
        engine.fast_forward(block * _BLOCK)
    return tuple(tuple(float(u) for u in row) for row in engine.random(_BLOCK))


def _finite(field: str, distribution: Distribution) -> FiniteDistribution:
    if isinstance(distribution, FiniteDistribution):
        return distribution
    raise UsageError(
        Problem(
            "",
            f"search.{field}",
            f"a grid needs finitely many values, found {distribution.name}; use choice, quniform or randint",
        )
    )


def grid_points(search: Mapping[str, Distribution]) -> int:
    """Return how many points the grid of a search has.

    Raises:
        UsageError: When a field has infinitely many values.
    """
    return math.prod(_finite(field, distribution).size for field, distribution in search.items())


def grid_point(search: Mapping[str, Distribution], number: int) -> dict[str, Value]:
    """Return one point of the grid, in the order of `itertools.product`: the last field varies fastest.

    Args:
        search: Distribution of each field, all of them finite.
        number: Which point, from 0 and below `grid_points(search)`.

    Raises:
        UsageError: When a field has infinitely many values.
        IndexError: When there is no such point.
    """
    total = grid_points(search)
    if not 0 <= number < total:
        raise IndexError(f"the grid has points 0 to {total - 1}, found {number}")
    point: dict[str, Value] = {}
    for field in sorted(search, reverse=True):
        distribution = _finite(field, search[field])
        number, index = divmod(number, distribution.size)
        point[field] = distribution.at(index)
    return dict(sorted(point.items()))
