"""Problems in the training curves of each arm, which limit what a comparison of the arms means."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from analysis.ablation.evidence import Evidence
from analysis.diagnosis.diagnose import curves_of, diagnose
from analysis.diagnosis.findings import Code, Finding, Severity
from search_spaces.values import counted
from sweeps.store.records import RunRecord


@dataclass(frozen=True)
class ArmProblem:
    """One error or warning of the diagnosis in the runs of an arm.

    Attributes:
        design: `matched` or `retuned`.
        arm: Name of the arm.
        code: Code of the finding.
        severity: Its severity; the worst one if runs differ.
        runs: Number of runs with the finding.
        of: Number of runs with curves.
        evidence: Evidence of the first of these runs.
    """

    design: str
    arm: str
    code: Code
    severity: Severity
    runs: int
    of: int
    evidence: str

    @property
    def usual(self) -> bool:
        """Whether at least half of the runs have it."""
        return 2 * self.runs >= self.of

    def __str__(self) -> str:
        return f"{self.arm!r} ({self.design}): {self.code.value} in {self.runs} of {counted(self.of, 'run')}"


def training_problems(evidence: Evidence) -> tuple[ArmProblem, ...]:
    """Return the errors and warnings of each trained arm, those of most runs first."""
    frames = {int(str(number)): frame for number, frame in evidence.epochs.groupby("number")}
    found = []
    for design in evidence.spec.designs:
        for arm in evidence.table.arms:
            runs = [evidence.run(design, pair, arm) for pair in range(evidence.pairs)]
            known = [run for run in runs if run is not None and run.number in frames]
            alarms = [_alarms(evidence, run, frames[run.number]) for run in known]
            found += sorted(_problems(design, arm, alarms), key=lambda one: (-one.runs, one.code))
    return tuple(found)


def _alarms(evidence: Evidence, run: RunRecord, frame: pd.DataFrame) -> tuple[Finding, ...]:
    spec = evidence.spec
    curves = curves_of(
        frame,
        run.recipe,
        state=run.state.value,
        metric=spec.metrics.selection,
        maximize=spec.metrics.goal == "maximize",
        classes=evidence.classes,
        command=spec.space.command is not None,
    )
    return tuple(finding for finding in diagnose(curves) if finding.alarm)


def _problems(design: str, arm: str, alarms: list[tuple[Finding, ...]]) -> Iterator[ArmProblem]:
    for code in Code:
        same = [finding for run in alarms for finding in run if finding.code is code]
        if same:
            worst = Severity.ERROR if any(one.severity is Severity.ERROR for one in same) else Severity.WARNING
            yield ArmProblem(design, arm, code, worst, len(same), len(alarms), same[0].evidence)
