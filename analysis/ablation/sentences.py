"""Verdicts as sentences: the effect, its interval, its metric and its scope."""

from analysis.ablation.claims import Claim
from analysis.statistics.intervals import Interval
from analysis.statistics.paired import Verdict
from analysis.wording import between, number, p_words, signed
from search_spaces import RETUNED, AblationSpec
from search_spaces.values import counted

_NAMES = {"nll": "NLL", "ece": "ECE", "brier": "Brier score"}


def metric_words(name: str) -> str:
    """Return the name of a metric for a sentence: ``test/nll`` -> ``test NLL``."""
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
    """Return the verdict of a claim as a sentence."""
    what, metric = subject(spec, claim), metric_words(spec.metrics.primary)
    if claim.verdict is Verdict.NOT_COMPARABLE:
        return f"{what}: the arms cannot be compared, because {'; '.join(claim.mismatches)}."
    if claim.verdict is Verdict.UNSTABLE:
        counts = ", ".join(f"{arm!r} in {count}" for arm, count in claim.failed.items())
        found = "" if claim.comparison is None else f" In the complete pairs, it {_effect(spec, claim)}."
        ends = f"{counts} of {counted(claim.started, 'pair')}"
        return f"{what}: some runs diverged or failed ({ends}), so the complete pairs are a selection.{found}"
    if claim.comparison is None:
        return f"{what}: no pair is complete yet."
    if claim.verdict is Verdict.IDENTICAL:
        return f"{what} changes {metric} by exactly 0 in all {claim.pairs} pairs: is the setting used at all?"
    if claim.verdict is Verdict.INCONCLUSIVE:
        return _inconclusive(spec, claim)
    if claim.verdict is Verdict.TUNING_DEPENDENT:
        return f"{what} {_effect(spec, claim)}, but has the opposite effect if each arm is tuned: it depends on tuning."
    effect = _change(spec, claim) if claim.verdict is Verdict.EQUIVALENT else _effect(spec, claim)
    return f"{what} {effect}{_against_margin(claim)}, {scope(spec, claim)}."


def _change(spec: AblationSpec, claim: Claim) -> str:
    """Return the change without a direction: ``changes test NLL by +0.001 [-0.002, 0.004] over 10 pairs``."""
    delta = claim.comparison.delta if claim.comparison else 0.0
    size = "" if claim.interval is None else f" {between(claim.interval)}"
    return f"changes {metric_words(spec.metrics.primary)} by {signed(delta)}{size} over {counted(claim.pairs, 'pair')}"


def _effect(spec: AblationSpec, claim: Claim) -> str:
    """Return the effect with its direction: ``lowers test NLL by 0.012 [0.008, 0.016] (10 of 10 pairs, p = .002)``."""
    comparison = claim.comparison
    if comparison is None:
        return ""
    delta = comparison.delta
    verb = "lowers" if delta < 0 else "raises" if delta > 0 else "leaves"
    size = "" if claim.interval is None else f" {between(_as_size(claim.interval, delta))}"
    wins = max(comparison.wins, comparison.losses)
    details = [f"{wins} of {counted(comparison.n, 'pair')}"]
    if claim.p is not None:
        details.append(p_words(claim.p))
    amount = f" by {number(abs(delta))}" if delta else " unchanged"
    return f"{verb} {metric_words(spec.metrics.primary)}{amount}{size} ({', '.join(details)})"


def _as_size(interval: Interval, delta: float) -> Interval:
    """Return the interval of the size of a change, which is positive for a fall, too."""
    return Interval(-interval.high, -interval.low) if delta < 0 else interval


def _against_margin(claim: Claim) -> str:
    comparison = claim.comparison
    if comparison is None or comparison.margin is None:
        return ""
    margin = number(comparison.margin)
    match claim.verdict:
        case Verdict.EQUIVALENT:
            return f", which is within the margin ±{margin}"
        case Verdict.NEGLIGIBLE:
            return f": real, but within the margin {margin}"
        case _ if comparison.beyond_margin:
            return f", beyond the margin {margin}"
        case _:
            return f", which may be less than the margin {margin}"


def _inconclusive(spec: AblationSpec, claim: Claim) -> str:
    comparison, metric = claim.comparison, metric_words(spec.metrics.primary)
    what = subject(spec, claim)
    if comparison is None or claim.interval is None:
        return f"{what}: {counted(claim.pairs, 'complete pair')} cannot show how much {metric} changes."
    found = f"{what} {_change(spec, claim)}"
    if comparison.needed:
        margin = number(comparison.margin or 0)
        return f"{found}: inconclusive; {counted(comparison.needed, 'more pair')} would detect the margin {margin}."
    if comparison.detectable is not None:
        return f"{found}: inconclusive; this many pairs detect a change of {number(comparison.detectable)} (power .8)."
    return f"{found}: inconclusive."


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
        f"For new seeds and new test examples, the change is {signed(level.delta)} {between(level.interval)} "
        f"({level.examples} examples, {level.pairs} pairs)."
    )
