"""What the diagnosis finds in the trainings of an arm is counted and becomes a caveat."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from analysis.ablation.arms.training_problems import training_problems
from analysis.ablation.caveats import caveats
from analysis.ablation.evidence import Evidence
from analysis.diagnosis.findings import Code, Severity
from sweeps.plan.ablation_plan import AblationTable
from tests.analysis.made_evidence import TEXT, evidence_of, seeded, spec_of

EPOCHS = 12


def clipped(treatment_in: int) -> Evidence:
    """Return an ablation of clipped trainings: 86 % of the steps of the control, and of some runs of the treatment."""
    text = TEXT.replace("epochs: 3}", f"epochs: {EPOCHS}}}, regularization: {{clip_norm: 1.0}}")
    spec = spec_of(text)
    evidence = evidence_of(spec, seeded(-0.2))
    table = AblationTable(spec)
    rows = []
    for run in evidence.runs:
        much = run.arm == "control" or run.pair < treatment_in
        for epoch in range(1, EPOCHS + 1):
            values = {"train/clip_rate": 0.86 if much else 0.01, "val/nll": 2.0 / epoch, "train/loss": 2.0 / epoch}
            rows += [
                {"number": run.number, "epoch": epoch, "name": name, "value": value, "seq": 0}
                for name, value in values.items()
            ]
    runs = [replace(run, recipe=spec.recipe(run.arm), epoch=EPOCHS) for run in evidence.runs]
    assert len(runs) == table.until(spec.pairs)
    return replace(evidence, runs=runs, epochs=pd.DataFrame(rows))


def test_clipped_steps_are_counted_by_arm() -> None:
    found = [one for one in training_problems(clipped(treatment_in=3)) if one.code is Code.CLIP_HIGH]
    assert [(one.arm, one.runs, one.of, one.severity) for one in found] == [
        ("control", 10, 10, Severity.ERROR),
        ("treatment", 3, 10, Severity.ERROR),
    ]
    assert "86% of the steps after the warmup are clipped" in found[0].evidence


def test_only_what_most_runs_have_is_a_caveat() -> None:
    evidence = clipped(treatment_in=3)
    lines = [line for line in caveats(evidence, [], training_problems(evidence)) if "CLIP_HIGH" in line]
    assert len(lines) == 1
    assert lines[0].startswith("'control' (matched): CLIP_HIGH in 10 of 10 runs. First run: 86% of the steps")
