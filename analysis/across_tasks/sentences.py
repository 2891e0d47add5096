"""The verdicts of an ablation of several tasks as sentences; both populations are always named."""

from math import expm1

from analysis.ablation.sentences import heading, metric_words
from analysis.ablation.units import amount
from analysis.across_tasks.findings import AcrossClaim, AcrossFindings
from analysis.across_tasks.scales import Scale
from analysis.statistics.intervals import Interval
from analysis.statistics.paired import Verdict
from analysis.statistics.several_tasks import LEAST_TASKS, Estimate
from analysis.wording import between, number, p_number, p_words, signed
from search_spaces import RETUNED
from search_spaces.values import counted


def scale_words(found: AcrossFindings) -> str:
    """Return the name of the primary metric on the common scale: ``log test NLL``."""
    metric = metric_words(found.spec.metrics.primary)
    match found.scale:
        case Scale.LOG:
            return f"log {metric}"
        case Scale.LOGIT:
            return f"the logit of {metric}"
        case Scale.MARGINS:
            return f"{metric}, in margins,"
        case _:
            return metric


def these_words(found: AcrossFindings) -> str:
    """Return the words for the tasks of the file: ``these 3 tasks``."""
    return f"these {counted(len(found.group.tasks), 'task')}"


def verdict_sentence(found: AcrossFindings, claim: AcrossClaim) -> str:
    """Return the verdict about these tasks as a sentence."""
    single = next((one.claim for one in claim.tasks if one.claim is not None), None)
    before = heading(found.spec, single) if single is not None else ""
    text = _text(found, claim)
    return f"{before}: {text}" if before else f"{text[0].upper()}{text[1:]}"


def _text(found: AcrossFindings, claim: AcrossClaim) -> str:
    these = claim.these
    if claim.verdict in (Verdict.NOT_COMPARABLE, Verdict.UNSTABLE):
        wrong = [one.task for one in claim.tasks if one.claim is not None and one.claim.verdict is claim.verdict]
        return f"on {' and '.join(wrong)} the verdict is {claim.verdict.value}, so {these_words(found)} have none."
    if these is None:
        waiting = ", ".join(claim.waiting)
        return f"{these_words(found)} have no result yet, because these have fewer than 2 complete pairs: {waiting}."
    if claim.verdict is Verdict.IDENTICAL:
        return f"{metric_words(found.spec.metrics.primary)} differs by exactly 0 on all of {these_words(found)}."
    if claim.verdict is Verdict.INCONCLUSIVE:
        return f"{_difference(found, claim, these)}: inconclusive{_reason(claim, these)}."
    if claim.verdict is Verdict.TUNING_DEPENDENT:
        return f"{_effect(found, claim, these)}; if each arm is tuned, the difference has the opposite sign."
    effect = (_difference if claim.verdict is Verdict.EQUIVALENT else _effect)(found, claim, these)
    return f"{effect}{_against_margin(found, claim)}, {_scope(found, claim)}."


def _difference(found: AcrossFindings, claim: AcrossClaim, these: Estimate) -> str:
    pair = claim.contrast.simple
    of = "" if pair is None else f", {pair[1]!r} minus {pair[0]!r},"
    size = "" if these.interval is None else f" {between(these.interval)}"
    return (
        f"over {these_words(found)}, the mean difference in {scale_words(found)}{of} is {signed(these.value)}{size}"
        f"{_percent(found, these)}"
    )


def _effect(found: AcrossFindings, claim: AcrossClaim, these: Estimate) -> str:
    word = "lower" if these.value < 0 else "higher"
    interval = these.interval
    if interval is not None and these.value < 0:
        interval = Interval(-interval.high, -interval.low)
    size = "" if interval is None else f" {between(interval)}"
    pair = claim.contrast.simple
    arms = "" if pair is None else f" with {pair[1]!r} than with {pair[0]!r}"
    same = sum(one.mean is not None and one.mean * these.value > 0 for one in claim.tasks)
    facts = [f"{word} on {same} of {counted(len(claim.tasks), 'task')}"]
    if these.p is not None:
        facts.append(f"{p_words(these.p)} by t{_adjusted(claim)}")
    return (
        f"over {these_words(found)}, {scale_words(found)} is {word} by {number(abs(these.value))}{size}{arms} on "
        f"average{_percent(found, these)} ({'; '.join(facts)})"
    )


def _adjusted(claim: AcrossClaim) -> str:
    if claim.p is None or claim.family == 1:
        return ""
    return f", {p_number(claim.p)} after Holm over {claim.family} contrasts"


def _percent(found: AcrossFindings, these: Estimate) -> str:
    """Return a difference of logarithms as a change of the metric in per cent; empty on another scale."""
    if found.scale is not Scale.LOG:
        return ""
    return f", a change of {signed(100 * expm1(these.value))} %"


def _reason(claim: AcrossClaim, these: Estimate) -> str:
    if these.interval is not None and these.interval.excludes(0.0) and claim.p is not None:
        return f", because {p_words(claim.p)} after Holm over {claim.family} contrasts"
    return ""


def _against_margin(found: AcrossFindings, claim: AcrossClaim) -> str:
    """Return how the mean change compares with the margin, which is in units of the metric."""
    margin, change, metric = found.spec.metrics.margin, claim.change, found.spec.metrics.primary
    if margin is None or change is None or change.interval is None:
        return ""
    size = amount(found.spec, metric, margin)
    mean = f"; the mean change of {metric_words(metric)}, {amount(found.spec, metric, change.value, sign=True)}"
    # The margin is judged by the 90 % interval, as two one-sided tests at .05.
    if claim.verdict in (Verdict.EQUIVALENT, Verdict.NEGLIGIBLE) and change.interval90 is not None:
        mean += f" {between(change.interval90)} at 90 %,"
    else:
        mean += f" {between(change.interval)},"
    match claim.verdict:
        case Verdict.EQUIVALENT:
            return f"{mean} is within the margin ±{size}"
        case Verdict.NEGLIGIBLE:
            return f"{mean} is real, but within the margin ±{size}"
        case _ if change.interval.low >= margin or change.interval.high <= -margin:
            return f"{mean} is beyond the margin {size}"
        case _:
            return f"{mean} may be less than the margin {size}"


def _scope(found: AcrossFindings, claim: AcrossClaim) -> str:
    spec = found.spec
    if claim.design == RETUNED and spec.retune is not None:
        where = f"each arm at the best of {spec.retune.runs} tries on each task"
    else:
        where = f"over random values of {', '.join(spec.nuisance)}" if spec.nuisance else "at these recipes"
    return f"{where}, on these {spec.metrics.primary.partition('/')[0]} sets"


def population_sentence(found: AcrossFindings, claim: AcrossClaim) -> str:
    """Return what the tasks say about tasks like these, as a sentence; empty without a result about these tasks."""
    tasks, like = len(found.group.tasks), claim.like_these
    if claim.these is None:
        return ""
    if like is None:
        return f"For tasks like these: no statement, which needs at least {LEAST_TASKS} tasks."
    size = "no interval, since all tasks agree exactly" if like.interval is None else between(like.interval)
    text = (
        f"For tasks like these: a mean difference of {signed(like.value)} {size} in {scale_words(found)} (random "
        f"effects; standard deviation between tasks {number(like.tau)})."
    )
    if like.interval is not None and claim.these.interval is not None and _wider(like.interval, claim.these.interval):
        text += f" It is wider because {tasks} tasks stand for all others: {counted(like.df, 'degree')} of freedom."
    return text


def _wider(one: Interval, other: Interval) -> bool:
    return one.high - one.low > other.high - other.low
