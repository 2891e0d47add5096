"""The sign-flip permutation test of paired deltas: exact, or by seeded Monte Carlo."""

import numpy as np
from numpy.typing import ArrayLike

from analysis.statistics.intervals import Floats, checked_sample

MIN_PAIRS = 6
"""Below this number of pairs the smallest p-value, 2 / 2**n, exceeds .05."""

MAX_EXACT_PAIRS = 16
"""Up to this number of pairs all 2**n sign vectors are used."""

PERMUTATIONS = 19_999
"""Number of random sign vectors above that; a p-value of .05 then has a standard error of .0015."""

_CHUNK = 1_000


def sign_flip_p(deltas: ArrayLike, rng: np.random.Generator, permutations: int = PERMUTATIONS) -> float | None:
    """Return the two-sided p-value of the mean delta under random exchange of the arms within pairs.

    Args:
        deltas: Deltas of shape (n,).
        rng: Generator for the sign vectors above 16 pairs; not used otherwise, because all of them are tried.
        permutations: Number B of sign vectors; the p-value is (b + 1) / (B + 1), never 0 and never too small
            (Phipson and Smyth 2010).

    Returns:
        None below 6 pairs, because the test cannot reach .05 there.

    Raises:
        ValueError: permutations < 1, or a delta is not finite.
    """
    if permutations < 1:
        raise ValueError(f"permutations must be >= 1, found {permutations}")
    values = checked_sample(deltas, 0, "deltas")
    n = len(values)
    if n < MIN_PAIRS:
        return None
    # Sums that are equal up to rounding count as at least as extreme.
    observed = abs(float(values.sum())) - 1e-12 * float(np.abs(values).sum())
    if n <= MAX_EXACT_PAIRS:
        return float((np.abs(_all_sums(values)) >= observed).mean())
    beyond = 0
    for start in range(0, permutations, _CHUNK):
        signs = 2.0 * rng.integers(0, 2, size=(min(_CHUNK, permutations - start), n), dtype=np.int8) - 1.0
        beyond += int((np.abs(signs @ values) >= observed).sum())
    return (beyond + 1) / (permutations + 1)


def _all_sums(values: Floats) -> Floats:
    """Return the sum under every choice of signs but the first, which is redundant by symmetry; shape (2**(n-1),)."""
    sums = values[:1]
    for value in values[1:]:
        sums = np.concatenate([sums + value, sums - value])
    return sums
