"""The sign-flip test of paired deltas, exact or by seeded Monte Carlo."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from analysis.statistics.intervals import Floats, checked_sample

MIN_PAIRS = 6
"""Pairs below which the smallest p-value, 2 / 2**n, exceeds .05."""

MAX_EXACT_PAIRS = 16
"""Pairs up to which all 2**n signs are tried."""

PERMUTATIONS = 19_999
"""Signs drawn above that: a p-value of .05 then has a standard error of .0015."""

_CHUNK = 1_000


def sign_flip_p(deltas: ArrayLike, rng: np.random.Generator, permutations: int = PERMUTATIONS) -> float | None:
    """Two-sided p-value of the mean delta under sign flips: every pair's arms were as likely the other way round.

    Args:
        deltas: Shape (n,).
        rng: Draws the signs above 16 pairs; below, all of them are tried and it is not used.
        permutations: B, how many signs are drawn; the p-value is (b + 1) / (B + 1), never 0 and never too small
            (Phipson and Smyth 2010).

    Returns:
        None below 6 pairs, where it cannot reach .05.

    Raises:
        ValueError: permutations < 1, or a delta that is not finite.
    """
    if permutations < 1:
        raise ValueError(f"permutations >= 1, found {permutations}")
    values = checked_sample(deltas, 0, "deltas")
    n = len(values)
    if n < MIN_PAIRS:
        return None
    # Sums that are equal on paper differ by rounding: they count as at least as far out.
    observed = abs(float(values.sum())) - 1e-12 * float(np.abs(values).sum())
    if n <= MAX_EXACT_PAIRS:
        return float((np.abs(_all_sums(values)) >= observed).mean())
    beyond = 0
    for start in range(0, permutations, _CHUNK):
        signs = 2.0 * rng.integers(0, 2, size=(min(_CHUNK, permutations - start), n), dtype=np.int8) - 1.0
        beyond += int((np.abs(signs @ values) >= observed).sum())
    return (beyond + 1) / (permutations + 1)


def _all_sums(values: Floats) -> Floats:
    """The sum under every choice of signs but the first, which symmetry makes superfluous; shape (2**(n-1),)."""
    sums = values[:1]
    for value in values[1:]:
        sums = np.concatenate([sums + value, sums - value])
    return sums
