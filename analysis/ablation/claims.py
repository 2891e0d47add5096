"""One claim for each contrast of an ablation, on the primary metric."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.ablation.evidence import Evidence, Floats, arm_values
from analysis.ablation.pairing import mismatches
from analysis.statistics.intervals import Interval
from analysis.statistics.paired import (
    Comparison,
    Goal,
    TwoLevel,
    Verdict,
    WorstRank,
    compare,
    compare_deltas,
    contrast,
    holm,
    instability,
    judge,
    two_level,
    worst_rank,
)
from analysis.statistics.sequential import E_STOP, Decision, StoppingRule, decide, e_interval
from search_spaces import MATCHED, RETUNED, AblationSpec, Contrast
from search_spaces.metric_names import read_from
from sweeps.plan.ablation_plan import AblationTable, Finals
from sweeps.run_state import RunState

ALPHA = 0.05


@dataclass(frozen=True)
class Claim:
    """Comparison of two arms, or of a combination of arms, in one design, on the primary metric.

    Attributes:
        design: `matched` or `retuned`.
        contrast: The compared arms.
        verdict: The verdict.
        comparison: Comparison over the complete pairs; None if there are none.
        interval: Interval that decides the verdict: paired t, or the confidence sequence of the e-process.
        p_raw: p-value of the test that decides, for all looks taken, but not adjusted for other claims.
        p: The same, adjusted by Holm over the claims of this design.
        family: Number of claims in that adjustment.
        test: Words for the test behind `p_raw`.
        decision: Looks taken; None for a single test.
        pairs: Number of pairs that are complete in every arm of the contrast.
        started: Number of pairs in which every run has ended.
        failed: Arm -> number of pairs in which its run diverged or failed.
        worst_rank: Sensitivity analysis for failed runs; None without failures, or for more than two arms.
        two_level: Result for new seeds and new examples, if the metric is a mean over examples.
        mismatches: What the runs of a pair should share but do not, one text each.
    """

    design: str
    contrast: Contrast
    verdict: Verdict
    comparison: Comparison | None
    interval: Interval | None
    p_raw: float | None
    p: float | None
    family: int
    test: str
    decision: Decision | None
    pairs: int
    started: int
    failed: Mapping[str, int]
    worst_rank: WorstRank | None
    two_level: TwoLevel | None
    mismatches: tuple[str, ...]


def claims(evidence: Evidence) -> tuple[Claim, ...]:
    """Return the claims about all contrasts, by design and in the order of the file."""
    spec = evidence.spec
    drafts = {design: [_draft(evidence, design, one) for one in spec.treatments] for design in spec.designs}
    adjusted = {design: _adjusted(drafts[design]) for design in spec.designs}
    found = []
    for design in spec.designs:
        for index, draft in enumerate(drafts[design]):
            other = drafts[RETUNED][index].comparison if design == MATCHED and RETUNED in drafts else None
            found.append(_claim(evidence, draft, adjusted[design][index], other))
    return tuple(found)


def settled(spec: AblationSpec, finals: Finals, pairs: int) -> bool:
    """Return whether a look at this number of pairs decides all claims of all designs, which ends the ablation.

    Pairs with a failed run do not count, so a look may have fewer pairs than planned.
    """
    rule = look_rule(spec)
    if rule is None:
        return False
    treatments, table = spec.treatments, AblationTable(spec)
    for design in spec.designs:
        for one in treatments:
            deltas = _deltas(table, finals, design, one, pairs)
            decision = decide(deltas, rule, spec.metrics.margin, len(treatments), ALPHA)
            if decision.stopped_at is None:
                return False
    return True


def look_rule(spec: AblationSpec) -> StoppingRule | None:
    """Return the stopping rule of the ablation; None for a single test."""
    return None if spec.looks == "none" else spec.looks


def _complete(values: Mapping[str, Floats]) -> dict[str, Floats]:
    """Return the values of each arm in the pairs that are complete in all arms."""
    finite = np.all([np.isfinite(arm) for arm in values.values()], axis=0)
    return {name: arm[finite] for name, arm in values.items()}


def _deltas(table: AblationTable, finals: Finals, design: str, one: Contrast, pairs: int) -> Floats:
    """Return the contrast of the primary metric in every complete pair."""
    primary = table.spec.metrics.primary
    values = {arm: arm_values(table, finals, design, arm, primary, pairs) for arm in one.coefficients}
    complete = _complete(values)
    return contrast(complete, one.coefficients) if len(next(iter(complete.values()))) else np.empty(0)


def compare_contrast(
    evidence: Evidence,
    design: str,
    one: Contrast,
    metric: str,
    goal: Goal,
    alpha: float = ALPHA,
    margin: float | None = None,
    limit: int | None = None,
) -> Comparison | None:
    """Return the comparison of a contrast over its complete pairs, or the first `limit` of them; None without pairs."""
    values = _complete({arm: evidence.values(design, arm, metric, evidence.pairs) for arm in one.coefficients})
    values = {arm: found[:limit] for arm, found in values.items()}
    if not len(next(iter(values.values()))):
        return None
    # The stream depends only on what is compared, so a report is the same each time.
    rng = np.random.default_rng([len(metric), *metric.encode(), *design.encode(), *one.name.encode()])
    if one.simple is None:
        return compare_deltas(contrast(values, one.coefficients), goal, rng, margin, alpha)
    control, treatment = one.simple
    return compare(values[control], values[treatment], goal, rng, margin, alpha)


@dataclass(frozen=True)
class _Draft:
    design: str
    contrast: Contrast
    comparison: Comparison | None
    decision: Decision | None


def _draft(evidence: Evidence, design: str, one: Contrast) -> _Draft:
    spec, metrics = evidence.spec, evidence.spec.metrics
    rule, pairs, alpha, decision = look_rule(spec), evidence.pairs, ALPHA, None
    if rule is not None:
        deltas = _deltas(evidence.table, evidence.finals, design, one, pairs)
        decision = decide(deltas, rule, metrics.margin, len(spec.treatments), ALPHA)
        alpha = decision.alpha
    # Pairs after the last look taken do not count yet; before the first look, no pair does.
    limit = decision.history[-1].n if decision and decision.history else None
    margin = None if decision and not decision.history else metrics.margin
    comparison = compare_contrast(evidence, design, one, metrics.primary, metrics.goal, alpha, margin, limit)
    return _Draft(design, one, comparison, decision)


def _adjusted(drafts: Sequence[_Draft]) -> tuple[float | None, ...]:
    """Return the p-values of one design's claims, adjusted for each other and for the looks taken."""
    return holm([_p(draft) for draft in drafts])


def _p(draft: _Draft) -> float | None:
    if draft.decision is not None:
        return draft.decision.p
    return None if draft.comparison is None else draft.comparison.p


def _test(spec: AblationSpec, comparison: Comparison | None) -> str:
    if spec.looks == "e_process":
        return "the e-process"
    if comparison is not None and comparison.sd == 0.0:
        return "sign flips"
    return "t over all looks" if spec.looks != "none" else "t"


def _claim(evidence: Evidence, draft: _Draft, p: float | None, retuned: Comparison | None) -> Claim:
    design, one, comparison = draft.design, draft.contrast, draft.comparison
    spec, metrics, started = evidence.spec, evidence.spec.metrics, evidence.pairs
    failed = {arm: _failed(evidence, design, arm, started) for arm in one.coefficients}
    wrong = mismatches(evidence, design, one, started)
    interval = comparison.interval if comparison else None
    sequence = None
    if comparison is not None and spec.looks == "e_process" and comparison.n >= 2:
        interval = sequence = e_interval(comparison.deltas, threshold=E_STOP)
    unstable = len(set(failed.values())) > 1
    if one.simple is not None:
        unstable = instability(failed[one.simple[0]], failed[one.simple[1]], max(started, 1))
    if comparison is None:
        verdict = Verdict.UNSTABLE if unstable else Verdict.INCONCLUSIVE
    else:
        verdict = judge(
            comparison,
            p,
            interval=sequence,
            family_alpha=ALPHA,
            comparable=not wrong,
            unstable=unstable,
            retuned=retuned,
        )
    worst = None
    if one.simple is not None and any(failed.values()):
        control, treatment = (evidence.values(design, arm, metrics.primary, started) for arm in one.simple)
        worst = worst_rank(control, treatment, metrics.goal)
    return Claim(
        design=design,
        contrast=one,
        verdict=verdict,
        comparison=comparison,
        interval=interval,
        p_raw=_p(draft),
        p=p,
        family=len(spec.treatments),
        test=_test(spec, comparison),
        decision=draft.decision,
        pairs=comparison.n if comparison else 0,
        started=started,
        failed=failed,
        worst_rank=worst,
        two_level=_two_level(evidence, design, one, started),
        mismatches=wrong,
    )


def _failed(evidence: Evidence, design: str, arm: str, pairs: int) -> int:
    runs = (evidence.run(design, pair, arm) for pair in range(pairs))
    return sum(run is not None and run.state is not RunState.COMPLETE for run in runs)


def _two_level(evidence: Evidence, design: str, one: Contrast, pairs: int) -> TwoLevel | None:
    """Return the contrast over pairs and test examples; None if the metric is not a mean over stored examples."""
    name = evidence.spec.metrics.primary
    if name not in ("test/nll", "test/accuracy"):
        return None
    rows = []
    for pair in range(pairs):
        found = [_per_example(evidence, design, pair, arm, name) for arm in one.coefficients]
        arms = [values for values in found if values is not None]
        if len(arms) == len(found) and len({len(values) for values in arms}) == 1:
            rows.append(np.tensordot(list(one.coefficients.values()), np.stack(arms), axes=1))
    if len(rows) < 2 or len({len(row) for row in rows}) > 1:
        return None
    return two_level(np.stack(rows), ALPHA)


def _per_example(evidence: Evidence, design: str, pair: int, arm: str, name: str) -> Floats | None:
    number = evidence.table.number(design, pair, arm)
    weights = evidence.spec.all_arms[arm].weights
    found = evidence.predictions.get((number, weights))
    if found is None or read_from(name, weights) not in evidence.finals.get(number, {}):
        return None
    values = found.nll if name == "test/nll" else found.predicted == found.label
    return np.asarray(values, dtype=np.float64)
