"""A pilot: the few pairs from which an ablation is planned, and what they say about the number of pairs to train.

No pair of a pilot enters the result: the pilot is an ablation of its own, with seeds that the real one does not use.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np

from analysis.ablation.claims import ALPHA, compare_contrast, look_rule
from analysis.ablation.evidence import Evidence
from analysis.compute import compute_rows
from analysis.statistics.intervals import pairs_needed, power, sd_upper
from analysis.statistics.odds import E_STUDIES, STUDIES, verdict_odds
from analysis.statistics.sequential import E_PROCESS, StoppingRule, look_alpha
from analysis.statistics.verdicts import Verdict
from search_spaces import MATCHED, AblationSpec, Contrast, UsageError, derive_seed
from sweeps.plan.ablation_plan import AblationTable
from sweeps.store.records import RunRecord

PAIRS = 3
"""Default number of pilot pairs."""

LIMITS = (2, 4)
"""Fewest and most pilot pairs: one has no spread, and more are better spent on the ablation."""

POWERS = (0.8, 0.9)
"""Probabilities of detecting the margin for which pairs are counted; a plan takes the first."""

MARGINS = (0.0, 1.0, 2.0)
"""True improvements for which the odds are simulated, in margins."""

ENDING = "-pilot"
"""What the name of a pilot adds to that of its ablation."""

_LONGEST = 64  # characters of a name
_SEEDS = 2**32


@dataclass(frozen=True)
class Odds:
    """How often each verdict is given at one true improvement.

    Attributes:
        improvement: True mean delta, positive when the treatment is better, in metric units.
        verdicts: Verdict -> share of the simulated studies.
    """

    improvement: float
    verdicts: Mapping[Verdict, float]


@dataclass(frozen=True)
class PairsAt:
    """How many pairs detect the margin if the deltas have this standard deviation.

    Attributes:
        sd: Standard deviation of the delta, in metric units.
        needed: Power -> number of pairs; None above 10,000.
        power: Probability that the number of pairs in the file detects the margin; None for one pair.
    """

    sd: float
    needed: Mapping[float, int | None]
    power: float | None


@dataclass(frozen=True)
class ContrastPlan:
    """What the pilot says about one contrast.

    Attributes:
        contrast: The compared arms.
        pairs: Number of pilot pairs that are complete in every arm of the contrast.
        rho: Correlation of the arms over them; None below 3 pairs, or for more than two arms.
        observed: Pairs needed at their standard deviation; None below two pairs, or if all deltas are equal.
        upper: The same at its upper 80 % limit.
        odds: Odds of each verdict at that limit, with the pairs of the first of `Plan.costs`.
    """

    contrast: Contrast
    pairs: int
    rho: float | None
    observed: PairsAt | None
    upper: PairsAt | None
    odds: tuple[Odds, ...]


@dataclass(frozen=True)
class Cost:
    """What an ablation would use, from what the runs of the pilot have used.

    Attributes:
        pairs: Number of pairs.
        runs: Number of runs, with those that tune the arms.
        hours: Run time of all runs; None if nothing is recorded.
        gpu_hours: Run time multiplied by the GPUs that a run holds.
        cpu_hours: CPU time.
        wall_hours: Time until the last run ends, with as many runs at a time as in the pilot.
    """

    pairs: int
    runs: int
    hours: float | None
    gpu_hours: float | None
    cpu_hours: float | None
    wall_hours: float | None


@dataclass(frozen=True)
class Plan:
    """What a pilot says about an ablation.

    Attributes:
        name: Name of the ablation.
        pilot: Name of the pilot.
        design: `matched`, `retuned` or `both`.
        pilot_pairs: Number of pilot pairs in which every run has ended.
        file_pairs: Number of pairs in the file.
        metric: Primary metric.
        margin: Smallest delta that matters.
        level: Level of the test of each contrast: .05 over the number of contrasts, the most that Holm asks.
        looks: Stopping rule with `pairs` pairs; None for a single test.
        pairs: Number of pairs that detect the margin in every contrast with power .8 at the upper limit; None if a
            contrast needs more than 10,000, or its deltas have no spread.
        studies: Number of simulated studies for each odds.
        at_a_time: Largest number of runs that the pilot trained at the same time.
        contrasts: Each declared contrast.
        costs: Cost of `pairs` pairs, of those needed at the observed standard deviation, and of those in the file.
    """

    name: str
    pilot: str
    design: str
    pilot_pairs: int
    file_pairs: int
    metric: str
    margin: float
    level: float
    looks: StoppingRule | None
    pairs: int | None
    studies: int
    at_a_time: int
    contrasts: tuple[ContrastPlan, ...]
    costs: tuple[Cost, ...]


def checked_margin(spec: AblationSpec) -> float:
    """Return the margin of an ablation.

    Raises:
        UsageError: The file has none.
    """
    if spec.metrics.margin is None:
        raise UsageError(
            f"--plan: {spec.name} has no metrics.margin, so there is no effect to plan for; add the smallest change of "
            f"{spec.metrics.primary} that matters, such as margin: 0.01"
        )
    return spec.metrics.margin


def pilot_of(spec: AblationSpec, pairs: int) -> AblationSpec:
    """Return the ablation whose pairs are the pilot: the same arms, matched, with seeds of its own.

    It has no margin, contrasts or looks, so that these may still change after the pilot.

    Raises:
        UsageError: The number of pilot pairs is out of range.
    """
    least, most = LIMITS
    if not least <= pairs <= most:
        raise UsageError(f"--pilot: must be {least} to {most} pairs, found {pairs}")
    sampler = spec.space.sampler
    own = sampler.model_copy(update={"seed": derive_seed("pilot", sampler.seed) % _SEEDS})
    name = f"{spec.name[: _LONGEST - len(ENDING)]}{ENDING}"
    return spec.model_copy(
        update={
            "question": f"How much does {spec.metrics.primary} vary between the pairs of {spec.name}?",
            "space": spec.space.model_copy(update={"name": name, "sampler": own}),
            "metrics": spec.metrics.model_copy(update={"margin": None}),
            "contrasts": (),
            "pairs": pairs,
            "design": MATCHED,
            "retune": None,
            "looks": "none",
            "looks_taken": (),
        }
    )


def plan_of(spec: AblationSpec, pilot: Evidence) -> Plan:
    """Return what a pilot says about an ablation.

    Args:
        spec: The ablation, which has a margin.
        pilot: The pairs of its `pilot_of`.

    Raises:
        UsageError: The ablation has no margin.
    """
    contrasts = spec.treatments
    level = ALPHA / len(contrasts)
    if isinstance(spec.looks, tuple):
        level = look_alpha(spec.looks, level)
    found = [_contrast_plan(spec, pilot, one, level) for one in contrasts]
    pairs, fewer = _enough([one.upper for one in found]), _enough([one.observed for one in found])
    count = pairs or max(2, spec.pairs)
    looks = scaled_looks(spec, count)
    studies = E_STUDIES if looks == E_PROCESS else STUDIES
    return Plan(
        name=spec.name,
        pilot=pilot.spec.name,
        design=spec.design,
        pilot_pairs=pilot.pairs,
        file_pairs=spec.pairs,
        metric=spec.metrics.primary,
        margin=checked_margin(spec),
        level=level,
        looks=looks,
        pairs=pairs,
        studies=studies,
        at_a_time=at_a_time(pilot.runs),
        contrasts=tuple(replace(one, odds=_odds(spec, one, count, looks, studies)) for one in found),
        costs=tuple(_cost(spec, pilot, one) for one in dict.fromkeys((count, fewer or count, spec.pairs))),
    )


def scaled_looks(spec: AblationSpec, pairs: int) -> StoppingRule | None:
    """Return the stopping rule for another number of pairs: planned looks keep their share of the pairs."""
    rule = look_rule(spec)
    if rule is None or isinstance(rule, str):
        return rule
    scaled = sorted({max(3, round(look * pairs / spec.pairs)) for look in rule[:-1]})
    return (*(look for look in scaled if look < pairs), pairs)


def at_a_time(runs: Sequence[RunRecord]) -> int:
    """Return the largest number of runs that were trained at the same time; at least 1."""
    ended = [run for run in runs if run.started_at is not None and run.finished_at is not None]
    steps = [(run.started_at, 1) for run in ended] + [(run.finished_at, -1) for run in ended]
    counts = accumulate(step for _, step in sorted(steps))  # an end comes before a start at the same time
    return max(counts, default=1)


def _enough(found: Sequence[PairsAt | None]) -> int | None:
    """Return the number of pairs that detects the margin in every contrast with the first power."""
    counts = [None if at is None else at.needed[POWERS[0]] for at in found]
    known = [count for count in counts if count is not None]
    return max(known) if len(known) == len(counts) else None


def _contrast_plan(spec: AblationSpec, pilot: Evidence, contrast: Contrast, level: float) -> ContrastPlan:
    one = compare_contrast(pilot, MATCHED, contrast, spec.metrics.primary, spec.metrics.goal)
    if one is None or not one.sd:
        return ContrastPlan(contrast, 0 if one is None else one.n, None, None, None, ())
    observed, upper = (_pairs_at(spec, sd, level) for sd in (one.sd, sd_upper(one.deltas)))
    return ContrastPlan(contrast, one.n, one.rho, observed, upper, ())


def _pairs_at(spec: AblationSpec, sd: float, level: float) -> PairsAt:
    margin = checked_margin(spec)
    needed = {probability: pairs_needed(sd, margin, level, probability) for probability in POWERS}
    return PairsAt(sd, needed, power(sd, margin, spec.pairs, level) if spec.pairs >= 2 else None)


def _odds(
    spec: AblationSpec, one: ContrastPlan, pairs: int, rule: StoppingRule | None, studies: int
) -> tuple[Odds, ...]:
    if one.upper is None:
        return ()
    margin, name = checked_margin(spec), one.contrast.name
    true = [times * margin for times in MARGINS]
    rng = np.random.default_rng([len(name), *name.encode()])  # a plan is the same each time
    family = len(spec.treatments)
    found = verdict_odds(one.upper.sd, true, pairs, rng, margin, family, rule, ALPHA, studies)
    return tuple(Odds(improvement, shares) for improvement, shares in zip(true, found, strict=True))


def _cost(spec: AblationSpec, pilot: Evidence, pairs: int) -> Cost:
    """Return the cost of this number of pairs; every start of a run of the pilot counts, failed ones included."""
    runs = AblationTable(spec).until(pairs)
    used = compute_rows({"pilot": pilot.runs}, pilot.usage, pilot.epochs)
    known = used[-1].runs - used[-1].unknown if used else 0
    if not known:
        return Cost(pairs, runs, None, None, None, None)
    hours, gpu, cpu = (total * runs / known for total in (used[-1].hours, used[-1].gpu_hours, used[-1].cpu_hours))
    return Cost(pairs, runs, hours, gpu, cpu, hours / at_a_time(pilot.runs))
