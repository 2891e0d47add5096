from __future__ import annotations

from typing import Any

import pytest

from analysis.diagnosis.finding_table import Axis, summarize_findings
from analysis.diagnosis.findings import Code, Finding, Severity


def finding(code: Code, severity: Severity = Severity.WARNING) -> Finding:
    return Finding(code, severity, "Seen.", "Do.")


def test_the_table_of_a_sweep() -> None:
    found = {
        n: [finding(Code.NAN, Severity.ERROR)] if n >= 8 else [finding(Code.PLATEAU, Severity.INFO)] for n in range(9)
    }
    found[0] = []
    values = {n: {"lr": 10.0 ** (n - 5), "kind": "sgd" if n % 2 else "adamw"} for n in range(9)}
    table = summarize_findings(found, values, {"lr": Axis(1e-5, 1e4, log=True)})
    assert (table.runs, table.without_alarm) == (9, 8)
    assert [(one.code, one.runs, one.of) for one in table.shares] == [(Code.NAN, 1, 9), (Code.PLATEAU, 7, 9)]
    assert table.shares[0].share == pytest.approx(1 / 9)
    assert [(one.field, one.region, one.runs, one.of) for one in table.regions if one.code is Code.NAN] == [
        ("lr", "lower third, 1e-05 to 0.01", 0, 3),
        ("lr", "middle third, 0.01 to 10", 0, 3),
        ("lr", "upper third, 10 to 1e+04", 1, 3),
        ("kind", "'adamw'", 1, 5),
        ("kind", "'sgd'", 0, 4),
    ]
    observed = summarize_findings(found, values)  # thirds of the logarithm of the observed range
    assert [one.of for one in observed.regions[:3]] == [3, 3, 3]


def test_fields_that_not_every_run_has() -> None:
    found = {n: [finding(Code.SPIKES)] for n in range(4)}
    values: dict[int, dict[str, Any]] = {0: {"depth": 2}, 1: {"depth": 16}, 2: {"depth": 2}, 3: {}}
    regions = summarize_findings(found, values).regions
    assert [(one.region, one.runs, one.of) for one in regions] == [("2", 2, 2), ("16", 1, 1)]
    assert summarize_findings({}, {}).shares == ()
