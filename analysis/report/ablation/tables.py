"""CSV files of the report of an ablation."""

import math
from typing import Any

import pandas as pd

from analysis.ablation.findings import AblationFindings
from analysis.export import csv
from search_spaces.metric_names import read_from
from sweeps.plan.ablation_plan import AblationTable


def pairs_csv(findings: AblationFindings) -> str:
    """Return one row for each design, pair and arm with its metrics and the run they come from."""
    spec, table = findings.spec, AblationTable(findings.spec)
    runs = {run.number: run for run in findings.runs}
    names = (spec.metrics.primary, *spec.metrics.others)
    rows: list[dict[str, Any]] = []
    for design in spec.designs:
        for pair in range(findings.pairs):
            for arm, one in spec.all_arms.items():
                run = runs[table.number(design, pair, arm)]
                finals = findings.finals.get(run.number, {})
                values = {name: finals.get(read_from(name, one.weights), math.nan) for name in names}
                facts = {"weights": one.weights, "state": run.state.value, "run": run.number, "seed": run.seed}
                rows.append({"design": design, "pair": pair, "arm": arm, **values, **facts})
    columns = ["design", "pair", "arm", *names, "weights", "state", "run", "seed"]
    return csv(pd.DataFrame(rows, columns=columns))


def runs_csv(findings: AblationFindings) -> str:
    """Return one row for each run, including the tries of the tuning, with the fields of its recipe."""
    spec = findings.spec
    rows = [
        {
            "run": run.number,
            "design": run.design,
            "arm": run.arm,
            "pair": run.pair,
            "state": run.state.value,
            "epoch": run.epoch,
            "seconds": run.seconds,
            "seed": run.seed,
            "attempts": run.attempts,
            "error": run.error,
            **{f"fingerprint.{part}": mark for part, mark in sorted(run.fingerprint.items())},
            **spec.space.fields_of(run.recipe),
        }
        for run in findings.runs
    ]
    return csv(pd.DataFrame(rows))
