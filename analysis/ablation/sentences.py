"""Verdicts as sentences: the effect, its interval, its metric and its scope.

The subject of each sentence is the metric or the difference, so that it agrees with its verb for every text of a user.
"""

from analysis.ablation.claims import Claim
from analysis.ablation.units import amount
from analysis.statistics.comparison import NORMAL_PAIRS
from analysis.statistics.intervals import Interval
from analysis.statistics.paired import Comparison, Verdict
from analysis.wording import between, p_number, p_words, signed
from search_spaces import RETUNED, AblationSpec
from search_spaces.values import counted

_NAMES = {"nll": "NLL", "ece": "ECE", "brier": "Brier score"}


def metric_words(name: str) -> str:
    """Return the name of a metric for a sentence: ``test/nll`` -> ``test NLL``."""
    split, _, metric = name.partition("/")
    return f"{split} {_NAMES.get(metric, metric)}"


def heading(spec: AblationSpec, claim: Claim) -> str:
    """Return the words before the sentence of a claim; empty if there are none.

    What an arm says compares it with the control, so it does not introduce a comparison with another arm.
    """
    pair = claim.contrast.simple
    if pair is None:
        factor = claim.contrast.name in spec.factors
        return f"Turning {claim.contrast.name} on" if factor else claim.contrast.name
    control, treatment = pair
    says = spec.all_arms[treatment].says
    # As the subject of a sentence, it may end with a comma.
    return says.rstrip(" ,") if says and control == next(iter(spec.all_arms)) else ""


def verdict_sentence(spec: AblationSpec, claim: Claim) -> str:
    """Return the verdict of a claim as a sentence."""
    before, text = heading(spec, claim), _text(spec, claim)
    return f"{before}: {text}" if before else f"{text[0].upper()}{text[1:]}"


def _text(spec: AblationSpec, claim: Claim) -> str:
    if claim.verdict is Verdict.NOT_COMPARABLE:
        return f"{_arms(claim)} cannot be compared, because {'; '.join(claim.mismatches)}."
    if claim.verdict is Verdict.UNSTABLE:
        counts = ", ".join(f"{arm!r} in {count}" for arm, count in claim.failed.items())
        found = "" if claim.comparison is None else f" In the complete pairs, {_effect(spec, claim)}."
        ends = f"{counts} of {counted(claim.started, 'pair')}"
        return f"some runs diverged or failed ({ends}), so the complete pairs are a selection.{found}"
    if claim.comparison is None:
        return f"no pair of {_arms(claim)} is complete yet."
    metric = metric_words(spec.metrics.primary)
    if claim.verdict is Verdict.IDENTICAL:
        many = counted(claim.pairs, "pair")
        return f"{metric} of {_arms(claim)} differs by exactly 0 in all of {many}: is the setting used at all?"
    if claim.verdict is Verdict.INCONCLUSIVE:
        return _inconclusive(spec, claim, claim.comparison)
    if claim.verdict is Verdict.TUNING_DEPENDENT:
        return f"{_effect(spec, claim)}; if each arm is tuned, the difference has the opposite sign."
    effect = _difference(spec, claim) if claim.verdict is Verdict.EQUIVALENT else _effect(spec, claim)
    return f"{effect}{_against_margin(spec, claim)}, {scope(spec, claim)}{_assumption(claim)}."


def _assumption(claim: Claim) -> str:
    if claim.pairs > NORMAL_PAIRS or claim.interval is None:
        return ""
    return f"; with {counted(claim.pairs, 'pair')}, this rests on the normality of the differences"


def _arms(claim: Claim) -> str:
    pair = claim.contrast.simple
    if pair is None:
        return "these arms"
    control, treatment = pair
    return f"{treatment!r} and {control!r}"


def _difference(spec: AblationSpec, claim: Claim) -> str:
    """Return the difference of the arms with its sign, its interval and its number of pairs."""
    delta, metric = claim.comparison.delta if claim.comparison else 0.0, spec.metrics.primary
    size = "" if claim.interval is None else f" {between(claim.interval)}"
    pair = claim.contrast.simple
    of = "" if pair is None else f", {pair[1]!r} minus {pair[0]!r},"
    what = f"the difference in {metric_words(metric)}{of} is {amount(spec, metric, delta, sign=True)}{size}"
    return f"{what} over {counted(claim.pairs, 'pair')}"


def _effect(spec: AblationSpec, claim: Claim) -> str:
    """Return the effect with its direction, both arms, its interval and its p-values."""
    comparison, metric = claim.comparison, spec.metrics.primary
    if comparison is None:
        return ""
    delta, pair = comparison.delta, claim.contrast.simple
    if pair is None and claim.contrast.name not in spec.factors:
        return _combined(spec, claim, comparison)
    word = "lower" if delta < 0 else "higher" if delta > 0 else "the same"
    size = "" if claim.interval is None else f" {between(_as_size(claim.interval, delta))}"
    by = f" by {amount(spec, metric, abs(delta))}{size}" if delta else size
    than = "as" if not delta else "than"
    arms = "" if pair is None else f" with {pair[1]!r} {than} with {pair[0]!r}"
    counts = f"{word if delta else 'different'} in {_like_the_mean(comparison)} of {counted(comparison.n, 'pair')}"
    return f"{metric_words(metric)} is {word}{by}{arms} ({'; '.join([counts, *p_values(claim)])})"


def _like_the_mean(comparison: Comparison) -> int:
    """Return the number of pairs whose delta has the sign of the mean delta; if that is 0, of those with any delta."""
    if not comparison.delta:
        return comparison.wins + comparison.losses
    return sum(delta * comparison.delta > 0 for delta in comparison.deltas)


def _combined(spec: AblationSpec, claim: Claim, comparison: Comparison) -> str:
    """Return the effect of a declared combination of arms, which has no direction of its own."""
    metric, side = spec.metrics.primary, "below" if comparison.delta < 0 else "above"
    size = "" if claim.interval is None else f" {between(claim.interval)}"
    counts = f"{side} 0 in {_like_the_mean(comparison)} of {counted(comparison.n, 'pair')}"
    delta = amount(spec, metric, comparison.delta, sign=True)
    return (
        f"the weighted difference in {metric_words(metric)} is {delta}{size} ({'; '.join([counts, *p_values(claim)])})"
    )


def p_values(claim: Claim) -> list[str]:
    """Return the p-values of a claim, each with its name, as one text in a list; empty if there is none."""
    comparison, texts = claim.comparison, []
    if claim.p_raw is None or comparison is None:
        return []
    texts.append(f"{p_words(claim.p_raw)} by {claim.test}")
    if claim.decision is None and comparison.p_permutation is not None and comparison.sd:
        texts.append(f"{p_number(comparison.p_permutation)} by sign flips")
    if claim.p is not None and claim.family > 1:
        texts.append(f"{p_number(claim.p)} after Holm over {claim.family} claims")
    return [", ".join(texts)]


def _as_size(interval: Interval, delta: float) -> Interval:
    """Return the interval of the size of a change, which is positive for a fall, too."""
    return Interval(-interval.high, -interval.low) if delta < 0 else interval


def _against_margin(spec: AblationSpec, claim: Claim) -> str:
    comparison = claim.comparison
    if comparison is None or comparison.margin is None:
        return ""
    margin = amount(spec, spec.metrics.primary, comparison.margin)
    match claim.verdict:
        case Verdict.EQUIVALENT:
            return f"; {_narrow(claim, comparison)} is within the margin ±{margin}"
        case Verdict.NEGLIGIBLE:
            return f": real, but {_narrow(claim, comparison)} is within the margin {margin}"
        case _ if comparison.beyond_margin:
            return f", beyond the margin {margin}"
        case _:
            return f", which may be less than the margin {margin}"


def _narrow(claim: Claim, comparison: Comparison) -> str:
    """Return the interval that two one-sided tests compare with the margin; that of the e-process is shown already."""
    if comparison.interval90 is None or claim.interval != comparison.interval:
        return "it"
    return f"its {100 * (1 - 2 * comparison.alpha):.3g} % interval {between(comparison.interval90)}"


def _inconclusive(spec: AblationSpec, claim: Claim, comparison: Comparison) -> str:
    metric = metric_words(spec.metrics.primary)
    if claim.interval is None:
        return f"{counted(claim.pairs, 'complete pair')} of {_arms(claim)} cannot show how much {metric} changes."
    found = f"{_difference(spec, claim)}: inconclusive"
    if reason := _against_the_interval(claim, comparison):
        return f"{found}, {reason}."
    if comparison.needed:
        margin = amount(spec, spec.metrics.primary, comparison.margin or 0)
        more = counted(comparison.needed, "more pair")
        return f"{found}; {more} would detect the margin {margin} with power .8 in a t-test."
    if comparison.detectable is not None:
        change = amount(spec, spec.metrics.primary, comparison.detectable)
        return f"{found}; this many pairs detect a difference of {change} with power .8."
    return f"{found}."


def _against_the_interval(claim: Claim, comparison: Comparison) -> str:
    """Return why a claim is inconclusive although its interval excludes 0, or the reverse; empty if it is not so."""
    if comparison.tests_disagree and comparison.p_t is not None and comparison.p_permutation is not None:
        level = p_number(comparison.alpha)
        return (
            f"because the t-test ({p_words(comparison.p_t)}) and the sign-flip test "
            f"({p_words(comparison.p_permutation)}) are on different sides of {level}"
        )
    if claim.interval is not None and claim.interval.excludes(0.0) and claim.p is not None:
        return f"because {p_words(claim.p)} after Holm over {claim.family} claims"
    return ""


def scope(spec: AblationSpec, claim: Claim) -> str:
    """Return the scope of a claim: tuning, recipe and data."""
    if claim.design == RETUNED and spec.retune is not None:
        where = f"each arm at the best of {spec.retune.runs} tries"
    elif spec.nuisance:
        where = f"over random values of {', '.join(spec.nuisance)}"
    else:
        where = "at this recipe" if spec.space.command is None else "with these arguments"
    return f"{where}, on this {spec.metrics.primary.partition('/')[0]} set"


def wider_scope(claim: Claim) -> str | None:
    """Return the result for new seeds and new examples as a sentence; None if it is unknown."""
    level = claim.two_level
    if level is None or level.interval is None or claim.comparison is None:
        return None
    return (
        f"For new seeds and new test examples, the difference is {signed(level.delta)} {between(level.interval)} "
        f"({level.examples} examples, {level.pairs} pairs)."
    )
