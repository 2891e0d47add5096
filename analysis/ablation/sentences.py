"""Verdicts in words: the effect, its interval, its unit and its scope, and nothing that the numbers do not say."""

from analysis.ablation.claims import Claim
from analysis.statistics.intervals import Interval
from analysis.statistics.paired import Verdict
from analysis.wording import between, number, p_words, signed
from search_spaces import RETUNED, AblationSpec

_NAMES = {"nll": "NLL", "ece": "ECE", "brier": "Brier score"}


def metric_words(name: str) -> str:
    """``test/nll`` -> ``test NLL``."""
    split, _, metric = name.partition("/")
    return f"{split} {_NAMES.get(metric, metric)}"


def subject(spec: AblationSpec, claim: Claim) -> str:
    """Return the treatment of a claim as the subject of a sentence."""
    pair = claim.contrast.simple
    if pair is None:
        return f"Turning {claim.contrast.name} on"
    control, treatment = pair
    return spec.all_arms[treatment].says or f"{treatment!r} instead of {control!r}"


def verdict_sentence(spec: AblationSpec, claim: Claim) -> str:
    """Say what a claim comes to, in one sentence."""
    what, metric = subject(spec, claim), metric_words(spec.metrics.primary)
    if claim.verdict is Verdict.NOT_COMPARABLE:
        return f"{what}: the arms cannot be compared, since {'; '.join(claim.mismatches)}."
    if claim.verdict is Verdict.UNSTABLE:
        counts = ", ".join(f"{arm!r} in {count}" for arm, count in claim.failed.items())
        found = "" if claim.comparison is None else f" Over the pairs that are left: {_effect(spec, claim)}."
        return (
            f"{what}: runs did not finish ({counts} of {claim.started} pairs), so that the rest is a selection.{found}"
        )
    if claim.comparison is None:
        return f"{what}: no pair is complete yet."
    if claim.verdict is Verdict.IDENTICAL:
        return f"{what} changes {metric} by exactly 0 in all {claim.pairs} pairs: was the switch wired?"
    if claim.verdict is Verdict.INCONCLUSIVE:
        return _inconclusive(spec, claim)
    if claim.verdict is Verdict.TUNING_DEPENDENT:
        return (
            f"{what} {_effect(spec, claim)}, and the other way when each arm is tuned for itself: it depends on tuning."
        )
    effect = _change(spec, claim) if claim.verdict is Verdict.EQUIVALENT else _effect(spec, claim)
    return f"{what} {effect}{_against_margin(claim)}, {scope(spec, claim)}."


def _change(spec: AblationSpec, claim: Claim) -> str:
    """``changes test NLL by +0.001 [-0.002, 0.004] over 10 pairs``: without a direction, where there may be none."""
    delta = claim.comparison.delta if claim.comparison else 0.0
    size = "" if claim.interval is None else f" {between(claim.interval)}"
    return f"changes {metric_words(spec.metrics.primary)} by {signed(delta)}{size} over {claim.pairs} pairs"


def _effect(spec: AblationSpec, claim: Claim) -> str:
    """``lowers test NLL by 0.012 [0.008, 0.016] (10 of 10 pairs, p = .002)``."""
    comparison = claim.comparison
    if comparison is None:
        return ""
    delta = comparison.delta
    verb = "lowers" if delta < 0 else "raises" if delta > 0 else "leaves"
    size = "" if claim.interval is None else f" {between(_turned(claim.interval, delta))}"
    wins = max(comparison.wins, comparison.losses)
    details = [f"{wins} of {comparison.n} pairs"]
    if claim.p is not None:
        details.append(p_words(claim.p))
    amount = f" by {number(abs(delta))}" if delta else " as it is"
    return f"{verb} {metric_words(spec.metrics.primary)}{amount}{size} ({', '.join(details)})"


def _turned(interval: Interval, delta: float) -> Interval:
    """Return the interval of the size of a change; the size of a decrease is a positive number."""
    return Interval(-interval.high, -interval.low) if delta < 0 else interval


def _against_margin(claim: Claim) -> str:
    comparison = claim.comparison
    if comparison is None or comparison.margin is None:
        return ""
    margin = number(comparison.margin)
    match claim.verdict:
        case Verdict.EQUIVALENT:
            return f", which is within the margin {margin} either way"
        case Verdict.NEGLIGIBLE:
            return f": real, and within the margin {margin}"
        case _ if comparison.beyond_margin:
            return f", beyond the margin {margin}"
        case _:
            return f", which may be less than the margin {margin}"


def _inconclusive(spec: AblationSpec, claim: Claim) -> str:
    comparison, metric = claim.comparison, metric_words(spec.metrics.primary)
    what = subject(spec, claim)
    if comparison is None or claim.interval is None:
        return f"{what}: {claim.pairs} complete pair{'s' * (claim.pairs != 1)} cannot say how much {metric} changes."
    found = f"{what} {_change(spec, claim)}"
    if comparison.needed:
        margin = number(comparison.margin or 0)
        return f"{found}: inconclusive; {comparison.needed} more pairs would detect the margin {margin}."
    if comparison.detectable is not None:
        return f"{found}: inconclusive; so many pairs detect a change of {number(comparison.detectable)} (power .8)."
    return f"{found}: inconclusive."


def scope(spec: AblationSpec, claim: Claim) -> str:
    """Return the scope of a claim."""
    if claim.design == RETUNED and spec.retune is not None:
        where = f"each arm at the best of {spec.retune.runs} tries"
    elif spec.nuisance:
        where = f"over {', '.join(spec.nuisance)} as drawn"
    else:
        where = "at this recipe"
    return f"{where}, on this {spec.metrics.primary.partition('/')[0]} set"


def wider_scope(claim: Claim) -> str | None:
    """Return what holds for new examples of the same kind, too; None where the data do not allow it."""
    level = claim.two_level
    if level is None or level.interval is None or claim.comparison is None:
        return None
    return (
        f"For new seeds and new test examples alike the change is {signed(level.delta)} {between(level.interval)} "
        f"({level.examples} examples, {level.pairs} pairs)."
    )
