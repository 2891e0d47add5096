"""Every check of a finished sweep: did it search enough, in the right place, for long enough, and is its winner real?

for check in check_sweep(read_sweep(url, "finetune")): print(check.outcome, check.name, check.evidence)
"""

from __future__ import annotations

import math

import numpy as np

from analysis.statistics.best_of_n import expected_best
from analysis.sweep.checks.curve_checks import budget_checks, rung_check, stopped_ahead_check
from analysis.sweep.checks.range_checks import coverage_check, edge_checks, good_region_check, infeasible_check
from analysis.sweep.evidence import SweepEvidence
from analysis.sweep.fidelity import comparable_scores
from analysis.sweep.rung_correlation import rung_correlations
from analysis.sweep.score_noise import score_noise, selection_optimism
from search_spaces import derive_seed
from sweeps.run_state import RunState
from trainers.check import Check, failed, passed, warned

CLEAR = 2.0  # standard deviations of the difference of two runs
WORTH = 0.1  # of everything that searching gained


def check_sweep(evidence: SweepEvidence) -> tuple[Check, ...]:
    """Return every check, the ones that void the others first. The same evidence gives the same checks."""
    rng = np.random.default_rng(derive_seed("rungs", evidence.spec.name, evidence.spec.sampler.seed))
    found = [
        ended_check(evidence),
        infeasible_check(evidence),
        baseline_check(evidence),
        optimism_check(evidence),
        *(edge_checks(evidence) if evidence.search else ()),
        *((good_region_check(evidence), coverage_check(evidence)) if evidence.search else ()),
        length_check(evidence),
        rung_check(evidence, rung_correlations(evidence, rng)),
        stopped_ahead_check(evidence),
        *budget_checks(evidence),
    ]
    return tuple(check for check in found if check is not None)


def ended_check(evidence: SweepEvidence) -> Check:
    """Whether every planned run has ended, and one is complete."""
    name, ended, complete = "runs that ended", len(evidence.finished), len(evidence.ranked)
    planned = max(evidence.spec.runs, len(evidence.runs))
    text = f"{ended} of {planned} runs have ended, {complete} of them complete."
    if not complete:
        return failed(name, text, "Without a complete run there is no winner: read sweeps diagnose.")
    if ended < planned:
        go_on = f"Everything below is about the runs so far; the command that began {evidence.spec.name} continues it."
        return warned(name, text, go_on)
    return passed(name, text)


def baseline_check(evidence: SweepEvidence) -> Check:
    """Whether the best run beats the baseline recipe, run 0."""
    name, best, metric = "better than the baseline", evidence.best, evidence.spec.metric.name
    if best is None or best.value is None:
        return failed(name, "No run is complete.", "Look at the failures first.")
    baseline = evidence.runs[0]
    if baseline.state is not RunState.COMPLETE or baseline.value is None:
        text = (
            f"The baseline, run 0, is {baseline.state.value.lower()}, so {metric} {best.value:.4g} beats nothing yet."
        )
        return warned(name, text, "Make the base recipe one that trains.")
    others = [run for run in evidence.ranked if run.number]
    if best.number == 0:
        second = f"the next, run {others[0].number}, has {others[0].value:.4g}" if others else "no other is complete"
        of = f"the best of {len(evidence.ranked)} complete runs"
        text = f"The baseline is {of} with {metric} {best.value:.4g}; {second}."
        next_step = "Keep the baseline, or search around it: narrower ranges, more runs, a later first rung."
        return failed(name, text, next_step)
    gain = abs(best.value - baseline.value)
    text = f"Run {best.number} has {metric} {best.value:.4g}, the baseline {baseline.value:.4g}: better by {gain:.3g}."
    return passed(name, text)


def optimism_check(evidence: SweepEvidence) -> Check:
    """Whether the winner's lead over the baseline is more than its selection explains (statistics of maxima)."""
    name, best, found = "selection optimism", evidence.best, score_noise(evidence)
    confirm = (
        f"sweeps confirm {evidence.spec.name} trains the finalists and the baseline on fresh seeds, and tests them."
    )
    if best is None or best.value is None or not best.number:
        return passed(name, "No run was selected over the baseline, so no score was flattered.")
    if found is None:
        text = "The noise of a score cannot be told: no recipe was repeated, and no complete run has 8 evaluations."
        return warned(name, text, f"The winner's score is flattered by an unknown amount: {confirm}")
    scores = [run.value for run in evidence.ranked if run.value is not None]
    optimism = selection_optimism(scores, found.sd, evidence.maximize)
    baseline = evidence.runs[0].value if evidence.runs[0].state is RunState.COMPLETE else None
    gain = evidence.sign * (best.value - baseline) if baseline is not None else math.nan
    text = (
        f"The best of {len(scores)} complete runs is flattered by {'at least ' if found.bound else ''}about"
        f" {optimism:.2g} (noise sd {found.sd:.2g} from {found.method}); its lead over the baseline is {gain:.3g}."
        f"{' Choosing at the rungs adds to it.' if evidence.rungs else ''}"
    )
    if gain - optimism > CLEAR * math.sqrt(2.0) * found.sd:
        return passed(name, text, f"For the honest score, {confirm}")
    return warned(name, text, f"The lead may be luck: {confirm}")


def length_check(evidence: SweepEvidence) -> Check:
    """Whether the second half of the runs still paid, by the expected best of n (Dodge et al., EMNLP 2019)."""
    name, compared = "number of runs", comparable_scores(evidence)
    if compared is None:
        return warned(name, "Fewer than 8 runs reached the same epoch: too few to tell.", "Run more.")
    curve = evidence.sign * expected_best(list(compared.scores.values()), evidence.spec.metric.goal)
    half, found = len(curve) // 2, score_noise(evidence)
    gain, whole = float(curve[-1] - curve[half - 1]), float(curve[-1] - curve[0])
    text = (
        f"Going from {half} to {len(curve)} runs improved the expected best score by {gain:.3g} of {whole:.3g}"
        f" in all, {compared.words}."
    )
    if gain > max(WORTH * whole, found.sd if found else 0.0):
        return warned(name, text, f"More runs would still pay: --runs {2 * evidence.spec.runs}.")
    return passed(name, text)
