"""How often each verdict is given at a known mean delta, by simulated studies that are judged as real ones are."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from analysis.statistics.comparison import Goal, compare_deltas
from analysis.statistics.intervals import Floats, Interval, check_fraction
from analysis.statistics.permutation import MAX_EXACT_PAIRS, PERMUTATIONS
from analysis.statistics.sequential import E_PROCESS, E_STOP, Decision, StoppingRule, decide, e_interval
from analysis.statistics.verdicts import Verdict, holm, judge

STUDIES = 500
"""Number of simulated studies; odds of one half then have a standard error of .022."""

E_STUDIES = 100
"""The same with the e-process, which looks after every pair; the standard error is .05."""


def verdict_odds(
    sd: float,
    improvements: Sequence[float],
    n: int,
    rng: np.random.Generator,
    margin: float | None = None,
    family: int = 1,
    rule: StoppingRule | None = None,
    alpha: float = 0.05,
    studies: int = STUDIES,
) -> tuple[Mapping[Verdict, float], ...]:
    """Return, for each true improvement, how often a study of n pairs gives each verdict; the shares sum to 1.

    Deltas are normal. The other claims of the family are about arms without a difference: their p-values are uniform,
    so `holm` asks the most of this one. Above 16 pairs the sign-flip test is left out: it takes long, and it agrees
    with the t-test for normal deltas.

    Args:
        sd: Standard deviation of the deltas, in metric units.
        improvements: True mean deltas, positive when the treatment is better.
        n: Number of pairs, at least 2; the largest one with a stopping rule.
        rng: Generator of the deltas.
        margin: Smallest delta that matters.
        family: Number of claims in the adjustment by `holm`.
        rule: Stopping rule; None for a single test.
        alpha: Level of the family.
        studies: Number of simulated studies.

    Raises:
        ValueError: sd is not positive, n < 2, family < 1, studies < 1, or alpha is outside (0, 1).
    """
    check_fraction("alpha", alpha)
    if not 0.0 < sd < np.inf or min(n - 1, family, studies) < 1:
        raise ValueError(
            f"sd > 0, n >= 2, family >= 1 and studies >= 1 are required, found {sd}, {n}, {family}, {studies}"
        )
    noise = rng.normal(0.0, sd, (studies, n))
    others = rng.random((studies, family - 1))
    found: list[Counter[Verdict]] = [Counter() for _ in improvements]
    for deltas, p in zip(noise, others, strict=True):  # the same noise for each improvement
        for index, improvement in enumerate(improvements):
            found[index][_verdict(improvement + deltas, p.tolist(), margin, rule, alpha, rng)] += 1
    return tuple({verdict: count / studies for verdict, count in sorted(one.items())} for one in found)


def _verdict(
    deltas: Floats,
    others: list[float],
    margin: float | None,
    rule: StoppingRule | None,
    alpha: float,
    rng: np.random.Generator,
) -> Verdict:
    """Return the verdict of one study in which larger is better."""
    goal: Goal = "maximize"
    decision = None if rule is None else decide(deltas, rule, margin, 1 + len(others), alpha)
    if decision is not None and decision.history:
        deltas = deltas[: decision.history[-1].n]
    level = alpha if decision is None else decision.alpha
    permutations = PERMUTATIONS if len(deltas) <= MAX_EXACT_PAIRS else 0
    compared = compare_deltas(deltas, goal, rng, margin, level, permutations)
    own = compared.p if decision is None else decision.p
    interval = _sequence(deltas, rule, decision)
    return judge(compared, holm([own, *others])[0], interval=interval, family_alpha=alpha)


def _sequence(deltas: Floats, rule: StoppingRule | None, decision: Decision | None) -> Interval | None:
    """Return the confidence sequence of the e-process, which then replaces the interval of the t-test."""
    if rule != E_PROCESS or decision is None:
        return None
    return e_interval(deltas, threshold=E_STOP)
