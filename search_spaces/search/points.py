"""Points of a search, addressed by their number.

Pure functions of (search, seed, number): a sweep that starts again goes on with the same sequence, and no
state has to be stored. Fields are taken in the order of their names, so that the order in a file is free.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache

from search_spaces.errors import Problem, UsageError
from search_spaces.search.distributions import Distribution, FiniteDistribution, Value
from search_spaces.seeds import derive_seed

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
