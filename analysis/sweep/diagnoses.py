"""Curves and diagnoses of the runs of a sweep."""

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np

from analysis.diagnosis.curves import Curves
from analysis.diagnosis.diagnose import curves_of, diagnose
from analysis.diagnosis.findings import Finding
from analysis.sweep.evidence import SweepEvidence
from sweeps.study.snapshot import RunSnapshot


def run_curves(evidence: SweepEvidence, numbers: Collection[int] | None = None) -> Mapping[int, Curves]:
    """Return the curves of every run that reported an epoch, or of some of them, by number."""
    by_run = {int(str(number)): frame for number, frame in evidence.epochs.groupby("number")}
    found, shares = {}, _class_shares(evidence)
    for run in evidence.runs:
        if run.number in by_run and (numbers is None or run.number in numbers):
            curves = curves_of(
                by_run[run.number],
                run.recipe,
                state=run.state.value,
                metric=evidence.spec.metric.name,
                maximize=evidence.maximize,
                classes=evidence.classes,
                command=evidence.spec.command is not None,
            )
            found[run.number] = replace(curves, val_examples=evidence.val_examples, shares=shares)
    return found


def _class_shares(evidence: SweepEvidence) -> tuple[float, ...]:
    """Return the share of each class in `val`, found in the stored predictions; nothing without any."""
    labels = next((one.label for one in evidence.predictions.values() if len(one.label)), None)
    if labels is None:
        return ()
    return tuple(float(share) for share in np.bincount(labels) / len(labels))


def diagnoses(evidence: SweepEvidence) -> Mapping[int, tuple[Finding, ...]]:
    """Return the findings of every run that reported an epoch; runs with the same optimizer are its neighbours."""
    curves = run_curves(evidence)
    runs = {run.number: run for run in evidence.runs}

    def same_optimizer(run: RunSnapshot) -> list[Curves]:
        kind = run.recipe.optimizer.kind
        return [
            one for number, one in curves.items() if number != run.number and runs[number].recipe.optimizer.kind == kind
        ]

    return {number: diagnose(one, same_optimizer(runs[number])) for number, one in curves.items()}
