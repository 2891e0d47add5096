"""How far a score would move with another seed: what a sweep alone can say of it, and what that costs its winner."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import special

from analysis.diagnosis.smoothing import noise
from analysis.statistics.intervals import Floats
from analysis.sweep.evidence import SweepEvidence
from sweeps.study.snapshot import RunSnapshot

_MAD_TO_SIGMA = 1.4826  # median absolute value of a centred normal -> its standard deviation
_COMPARED = 20  # complete runs: their pairs are enough
_TAIL = 4  # evaluations: fewer in the second half of a curve have no scatter to speak of


@dataclass(frozen=True)
class ScoreNoise:
    """Standard deviation of a final score that is not the recipe's doing.

    Attributes:
        sd: Standard deviation in units of the metric.
        method: How it was estimated, for a sentence.
        bound: Whether it is a lower bound: all but repeats see only a part of the noise.
    """

    sd: float
    method: str
    bound: bool


def score_noise(evidence: SweepEvidence) -> ScoreNoise | None:
    """Return what the sweep says of its noise; None where no complete run has enough of a curve.

    Repeats of one recipe with other seeds say it outright. Without them, the larger of two lower bounds: the scatter of
    the metric from one evaluation to the next, in the second half of the complete runs; and, where predictions are
    stored, what the draw of the validation examples does to one run and not to another: the spread over examples of the
    difference of two runs. What all runs owe to the examples that they share flatters none of them over another.
    """
    repeats = _repeats(evidence.ranked)
    if repeats is not None:
        return repeats
    scatter = [noise(half) for run in evidence.ranked if len(half := _second_half(run))]
    along = ScoreNoise(float(np.median(scatter)), "the scatter along the curves", True) if scatter else None
    return max((one for one in (along, _examples(evidence)) if one), key=lambda one: one.sd, default=None)


def _examples(evidence: SweepEvidence) -> ScoreNoise | None:
    """Half the variance of the difference of two runs, over pairs of complete runs, by their examples."""
    metric, _, weights = evidence.spec.metric.name.partition("/")[2].partition("@")
    found = [evidence.predictions.get((run.number, weights or "raw")) for run in evidence.ranked[:_COMPARED]]
    known = [one for one in found if one is not None]
    if metric == "accuracy":
        each = [(one.predicted == one.label).astype(np.float64) for one in known]
    else:
        each = [one.nll.astype(np.float64) for one in known] if metric == "nll" else []
    pairs = [float((a - b).var()) / (2 * len(a)) for a, b in combinations(each, 2) if len(a) == len(b) > 1]
    if not pairs:
        return None
    return ScoreNoise(math.sqrt(float(np.mean(pairs))), f"the draw of {len(each[0])} validation examples", True)


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
        math.sqrt(squares / freedom), f"{freedom + len(repeated)} repeats of {len(repeated)} recipes", False
    )


def _second_half(run: RunSnapshot) -> Floats:
    values = np.array([value for value in run.curve.values() if math.isfinite(value)], dtype=np.float64)
    half = values[len(values) // 2 :]
    return half if len(half) >= _TAIL else np.empty(0)


def expected_maximum(n: int) -> float:
    """Return the mean of the largest of n standard normals: 0 of one, 1.54 of ten, 2.51 of a hundred."""
    x = np.linspace(-8.0, 8.0, 4001)
    density = n * np.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi) * special.ndtr(x) ** (n - 1)
    return float(np.trapezoid(x * density, x))


def selection_optimism(scores: Sequence[float], sd: float, maximize: bool) -> float:
    """Return by how much the best of these scores is expected to overstate what it would be with another seed.

    With quality and noise normal and independent, a score that lies x above the mean owes the share
    sd^2 / (sd^2 + quality^2) of x to its noise, and the best of n lies `expected_maximum(n)` standard deviations above.
    The spread is read off the better half of the scores: bad recipes, which could never win, would hide the noise.
    The prior of a sweep is no normal, so this is the order of magnitude.

    Args:
        scores: Finite scores from which the best was chosen, at least one.
        sd: Standard deviation of the noise.
        maximize: Whether more is better.
    """
    turned = np.asarray(scores, dtype=np.float64) * (1.0 if maximize else -1.0)
    above = turned[turned >= np.median(turned)] - np.median(turned)
    spread = max(_MAD_TO_SIGMA * float(np.median(above)), sd)
    return expected_maximum(len(turned)) * sd * sd / spread if spread else 0.0
