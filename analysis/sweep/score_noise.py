"""The noise of a score between seeds, as far as a sweep shows it, and the optimism of the selected best score."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import special

from analysis.diagnosis.smoothing import MAD_TO_SIGMA, noise
from analysis.statistics.intervals import Floats
from analysis.sweep.evidence import SweepEvidence
from search_spaces.metric_names import split_weights
from search_spaces.values import counted
from sweeps.study.snapshot import RunSnapshot

_COMPARED = 20  # number of complete runs whose pairs are compared
_TAIL = 4  # minimum number of evaluations in the second half of a curve


@dataclass(frozen=True)
class ScoreNoise:
    """Standard deviation of a final score of one recipe.

    Attributes:
        sd: Standard deviation, in units of the metric.
        method: Method of estimation, for a sentence.
        bound: Whether it is a lower bound: all methods except repeats measure only a part of the noise.
    """

    sd: float
    method: str
    bound: bool


def score_noise(evidence: SweepEvidence) -> ScoreNoise | None:
    """Return the noise of a score; None if no complete run has a long enough curve.

    Repeats of a recipe with other seeds measure it directly. Without them, it is the larger of two lower bounds. The
    first is the variation of the metric between evaluations in the second half of the complete runs. The second, if
    predictions are stored, is the sampling noise of the validation examples, from the variance over examples of the
    difference of two runs. Noise that all runs share through their examples does not favour any of them.
    """
    repeats = _repeats(evidence.ranked)
    if repeats is not None:
        return repeats
    scatter = [noise(half) for run in evidence.ranked if len(half := _second_half(run))]
    along = ScoreNoise(float(np.median(scatter)), "the variation along the curves", True) if scatter else None
    return max((one for one in (along, _examples(evidence)) if one), key=lambda one: one.sd, default=None)


def _examples(evidence: SweepEvidence) -> ScoreNoise | None:
    """Return the sampling noise: half the variance of the mean difference of two complete runs over examples."""
    metric, weights = split_weights(evidence.spec.metric.name)
    found = [evidence.predictions.get((run.number, weights)) for run in evidence.ranked[:_COMPARED]]
    known = [one for one in found if one is not None]
    if metric == "accuracy":
        each = [(one.predicted == one.label).astype(np.float64) for one in known]
    else:
        each = [one.nll.astype(np.float64) for one in known] if metric == "nll" else []
    pairs = [float((a - b).var()) / (2 * len(a)) for a, b in combinations(each, 2) if len(a) == len(b) > 1]
    if not pairs:
        return None
    return ScoreNoise(math.sqrt(float(np.mean(pairs))), f"the sampling of {len(each[0])} validation examples", True)


def _repeats(runs: Sequence[RunSnapshot]) -> ScoreNoise | None:
    """Return the pooled standard deviation within recipes that were trained more than once."""
    groups: dict[str, list[float]] = {}
    for run in runs:
        groups.setdefault(run.recipe_hash, []).append(run.value or 0.0)
    repeated = [np.array(values) for values in groups.values() if len(values) > 1]
    freedom = sum(len(values) - 1 for values in repeated)
    if not freedom:
        return None
    squares = sum(float(((values - values.mean()) ** 2).sum()) for values in repeated)
    return ScoreNoise(
        math.sqrt(squares / freedom), f"{freedom + len(repeated)} repeats of {counted(len(repeated), 'recipe')}", False
    )


def _second_half(run: RunSnapshot) -> Floats:
    values = np.array([value for value in run.curve.values() if math.isfinite(value)], dtype=np.float64)
    half = values[len(values) // 2 :]
    return half if len(half) >= _TAIL else np.empty(0)


def expected_maximum(n: int) -> float:
    """Return the mean of the largest of n standard normals: 0 for 1, 1.54 for 10, 2.51 for 100."""
    x = np.linspace(-8.0, 8.0, 4001)
    density = n * np.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi) * special.ndtr(x) ** (n - 1)
    return float(np.trapezoid(x * density, x))


def selection_optimism(scores: Sequence[float], sd: float, maximize: bool, tried: int | None = None) -> float:
    """Return the expected difference between the best of these scores and its score with another seed.

    If quality and noise are normal and independent, a share sd^2 / (sd^2 + quality^2) of the distance of a score from
    the mean is due to noise, and the best of n is `expected_maximum(n)` standard deviations above the mean. The
    standard deviation of the scores is estimated from their better half, because bad recipes, which cannot win, would
    hide the noise. The scores of a sweep are not normal, so the result is an order of magnitude.

    Args:
        scores: Finite scores of complete runs, at least one.
        sd: Standard deviation of the noise.
        maximize: Whether a larger score is better.
        tried: Number of runs from which the best was selected, with those that were stopped on the way; by default,
            the number of scores.
    """
    oriented = np.asarray(scores, dtype=np.float64) * (1.0 if maximize else -1.0)
    above = oriented[oriented >= np.median(oriented)] - np.median(oriented)
    spread = max(MAD_TO_SIGMA * float(np.median(above)), sd)
    return expected_maximum(tried or len(oriented)) * sd * sd / spread if spread else 0.0
