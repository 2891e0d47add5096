"""Everything that the report of an ablation states, as numbers and sentences.

The findings depend only on the database: the same database gives exactly the same findings.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from analysis.ablation.arms.calibration import CalibrationRow, calibration_rows
from analysis.ablation.arms.curves import ArmCurve, arm_curves
from analysis.ablation.arms.facts import ArmFacts, arm_facts
from analysis.ablation.arms.training_problems import ArmProblem, training_problems
from analysis.ablation.arms.tuning import Tuning, tunings
from analysis.ablation.arms.tuning_effort import TuningEffort, tuning_efforts
from analysis.ablation.caveats import caveats
from analysis.ablation.claims import Claim, claims, compare_contrast
from analysis.ablation.crossings import Crossing, crossings
from analysis.ablation.evidence import Evidence
from analysis.ablation.ledger import earlier_claims, judged, ledger_sentence
from analysis.ablation.pairing import Varying, varying
from analysis.ablation.sentences import verdict_sentence, wider_scope
from analysis.compute import ComputeRow, compute_rows
from analysis.statistics.intervals import Interval, power
from search_spaces import AblationSpec, Contrast, dump_ablation
from search_spaces.metric_names import split_weights
from sweeps.plan.ablation_plan import Finals
from sweeps.run_state import RunState
from sweeps.store.records import RunRecord

_OF_CLASSES = ("nll", "ece")


@dataclass(frozen=True)
class Exploratory:
    """A contrast without a claim declared in advance: a secondary metric, or an interaction.

    Attributes:
        design: `matched` or `retuned`.
        contrast: The compared arms.
        metric: Name of the metric.
        delta: Mean change over pairs.
        interval: Paired t interval at 95 %, not adjusted for multiple comparisons; None if all deltas are equal.
        pairs: Number of complete pairs.
    """

    design: str
    contrast: Contrast
    metric: str
    delta: float
    interval: Interval | None
    pairs: int


@dataclass(frozen=True)
class PowerCurve:
    """Power by number of pairs.

    Attributes:
        design: `matched` or `retuned`.
        contrast: The compared arms.
        effect: Difference to detect: the margin, or the one that these pairs detect with power .8.
        pairs: Numbers of pairs.
        power: Probability of detecting the effect with each number of pairs, at the observed standard deviation.
    """

    design: str
    contrast: Contrast
    effect: float
    pairs: tuple[int, ...]
    power: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class AblationFindings:
    """Everything that the report of one ablation states.

    Attributes:
        spec: Stored ablation.
        created_at: Time of creation, in UTC.
        provenance: Versions, machine and commit of the first driver.
        digest: First 12 hexadecimal digits of the SHA-256 of the file.
        pairs: Number of pairs in which every run has ended.
        claims: One claim per treatment and design, on the primary metric.
        sentences: Verdict of each claim as a sentence, in the order of `claims`.
        wider: Result for new seeds and new examples as a sentence, in the order of `claims`; None if unknown.
        secondary: Exploratory results on other metrics.
        interactions: Exploratory interactions of factors.
        crossings: Means behind the interactions, if every arm has one.
        arms: Facts about each arm in each design.
        calibration: Calibration of each arm in each design.
        compute: What the runs of each arm and design have used, and all of them.
        tunings: Tuning of each trained arm, for the re-tuned design.
        tuning_efforts: How much tuning each re-tuned comparison of two arms took.
        curves: Learning curves.
        power: Power curve of each claim with a positive standard deviation.
        problems: Errors and warnings in the curves of each trained arm.
        sizes: Number of examples of each split with stored predictions.
        varying: What differs between the pairs, and what is the same in all of them.
        gpus: Models of GPU that trained the runs.
        ledger: Place of the claims among all claims on the same examples, as a sentence.
        failures: Runs that diverged or failed.
        caveats: Limits of what the ablation shows.
        commands: Commands that repeat it.
        runs: All runs.
        finals: Last value of each metric of each complete run, by run number.
    """

    spec: AblationSpec
    created_at: datetime
    provenance: Mapping[str, Any]
    digest: str
    pairs: int
    claims: tuple[Claim, ...]
    sentences: tuple[str, ...]
    wider: tuple[str | None, ...]
    secondary: tuple[Exploratory, ...]
    interactions: tuple[Exploratory, ...]
    crossings: tuple[Crossing, ...]
    arms: tuple[ArmFacts, ...]
    calibration: tuple[CalibrationRow, ...]
    compute: tuple[ComputeRow, ...]
    tunings: tuple[Tuning, ...]
    tuning_efforts: tuple[TuningEffort, ...]
    curves: tuple[ArmCurve, ...]
    power: tuple[PowerCurve, ...]
    problems: tuple[ArmProblem, ...]
    sizes: Mapping[str, int]
    varying: Varying
    gpus: tuple[str, ...]
    ledger: str
    failures: tuple[RunRecord, ...]
    caveats: tuple[str, ...]
    commands: tuple[str, ...]
    runs: tuple[RunRecord, ...]
    finals: Finals

    @property
    def classifies(self) -> bool:
        """Whether the task is a classifier, as the names of its metrics say; a command never counts as one."""
        known = {name for final in self.finals.values() for name in final} or {self.spec.metrics.primary}
        return self.spec.space.command is None and any(split_weights(name)[0] in _OF_CLASSES for name in known)


def _by_arm(runs: Sequence[RunRecord]) -> dict[str, list[RunRecord]]:
    """Return the runs of each arm and design, those that tuned an arm included."""
    found: dict[str, list[RunRecord]] = {}
    for run in runs:
        found.setdefault(f"{run.arm}, {run.design}", []).append(run)
    return found


def ablation_findings(evidence: Evidence) -> AblationFindings:
    """Return the findings of an ablation."""
    spec = evidence.spec
    found, problems, tuned = claims(evidence), training_problems(evidence), tunings(evidence)
    own = judged(spec, evidence.created_at, evidence.provenance)
    earlier = earlier_claims(own, evidence.others)
    ledger = ledger_sentence(own, earlier, spec.metrics.primary.partition("/")[0])
    arms = tuple(arm_facts(evidence, design, arm) for design in spec.designs for arm in spec.all_arms)
    return AblationFindings(
        spec=spec,
        created_at=evidence.created_at,
        provenance=evidence.provenance,
        digest=hashlib.sha256(dump_ablation(spec).encode()).hexdigest()[:12],
        pairs=evidence.pairs,
        claims=found,
        sentences=tuple(verdict_sentence(spec, claim) for claim in found),
        wider=tuple(wider_scope(claim) for claim in found),
        secondary=_secondary(evidence),
        interactions=_interactions(evidence),
        crossings=crossings(spec, {(arm.design, arm.arm): arm.mean for arm in arms}),
        arms=arms,
        calibration=calibration_rows(evidence),
        compute=compute_rows(_by_arm(evidence.runs), evidence.usage, evidence.epochs),
        tunings=tuned,
        tuning_efforts=tuning_efforts(spec, tuned),
        curves=arm_curves(evidence),
        power=tuple(curve for claim in found if (curve := _power(claim)) is not None),
        problems=problems,
        sizes=evidence.sizes,
        varying=varying(evidence),
        gpus=tuple(sorted({run.fingerprint["device"] for run in evidence.runs if "device" in run.fingerprint})),
        ledger=ledger,
        failures=tuple(run for run in evidence.runs if run.state in (RunState.DIVERGED, RunState.FAILED)),
        caveats=(*caveats(evidence, found, problems), *([ledger] if earlier else ())),
        commands=_commands(spec),
        runs=tuple(evidence.runs),
        finals=evidence.finals,
    )


def _exploratory(evidence: Evidence, design: str, one: Contrast, metric: str) -> Exploratory | None:
    comparison = compare_contrast(evidence, design, one, metric, evidence.spec.metrics.goal)
    if comparison is None:
        return None
    return Exploratory(design, one, metric, comparison.delta, comparison.interval, comparison.n)


def _secondary(evidence: Evidence) -> tuple[Exploratory, ...]:
    spec = evidence.spec
    rows = [
        _exploratory(evidence, design, one, metric)
        for design in spec.designs
        for metric in spec.metrics.others
        for one in spec.treatments
    ]
    return tuple(row for row in rows if row is not None)


def _interactions(evidence: Evidence) -> tuple[Exploratory, ...]:
    spec = evidence.spec
    rows = [
        _exploratory(evidence, design, one, spec.metrics.primary)
        for design in spec.designs
        for one in spec.interactions
    ]
    return tuple(row for row in rows if row is not None)


def _power(claim: Claim) -> PowerCurve | None:
    comparison = claim.comparison
    if comparison is None or not comparison.sd or comparison.n < 2:
        return None
    effect = comparison.margin or comparison.detectable
    if not effect:
        return None
    most = max(2 * comparison.n, comparison.n + (comparison.needed or 0), 10)
    pairs = tuple(sorted({int(n) for n in np.linspace(2, min(most, 500), 40)}))
    curve = tuple(power(comparison.sd, effect, n, comparison.alpha) for n in pairs)
    return PowerCurve(claim.design, claim.contrast, effect, pairs, curve)


def _commands(spec: AblationSpec) -> tuple[str, ...]:
    return (
        f"sweeps ablate ablation.yaml --name {spec.name}    # ablation.yaml is in the folder of this report",
        f"sweeps report {spec.name}    # write this report again from the database",
    )
