"""All checks of a sweep: whether it searched enough, in the right place, for long enough, and whether its lead is real.

for check in check_sweep(read_sweep(url, "finetune")): print(check.outcome, check.name, check.evidence)
"""

import math

import numpy as np

from analysis.statistics.best_of_n import expected_best
from analysis.sweep.checks.curve_checks import budget_checks, rung_check, stopped_ahead_check
from analysis.sweep.checks.range_checks import coverage_check, edge_checks, good_region_check, infeasible_check
from analysis.sweep.evidence import SweepEvidence
from analysis.sweep.fidelity import comparable_scores
from analysis.sweep.rung_correlation import rung_correlations
from analysis.sweep.score_noise import score_noise, selection_optimism
from analysis.wording import part_of
from search_spaces import derive_seed
from search_spaces.values import counted
from sweeps.run_state import RunState
from trainers.check import Check, failed, passed, warned

CLEAR = 2.0  # standard deviations of the difference of two runs
MIN_GAIN = 0.1  # share of the whole gain of the search


def check_sweep(evidence: SweepEvidence) -> tuple[Check, ...]:
    """Return all checks, the most serious first. The same evidence gives the same checks."""
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
    """Check whether every planned run has finished, and at least one is complete."""
    name, ended, complete = "runs that ended", len(evidence.finished), len(evidence.ranked)
    planned = max(evidence.spec.runs, len(evidence.runs))
    text = f"{part_of(ended, planned, 'run', 'has', 'have')} finished, {complete} of them complete."
    if not complete:
        return failed(name, text, "Without a complete run there is no winner: see sweeps diagnose.")
    if ended < planned:
        resume = f"The other checks cover the runs so far; the command that started {evidence.spec.name} resumes it."
        return warned(name, text, resume)
    return passed(name, text)


def baseline_check(evidence: SweepEvidence) -> Check:
    """Check whether the best run is better than the baseline recipe, run 0."""
    name, best, metric = "better than the baseline", evidence.best, evidence.spec.metric.name
    if best is None or best.value is None:
        return failed(name, "No run is complete.", "Look at the failures first.")
    baseline = evidence.runs[0]
    if baseline.state is not RunState.COMPLETE or baseline.value is None:
        state = baseline.state.value
        text = f"The baseline, run 0, is not complete ({state}), so {metric} {best.value:.4g} cannot be compared."
        return warned(name, text, "Use a base recipe that trains.")
    others = [run for run in evidence.ranked if run.number]
    if best.number == 0:
        second = f"the second, run {others[0].number}, has {others[0].value:.4g}" if others else "no other is complete"
        of = f"the best of {counted(len(evidence.ranked), 'complete run')}"
        text = f"The baseline is {of} with {metric} {best.value:.4g}; {second}."
        next_step = "Keep the baseline, or search around it with narrower ranges, more runs or a later first rung."
        return failed(name, text, next_step)
    gain = abs(best.value - baseline.value)
    text = f"Run {best.number} has {metric} {best.value:.4g}, the baseline {baseline.value:.4g}: better by {gain:.3g}."
    return passed(name, text)


def optimism_check(evidence: SweepEvidence) -> Check:
    """Check whether the lead over the baseline exceeds the known effect of selection (statistics of maxima).

    PASS is no verdict: without repeats, the known noise is a lower bound. Only a confirmation gives a verdict.
    """
    name, best, found = "selection optimism", evidence.best, score_noise(evidence)
    confirm = (
        f"sweeps confirm {evidence.spec.name} trains finalists and baseline on fresh seeds, and measures them on test."
    )
    if best is None or best.value is None or not best.number:
        return passed(name, "No run was selected over the baseline, so no score is optimistic.")
    if found is None:
        text = "The noise of a score is unknown: no recipe was repeated, and no complete run has 8 evaluations."
        return warned(name, text, f"The winner's score is optimistic by an unknown amount: {confirm}")
    scores = [run.value for run in evidence.ranked if run.value is not None]
    optimism = selection_optimism(scores, found.sd, evidence.maximize, len(evidence.runs))
    baseline = evidence.runs[0].value if evidence.runs[0].state is RunState.COMPLETE else None
    gain = evidence.sign * (best.value - baseline) if baseline is not None else math.nan
    text = (
        f"The best score of {counted(len(evidence.runs), 'started run')} is optimistic by"
        f"{' at least' if found.bound else ''} about {optimism:.2g} (noise sd {found.sd:.2g} from {found.method});"
        f" its lead over the baseline is {f'{gain:.3g}' if math.isfinite(gain) else 'unknown'}."
    )
    if gain - optimism > CLEAR * math.sqrt(2.0) * found.sd:
        more = " What another seed does to a whole run is not known and adds to the noise." if found.bound else ""
        return passed(name, f"{text}{more}", f"For a score without selection: {confirm}")
    return warned(name, text, f"The lead may be chance: {confirm}")


def length_check(evidence: SweepEvidence) -> Check:
    """Check whether the second half of the runs still helped, by the expected best of n (Dodge et al., EMNLP 2019)."""
    name, compared = "number of runs", comparable_scores(evidence)
    if compared is None:
        return warned(
            name,
            f"Fewer than 8 runs reached the same {evidence.spec.recipe.budget.unit}, too few to compare.",
            "Add runs.",
        )
    curve = evidence.sign * expected_best(list(compared.scores.values()), evidence.spec.metric.goal)
    half, found = len(curve) // 2, score_noise(evidence)
    gain, whole = float(curve[-1] - curve[half - 1]), float(curve[-1] - curve[0])
    text = (
        f"Going from {half} to {len(curve)} runs improved the expected best score by {gain:.3g} of {whole:.3g}"
        f" in total, {compared.words}."
    )
    if gain > max(MIN_GAIN * whole, found.sd if found else 0.0):
        return warned(name, text, f"More runs would still help: --runs {2 * evidence.spec.runs}.")
    return passed(name, text)
