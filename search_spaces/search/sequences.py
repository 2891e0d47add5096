"""Sequences of points that do not depend on results. Every point satisfies every constraint."""

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
"""Maximum number of points in a row that break the constraints; then the sweep stops."""

MAX_GRID_POINTS = 20_000
"""Maximum number of points of a grid with conditions or constraints, which are enumerated to count them."""


class PointSequence(Protocol):
    """Points by number, from 0, each of which satisfies the constraints."""

    def point(self, number: int) -> dict[str, Value]: ...


class RandomSequence:
    """Independent random points. A point that breaks a constraint is drawn again.

    The draw of a parameter depends on its own name only, so adding or removing another parameter does not change it.

    Args:
        parameters: Parameters of the search.
        seed: Seed of the sequence.
        startup: Number of first points that are drawn around the priors.
    """

    def __init__(self, parameters: Parameters, seed: int, startup: int = 0) -> None:
        self._parameters = parameters
        self._seed = seed
        self._startup = startup

    def point(self, number: int) -> dict[str, Value]:
        """Return the point with this number, from 0.

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

    It has a dimension for each parameter, active or not, so the sequence does not depend on the conditions.

    Args:
        parameters: Parameters of the search.
        seed: Seed of the scrambling.
    """

    def __init__(self, parameters: Parameters, seed: int) -> None:
        self._parameters = parameters
        self._seed = seed
        self._kept: list[dict[str, Value]] = []
        self._rest = self._satisfying()

    def point(self, number: int) -> dict[str, Value]:
        """Return the point with this number, from 0.

        Raises:
            SweepError: `TRIES` points in a row break the constraints.
        """
        if not self._parameters.constraints:  # every index is valid, so there is nothing to skip
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
    """Every point of a search over finite distributions that satisfies the constraints.

    Args:
        parameters: Parameters of the search.

    Raises:
        UsageError: A parameter has infinitely many values, or there are too many points to enumerate.
    """

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters
        total = grid_points(parameters.distributions)
        self._points: Sequence[Mapping[str, Value]] | None = None
        if parameters.conditional or parameters.constraints:
            self._points = _enumerated(parameters)
        self.size = total if self._points is None else len(self._points)

    def point(self, number: int) -> dict[str, Value]:
        """Return the point with this number, from 0 and below `size`."""
        if self._points is None:
            return grid_point(self._parameters.distributions, number)
        return dict(self._points[number])


def _enumerated(parameters: Parameters) -> Sequence[Mapping[str, Value]]:
    every = list(islice(parameters.points(_values), MAX_GRID_POINTS + 1))
    if len(every) > MAX_GRID_POINTS:
        rule = f"a grid with conditions or constraints must have at most {MAX_GRID_POINTS:,} points"
        raise UsageError(f"{rule}, found more; use qmc or random")
    return [point for point in every if parameters.satisfies(point)]


def _values(parameter: Parameter) -> Iterator[Value]:
    distribution = parameter.distribution
    if not isinstance(distribution, FiniteDistribution):  # grid_points has rejected it
        raise TypeError(f"{distribution} has no grid")
    return (distribution.at(index) for index in range(distribution.size))  # lazy: a large one is not read to its end


def infeasible(tries: int = TRIES) -> SweepError:
    """Return the error for constraints that reject every proposal."""
    found = f"nothing to propose: {tries} points in a row break the constraints of the space"
    return SweepError(f"{found}; widen the search or relax the constraints, and start a new sweep with --name")


_BLOCK = 64  # Sobol points computed at once; their balance needs a power of two


def random_point(search: Mapping[str, Distribution], seed: int, number: int) -> dict[str, Value]:
    """Return an independent draw for every field.

    The draw of a field depends on its own name only, so adding or removing another field does not change it.

    Args:
        search: Distribution of each field.
        seed: Seed of the sequence.
        number: Number of the point, from 0.
    """
    return {field: search[field].from_unit(unit_draw(seed, number, field)) for field in sorted(search)}


def unit_draw(seed: int, number: int, field: str, attempt: int = 0) -> float:
    """Return the random number of [0, 1) from which the value of a field is computed.

    Args:
        seed: Seed of the sequence.
        number: Number of the point, from 0.
        field: Name of the field.
        attempt: Number of earlier draws of this point that were rejected.
    """
    again = (attempt,) if attempt else ()
    return (derive_seed("random", seed, number, field, *again) >> 10) / 2**53


def sobol_point(search: Mapping[str, Distribution], seed: int, number: int) -> dict[str, Value]:
    """Return a point of a scrambled Sobol sequence, which covers the space more evenly than random points.

    Source: Owen, "Scrambling Sobol' and Niederreiter-Xing Points", Journal of Complexity, 1998.

    Args:
        search: Distribution of each field.
        seed: Seed of the scrambling.
        number: Number of the point, from 0 and below 2**30.
    """
    if not search:
        return {}
    units = _sobol_block(len(search), seed, number // _BLOCK)[number % _BLOCK]
    return {field: search[field].from_unit(u) for field, u in zip(sorted(search), units, strict=True)}


@lru_cache(maxsize=16)
def _sobol_block(dimensions: int, seed: int, block: int) -> tuple[tuple[float, ...], ...]:
    from scipy.stats.qmc import Sobol  # slow to import, and only this sampler needs it

    engine = Sobol(d=dimensions, scramble=True, rng=derive_seed("sobol", seed))
    if block:  # fast_forward(0) is invalid
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
    """Return the number of points of the grid of a search.

    Raises:
        UsageError: A field has infinitely many values.
    """
    return math.prod(_finite(field, distribution).size for field, distribution in search.items())


def grid_point(search: Mapping[str, Distribution], number: int) -> dict[str, Value]:
    """Return one point of the grid, in the order of `itertools.product`: the last field varies fastest.

    Args:
        search: Distribution of each field, all of them finite.
        number: Number of the point, from 0 and below `grid_points(search)`.

    Raises:
        UsageError: A field has infinitely many values.
        IndexError: There is no such point.
    """
    total = grid_points(search)
    if not 0 <= number < total:
        raise IndexError(f"the number of a grid point must be from 0 to {total - 1}, found {number}")
    point: dict[str, Value] = {}
    for field in sorted(search, reverse=True):
        distribution = _finite(field, search[field])
        number, index = divmod(number, distribution.size)
        point[field] = distribution.at(index)
    return dict(sorted(point.items()))
