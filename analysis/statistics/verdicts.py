"""The verdict of a comparison, by rules that are fixed before the data are seen."""

from collections.abc import Sequence
from enum import StrEnum

from analysis.statistics.comparison import Comparison
from analysis.statistics.intervals import Interval, check_fraction
from analysis.statistics.several_tasks import combined_mean


class Verdict(StrEnum):
    """The verdict of a comparison; the value is what is printed."""

    BETTER = "BETTER"
    WORSE = "WORSE"
    EQUIVALENT = "EQUIVALENT"
    NEGLIGIBLE = "REAL BUT NEGLIGIBLE"
    INCONCLUSIVE = "INCONCLUSIVE"
    TUNING_DEPENDENT = "TUNING-DEPENDENT"
    UNSTABLE = "CONFOUNDED BY INSTABILITY"
    NOT_COMPARABLE = "NOT COMPARABLE"
    IDENTICAL = "IDENTICAL"


def holm(p: Sequence[float | None]) -> tuple[float | None, ...]:
    """Return p-values adjusted for the whole family (Holm 1979), in the order given.

    Args:
        p: p-value of the primary metric for each treatment arm. None for an arm without one (yet): it stays None but
            counts like 1, because the family consists of all planned arms, not only of the finished ones.

    Raises:
        ValueError: A p-value is outside [0, 1].
    """
    for each in p:
        if each is not None and not 0.0 <= each <= 1.0:
            raise ValueError(f"p-values must be in [0, 1], found {each}")
    present = [(each, index) for index, each in enumerate(p) if each is not None]
    adjusted: list[float | None] = [None] * len(p)
    largest = 0.0
    for rank, (each, index) in enumerate(sorted(present)):
        largest = max(largest, min(1.0, (len(p) - rank) * each))
        adjusted[index] = largest
    return tuple(adjusted)


def judge(
    comparison: Comparison,
    p_adjusted: float | None = None,
    *,
    interval: Interval | None = None,
    family_alpha: float | None = None,
    comparable: bool = True,
    unstable: bool = False,
    retuned: Comparison | None = None,
) -> Verdict:
    """Return the verdict of a comparison, by the first of these rules that applies.

    1. NOT COMPARABLE if the arms differ in budget, steps or data.
    2. CONFOUNDED BY INSTABILITY if one arm diverged more often (`instability`).
    3. IDENTICAL if every delta is exactly 0.
    4. TUNING-DEPENDENT if the matched and the re-tuned design clearly disagree in sign (`tuning_dependent`).
    5. INCONCLUSIVE if the t-test and the sign-flip test are on different sides of alpha: the deltas are then too few,
       too skewed or too discrete for the t-test alone.
    6. The comparison is *real* if its interval excludes 0 and, with several treatment arms, its Holm-adjusted p-value
       is at most alpha. It is *small* if a margin was declared and the 1 - 2 alpha interval is inside it (TOST; each
       arm at its own alpha).
       Real and small: REAL BUT NEGLIGIBLE. Real: BETTER or WORSE, by the goal. Small: EQUIVALENT.
    7. INCONCLUSIVE otherwise.

    The interval and the p-value for Holm both come from the paired t-test, whose size is correct from 3 pairs on if the
    deltas are symmetric. The t-test alone decides below 6 pairs, where the sign-flip test cannot reach .05. The
    sign-flip test alone decides if all deltas are equal, because there is no t-test then.

    Args:
        comparison: Comparison to judge; with planned looks, at the level of the look.
        p_adjusted: Result of `holm` over the treatment arms (of `Comparison.p`, or of `sequential.overall_p` when the
            number of pairs was decided while looking); None for the only arm.
        interval: Interval that replaces both of the comparison, such as the confidence sequence of the e-process.
        family_alpha: Level for p_adjusted, .05 with planned looks; None for the comparison's alpha.
        comparable: Whether both arms had the same budget, steps and data.
        unstable: Result of `instability`.
        retuned: The same treatment in the re-tuned design; the comparison is then the matched one.

    Raises:
        ValueError: family_alpha is outside (0, 1).
    """
    if family_alpha is not None:
        check_fraction("family_alpha", family_alpha)
    if not comparable:
        return Verdict.NOT_COMPARABLE
    if unstable:
        return Verdict.UNSTABLE
    if comparison.ties == comparison.n:
        return Verdict.IDENTICAL
    if retuned is not None and tuning_dependent(comparison, retuned):
        return Verdict.TUNING_DEPENDENT
    if comparison.tests_disagree:
        return Verdict.INCONCLUSIVE
    real = _is_real(comparison, interval)
    if p_adjusted is not None:
        real = real and p_adjusted <= (comparison.alpha if family_alpha is None else family_alpha)
    narrow = interval or comparison.interval90
    small = comparison.margin is not None and narrow is not None and narrow.inside(comparison.margin)
    return by_size(real, small, comparison.improvement > 0.0)


def by_size(real: bool, small: bool, better: bool) -> Verdict:
    """Return the verdict of an effect by whether it is real, whether it is small, and its direction."""
    if real and not small:
        return Verdict.BETTER if better else Verdict.WORSE
    if small:
        return Verdict.NEGLIGIBLE if real else Verdict.EQUIVALENT
    return Verdict.INCONCLUSIVE


def _is_real(comparison: Comparison, interval: Interval | None) -> bool:
    interval = interval or comparison.interval
    if interval is not None:
        return interval.excludes(0.0)
    p = comparison.p
    return p is not None and p <= comparison.alpha


def tuning_dependent(matched: Comparison, retuned: Comparison) -> bool:
    """Return whether two designs disagree in sign by more than noise.

    A factor without effect has opposite signs in half of all ablations. Therefore, in addition to opposite signs of
    the mean deltas, the interval of their difference must exclude 0 (Welch 1947, at the level of the matched
    comparison; each design has fresh seeds).
    """
    if not matched.delta * retuned.delta < 0.0 or not matched.sd or not retuned.sd:
        return False
    apart = combined_mean([matched.deltas, retuned.deltas], [1.0, -1.0], matched.alpha).interval
    return apart is not None and apart.excludes(0.0)


def instability(diverged_control: int, diverged_treatment: int, n: int) -> bool:
    """Return whether one arm diverged more often than the other.

    The counts are not tested. The pairs share their seeds, so a divergence in one arm only is caused by the factor or
    shows an arm close to instability, and the complete pairs are then selected by outcome. With few pairs a test would
    detect nothing (3 of 5 against 0 of 5 has p = .17). `worst_rank` shows whether the selection matters.

    Args:
        diverged_control: Number of diverged or failed runs of the control.
        diverged_treatment: Number of diverged or failed runs of the treatment.
        n: Number of started pairs.

    Raises:
        ValueError: A count is outside [0, n].
    """
    for count in (diverged_control, diverged_treatment):
        if not 0 <= count <= n:
            raise ValueError(f"0 <= diverged runs <= n = {n} is required, found {count}")
    return diverged_control != diverged_treatment
