"""Everything that the report of a sweep states, as numbers and sentences.

The findings depend only on the database: the same database gives exactly the same findings.
"""

import hashlib
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from analysis.compute import ComputeRow, compute_rows
from analysis.diagnosis.finding_table import Axis, FindingTable, summarize_findings
from analysis.diagnosis.findings import Finding
from analysis.statistics.best_of_n import expected_best
from analysis.sweep.caveats import sweep_caveats
from analysis.sweep.checks.search_checks import check_sweep
from analysis.sweep.confirmation import Confirmation
from analysis.sweep.diagnoses import diagnoses
from analysis.sweep.evidence import SweepEvidence
from analysis.sweep.fidelity import Fidelity, comparable_scores
from analysis.sweep.importance import Importances, rank_fields
from analysis.sweep.new_ranges import suggested_ranges
from analysis.sweep.rung_correlation import RungCorrelation, rung_correlations
from analysis.sweep.score_noise import ScoreNoise, score_noise, selection_optimism
from analysis.sweep.space_data import SpaceData, space_data
from search_spaces import Distribution, SpaceSpec, Value, derive_seed, dump_space, flatten
from sweeps.run_state import RunState
from sweeps.study.snapshot import RunSnapshot
from trainers.check import Check

TOP = 5


@dataclass(frozen=True)
class BestRun:
    """One of the best complete runs.

    Attributes:
        rank: Rank, from 1.
        run: The run.
        changes: Recipe field -> `(baseline, this run)`, for the fields that differ.
        gain: Improvement over the baseline's score, positive if better; None if the baseline is not complete.
    """

    rank: int
    run: RunSnapshot
    changes: Mapping[str, tuple[Value, Value]]
    gain: float | None


@dataclass(frozen=True)
class LedgerRow:
    """Cost of the runs in one state."""

    state: RunState
    runs: int
    epochs: int
    seconds: float


@dataclass(frozen=True, eq=False)
class SweepFindings:
    """Everything that the report of one sweep states.

    Attributes:
        spec: Stored space of the sweep.
        created_at: Time of creation, in UTC.
        provenance: Versions, machine and commit of the first driver.
        digest: First 12 hexadecimal digits of the SHA-256 of the file.
        best: The best complete runs.
        checks: Checks of the search.
        ranges: Suggested ranges for a follow-up sweep.
        importances: Importance of the fields by fANOVA and by PED-ANOVA.
        rungs: Rank correlations of early and later scores.
        fidelity: Scores after the same epoch; None if too few runs share one.
        best_of_n: Expected best of 1 .. N of the compared runs, in units of the metric.
        noise: Noise of a final score; None if unknown.
        optimism: Expected optimism of the winner's score through selection; None if unknown.
        epochs_spent: Number of trained epochs of all runs.
        epochs_saved: Number of epochs that stopped runs did not train.
        ledger: Cost by state, for states with at least one run.
        compute: What the runs in each state have used, and all of them.
        diagnosis: Counts of the findings of all curves, by region of the space.
        findings: Findings of each run.
        data: The runs as columns.
        curves: Run number -> epoch -> the sweep's metric.
        failures: Failed runs, with their tracebacks.
        caveats: Limits of what the sweep shows.
        commands: Next commands.
        confirmation: Comparison of the finalists with the baseline on fresh seeds; None if there is none.
    """

    spec: SpaceSpec
    created_at: datetime
    provenance: Mapping[str, Any]
    digest: str
    best: tuple[BestRun, ...]
    checks: tuple[Check, ...]
    ranges: Mapping[str, Distribution]
    importances: tuple[Importances, ...]
    rungs: tuple[RungCorrelation, ...]
    fidelity: Fidelity | None
    best_of_n: tuple[float, ...]
    noise: ScoreNoise | None
    optimism: float | None
    epochs_spent: int
    epochs_saved: int
    ledger: tuple[LedgerRow, ...]
    compute: tuple[ComputeRow, ...]
    diagnosis: FindingTable
    findings: Mapping[int, tuple[Finding, ...]]
    data: SpaceData
    curves: Mapping[int, Mapping[int, float]]
    failures: tuple[RunSnapshot, ...]
    caveats: tuple[str, ...]
    commands: tuple[str, ...]
    confirmation: Confirmation | None


def sweep_findings(
    evidence: SweepEvidence, top: int = TOP, repeats: int | None = None, confirmation: Confirmation | None = None
) -> SweepFindings:
    """Return the findings of a sweep; random draws are seeded by the sweep's name and seed.

    Args:
        evidence: The sweep.
        top: Number of best runs to include.
        repeats: Number of bootstrap resamples for each importance; `analysis.sweep.importance.REPEATS` by default.
        confirmation: Result of `analysis.ablation.confirmation.read_confirmation`.
    """
    spec, runs, compared = evidence.spec, evidence.runs, comparable_scores(evidence)
    importances = tuple(rank_fields(evidence, one, _seed(evidence, one), repeats) for one in ("fANOVA", "PED-ANOVA"))
    noise, findings, ranges = score_noise(evidence), diagnoses(evidence), suggested_ranges(evidence)
    data = space_data(evidence, compared, tuple(one.field for one in importances[0].fields))
    return SweepFindings(
        spec=spec,
        created_at=evidence.created_at,
        provenance=evidence.provenance,
        digest=hashlib.sha256(dump_space(spec).encode()).hexdigest()[:12],
        best=tuple(_best(evidence, rank) for rank in range(1, 1 + min(top, len(evidence.ranked)))),
        checks=check_sweep(evidence),
        ranges=ranges,
        importances=importances,
        rungs=rung_correlations(evidence, np.random.default_rng(_seed(evidence, "rungs"))),
        fidelity=compared,
        best_of_n=() if compared is None else tuple(expected_best(list(compared.scores.values()), spec.metric.goal)),
        noise=noise,
        optimism=_optimism(evidence, noise),
        epochs_spent=sum(run.epoch for run in runs),
        epochs_saved=sum(evidence.budget - run.epoch for run in runs if run.state is RunState.STOPPED),
        ledger=_ledger(evidence),
        compute=compute_rows(
            {state.value.lower(): runs for state, runs in _by_state(evidence).items()}, evidence.usage, evidence.epochs
        ),
        diagnosis=_diagnosis(evidence, data, findings),
        findings=findings,
        data=data,
        curves={run.number: run.curve for run in runs},
        failures=tuple(run for run in runs if run.state is RunState.FAILED),
        caveats=sweep_caveats(evidence, importances),
        commands=_commands(spec.name, bool(ranges), confirmation),
        confirmation=confirmation,
    )


def _seed(evidence: SweepEvidence, of: str) -> int:
    return derive_seed(of, evidence.spec.name, evidence.spec.sampler.seed)


def _best(evidence: SweepEvidence, rank: int) -> BestRun:
    run, baseline = evidence.ranked[rank - 1], evidence.runs[0]
    before, now = flatten(evidence.spec.recipe), flatten(run.recipe)
    changes = {
        field: (before.get(field), now.get(field))
        for field in dict.fromkeys([*now, *before])
        if before.get(field) != now.get(field)
    }
    known = baseline.state is RunState.COMPLETE and baseline.value is not None and run.value is not None
    gain = evidence.sign * ((run.value or 0.0) - (baseline.value or 0.0)) if known else None
    return BestRun(rank, run, changes, gain)


def _optimism(evidence: SweepEvidence, noise: ScoreNoise | None) -> float | None:
    scores = [run.value for run in evidence.ranked if run.value is not None]
    return (
        selection_optimism(scores, noise.sd, evidence.maximize, len(evidence.runs))
        if noise is not None and scores
        else None
    )


def _by_state(evidence: SweepEvidence) -> dict[RunState, list[RunSnapshot]]:
    found = {state: [run for run in evidence.runs if run.state is state] for state in RunState}
    return {state: runs for state, runs in found.items() if runs}


def _ledger(evidence: SweepEvidence) -> tuple[LedgerRow, ...]:
    return tuple(
        LedgerRow(state, len(runs), sum(run.epoch for run in runs), sum(run.seconds for run in runs))
        for state, runs in _by_state(evidence).items()
    )


def _diagnosis(evidence: SweepEvidence, data: SpaceData, findings: Mapping[int, tuple[Finding, ...]]) -> FindingTable:
    axes = {
        axis.field: Axis(axis.low, axis.high, axis.kind == "log")
        for axis in data.axes
        if axis.low is not None and axis.high is not None
    }
    return summarize_findings(findings, {run.number: run.values for run in evidence.runs}, axes)


def confirm_command(name: str, confirmation: Confirmation | None) -> str:
    """Return the command that confirms the best runs, under a new name if there is a confirmation already."""
    command = f"sweeps confirm {shlex.quote(name)} --top 3 --pairs 10"
    if confirmation is None:
        return command
    return f"{command} --name {shlex.quote(f'{confirmation.name}-{2 + len(confirmation.others)}')}"


def _commands(name: str, edge: bool, confirmation: Confirmation | None) -> tuple[str, ...]:
    return (
        f"sweeps apply {name} --top 1 > best.yaml    # the recipe of the best run as a space file",
        *((f"sweeps extend {name} --edge    # continue the search beyond the edges",) if edge else ()),
        f"{confirm_command(name, confirmation)}    # the score on fresh seeds and the test split",
        f"sweeps diagnose {name}    # all findings of all runs",
    )
