"""Everything that the report of an ablation of several tasks states, from the findings of its tasks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.ablation.claims import ALPHA, Claim
from analysis.ablation.evidence import Floats, read_evidence
from analysis.ablation.findings import AblationFindings, ablation_findings
from analysis.across_tasks.caveats import across_caveats
from analysis.across_tasks.scales import Scale, scale_of
from analysis.compute import ComputeRow, joined_rows
from analysis.statistics.intervals import Interval, t_interval
from analysis.statistics.paired import Verdict, contrast, holm, improvement
from analysis.statistics.several_tasks import (
    LEAST_TASKS,
    CriticalDifference,
    Estimate,
    RandomEffects,
    combined_mean,
    critical_difference,
    interquartile_mean,
    random_effects,
)
from analysis.statistics.verdicts import by_size
from search_spaces import MATCHED, RETUNED, AblationSpec, Contrast
from search_spaces.specs.ablation_parts import TaskGroup

RANKED_TASKS, RANKED_ARMS = 5, 3
"""Smallest numbers of tasks and arms from which arms are ranked over tasks."""


@dataclass(frozen=True)
class TaskEffect:
    """Effect of one contrast on one task.

    Attributes:
        task: Name of the task.
        claim: Claim of the ablation of this task; None if the task has no stored ablation.
        effects: Effect in each complete pair, on the common scale.
        interval: Paired t interval of their mean at 95 %; None without spread or below 2 pairs.
    """

    task: str
    claim: Claim | None
    effects: tuple[float, ...]
    interval: Interval | None

    @property
    def deltas(self) -> tuple[float, ...]:
        """Change in each complete pair, in units of the metric."""
        comparison = None if self.claim is None else self.claim.comparison
        return () if comparison is None else comparison.deltas

    @property
    def mean(self) -> float | None:
        """Mean effect on the common scale; None without a complete pair."""
        return float(np.mean(self.effects)) if self.effects else None


@dataclass(frozen=True)
class AcrossClaim:
    """One contrast in one design over all tasks.

    Attributes:
        design: `matched` or `retuned`.
        contrast: The compared arms.
        tasks: Effect on each task, in the order of the file.
        verdict: Verdict about these tasks.
        these: Mean effect on these tasks; None if a task has fewer than 2 complete pairs.
        change: Mean change on these tasks in units of the metric, which is compared with the margin; None as `these`.
        like_these: Mean effect on tasks like these; None below 3 tasks, too.
        middle: Interquartile mean of all pairs of all tasks with its bootstrap interval, a description.
        p: p-value of `these`, adjusted by Holm over the contrasts of this design.
        family: Number of contrasts in that adjustment.
    """

    design: str
    contrast: Contrast
    tasks: tuple[TaskEffect, ...]
    verdict: Verdict
    these: Estimate | None
    change: Estimate | None
    like_these: RandomEffects | None
    middle: tuple[float, Interval] | None
    p: float | None
    family: int

    @property
    def tau(self) -> float | None:
        """Standard deviation of the true effects between tasks; None below 3 tasks."""
        return None if self.like_these is None else self.like_these.tau

    @property
    def waiting(self) -> tuple[str, ...]:
        """Names of the tasks with fewer than 2 complete pairs."""
        return tuple(one.task for one in self.tasks if len(one.effects) < 2)


@dataclass(frozen=True)
class Ranking:
    """Ranks of the arms over tasks, by the mean of the primary metric.

    Attributes:
        design: `matched` or `retuned`.
        arms: Names of the arms.
        result: Their mean ranks and the tests.
    """

    design: str
    arms: tuple[str, ...]
    result: CriticalDifference


@dataclass(frozen=True, eq=False)
class AcrossFindings:
    """Everything that the report of an ablation of several tasks states.

    Attributes:
        group: Its name and its tasks.
        spec: Stored ablation of the first task, for what all tasks share.
        tasks: Findings of each task by its name, in the order of the file; a task without a stored ablation is missing.
        scale: Scale on which effects on different tasks are compared.
        why: Reason for the scale.
        claims: One claim for each contrast and design.
        rankings: Ranks of the arms in each design, from 5 tasks and 3 arms on.
        compute: What the runs of each task have used, and all of them.
        caveats: Limits of what the ablation shows.
    """

    group: TaskGroup
    spec: AblationSpec
    tasks: dict[str, AblationFindings]
    scale: Scale
    why: str
    claims: tuple[AcrossClaim, ...]
    rankings: tuple[Ranking, ...]
    compute: tuple[ComputeRow, ...]
    caveats: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether every run of every task has ended."""
        every = [run.state.finished for found in self.tasks.values() for run in found.runs]
        return len(self.tasks) == len(self.group.tasks) and bool(every) and all(every)


def read_across(url: str, members: Sequence[str]) -> AcrossFindings:
    """Read the ablations of all tasks of a group and return what they show together.

    Args:
        url: Database URL.
        members: Names of the stored ablations.
    """
    return across_findings([ablation_findings(read_evidence(url, name)) for name in members])


def across_findings(found: Sequence[AblationFindings]) -> AcrossFindings:
    """Return the findings of an ablation of several tasks.

    Args:
        found: Findings of the ablation of each task, at least one.
    """
    spec = found[0].spec
    group = spec.group
    if group is None:
        raise ValueError(f"{spec.name} is not an ablation of several tasks")
    by_label = {one.spec.task_label: one for one in found}
    tasks = {task: by_label[task] for task in group.tasks if task in by_label}
    values = [value for one in tasks.values() for arm in one.arms for value in arm.values]
    scale, why = scale_of(spec.metrics, values)
    drafts = [_draft(group, tasks, scale, design, index) for design in spec.designs for index in _places(spec)]
    return AcrossFindings(
        group=group,
        spec=spec,
        tasks=tasks,
        scale=scale,
        why=why,
        claims=tuple(_judged(spec, drafts)),
        rankings=_rankings(spec, group, tasks),
        compute=joined_rows({task: one.compute for task, one in tasks.items()}),
        caveats=across_caveats(group, tasks),
    )


def _places(spec: AblationSpec) -> range:
    return range(len(spec.treatments))


# --- one contrast -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Draft:
    design: str
    contrast: Contrast
    tasks: tuple[TaskEffect, ...]
    these: Estimate | None
    change: Estimate | None


def _draft(group: TaskGroup, tasks: dict[str, AblationFindings], scale: Scale, design: str, index: int) -> _Draft:
    one = next(iter(tasks.values())).spec.treatments[index]
    effects = tuple(_task_effect(task, tasks.get(task), scale, design, one) for task in group.tasks)
    ready = all(len(effect.effects) >= 2 for effect in effects)
    these = combined_mean([effect.effects for effect in effects], alpha=ALPHA) if ready else None
    change = combined_mean([effect.deltas for effect in effects], alpha=ALPHA) if ready else None
    return _Draft(design, one, effects, these, change)


def _task_effect(task: str, found: AblationFindings | None, scale: Scale, design: str, one: Contrast) -> TaskEffect:
    if found is None:
        return TaskEffect(task, None, (), None)
    claim = next(claim for claim in found.claims if claim.design == design and claim.contrast.name == one.name)
    values = _complete(found, design, one)
    if not len(next(iter(values.values()))):
        return TaskEffect(task, claim, (), None)
    margin = found.spec.metrics.margin
    effects = contrast({arm: scale.transform(value, margin) for arm, value in values.items()}, one.coefficients)
    interval = t_interval(effects) if len(effects) >= 2 and np.ptp(effects) else None
    return TaskEffect(task, claim, tuple(effects.tolist()), interval)


def _complete(found: AblationFindings, design: str, one: Contrast) -> dict[str, Floats]:
    """Return the primary metric of each arm of a contrast in the pairs that are complete in all of them."""
    arms = {arm.arm: np.array(arm.values) for arm in found.arms if arm.design == design and arm.arm in one.coefficients}
    complete = np.isfinite(np.stack(list(arms.values()))).all(axis=0)
    return {arm: values[complete] for arm, values in arms.items()}


# --- verdicts ---------------------------------------------------------------------------------------------------


def _judged(spec: AblationSpec, drafts: Sequence[_Draft]) -> list[AcrossClaim]:
    claims = []
    for design in spec.designs:
        own = [draft for draft in drafts if draft.design == design]
        adjusted = holm([None if draft.these is None else draft.these.p for draft in own])
        retuned = {one.contrast.name: one for one in drafts if one.design == RETUNED and design == MATCHED}
        claims += [_claim(spec, one, p, retuned.get(one.contrast.name)) for one, p in zip(own, adjusted, strict=True)]
    return claims


def _claim(spec: AblationSpec, draft: _Draft, p: float | None, retuned: _Draft | None) -> AcrossClaim:
    samples = [one.effects for one in draft.tasks]
    ready = draft.these is not None
    # The stream depends only on what is compared, so a report is the same each time.
    rng = np.random.default_rng([*draft.design.encode(), *draft.contrast.name.encode()])
    return AcrossClaim(
        design=draft.design,
        contrast=draft.contrast,
        tasks=draft.tasks,
        verdict=_verdict(spec, draft, p, retuned),
        these=draft.these,
        change=draft.change,
        like_these=random_effects(samples, ALPHA) if ready and len(samples) >= LEAST_TASKS else None,
        middle=interquartile_mean(samples, rng, 1.0 - ALPHA) if ready else None,
        p=p,
        family=len(spec.treatments),
    )


def _verdict(spec: AblationSpec, draft: _Draft, p: float | None, retuned: _Draft | None) -> Verdict:
    """Return the verdict about these tasks, by the rules for a single task."""
    found = {one.claim.verdict for one in draft.tasks if one.claim is not None}
    for verdict in (Verdict.NOT_COMPARABLE, Verdict.UNSTABLE):
        if verdict in found:
            return verdict
    these, change, margin = draft.these, draft.change, spec.metrics.margin
    if these is None or change is None:
        return Verdict.INCONCLUSIVE
    if found == {Verdict.IDENTICAL}:
        return Verdict.IDENTICAL
    if retuned is not None and _turns(draft, retuned):
        return Verdict.TUNING_DEPENDENT
    if these.interval is None:  # there is no test without spread
        return Verdict.INCONCLUSIVE
    real = these.interval.excludes(0.0) and (p is None or p <= ALPHA)
    small = margin is not None and change.interval90 is not None and change.interval90.inside(margin)
    return by_size(real, small, improvement(these.value, spec.metrics.goal) > 0.0)


def _turns(matched: _Draft, retuned: _Draft) -> bool:
    """Return whether the two designs disagree in the sign of the mean over tasks by more than noise."""
    if matched.these is None or retuned.these is None or matched.these.value * retuned.these.value >= 0.0:
        return False
    samples = [one.effects for draft in (matched, retuned) for one in draft.tasks]
    weight = 1.0 / len(matched.tasks)
    weights = [weight] * len(matched.tasks) + [-weight] * len(retuned.tasks)
    apart = combined_mean(samples, weights, ALPHA).interval
    return apart is not None and apart.excludes(0.0)


def _rankings(spec: AblationSpec, group: TaskGroup, tasks: dict[str, AblationFindings]) -> tuple[Ranking, ...]:
    arms = tuple(spec.all_arms)
    if len(tasks) < max(RANKED_TASKS, len(group.tasks)) or len(arms) < RANKED_ARMS:
        return ()
    found = []
    for design in spec.designs:
        rows = [[arm.mean for arm in one.arms if arm.design == design] for one in tasks.values()]
        scores = [[mean for mean in row if mean is not None] for row in rows]
        if all(len(row) == len(arms) for row in scores):
            found.append(Ranking(design, arms, critical_difference(scores, spec.metrics.goal, ALPHA)))
    return tuple(found)
