from __future__ import annotations

import io
import json
from pathlib import Path

from analysis.ablation.pilot import Plan, pilot_of, plan_of
from analysis.report.ablation.plan import next_step, plan_json, print_plan
from search_spaces import AblationSpec
from sweeps.console.output import open_console
from tests.analysis.made_evidence import Score, evidence_of, seeded, spec_of


def planned(spec: AblationSpec, score: Score) -> Plan:
    return plan_of(spec, evidence_of(pilot_of(spec, 3), score))


def test_the_terminal_has_the_numbers_of_the_plan_at_80_columns() -> None:
    plan, out = planned(spec_of(), seeded(0.0, 0.03)), io.StringIO()
    print_plan(plan, "sweeps ablate toy", open_console(out, width=80), Path("reports/toy-pilot/plan.json"))
    shown = " ".join(out.getvalue().split())
    assert "plan of toy from 3 pilot pairs: margin 0.05 of test/nll, each contrast tested at 0.05" in shown
    for word in ("observed", "upper 80 %", "BETTER", "EQUIVALENT", "INCONCLUSIVE", f"{plan.pairs} pairs", "10 pairs"):
        assert word in shown
    assert "GPU" not in shown
    assert "plan reports/toy-pilot/plan.json" in shown
    assert shown.endswith(f"next sweeps ablate toy --pairs {plan.pairs}")


def test_looks_that_do_not_fit_the_pairs_are_named() -> None:
    plan = planned(spec_of().model_copy(update={"looks": (5, 10)}), seeded(0.0, 0.06))
    assert plan.pairs is not None
    assert plan.looks is not None
    assert next_step(plan, "sweeps ablate toy") == (
        f"sweeps ablate toy --pairs {plan.pairs}, with looks: {list(plan.looks)} in the file"
    )


def test_a_pilot_that_says_nothing_names_the_reason() -> None:
    out = io.StringIO()
    print_plan(planned(spec_of(), lambda design, arm, pair: 0.5), "sweeps ablate toy", open_console(out, width=200))
    assert "all deltas of the pilot are equal, so nothing can be planned; does the arm take effect?" in out.getvalue()
    assert "next     sweeps report toy-pilot shows the runs of the pilot" in out.getvalue()
    failed = planned(spec_of(), lambda design, arm, pair: None if pair else 0.5)
    print_plan(failed, "sweeps ablate toy", open_console(out, width=200))
    assert "treatment: 1 pilot pair complete, but an sd needs two." in out.getvalue()


def test_a_margin_out_of_reach() -> None:
    plan = planned(spec_of(), seeded(0.0, 30.0))
    assert next_step(plan, "sweeps ablate toy").startswith("no feasible number of pairs detects the margin")


def test_json_has_every_number() -> None:
    plan = planned(spec_of(), seeded(0.0, 0.03))
    data = json.loads(plan_json(plan))
    assert data["pairs"] == plan.pairs
    assert set(data["contrasts"][0]["upper"]["needed"]) == {"0.8", "0.9"}
    assert sum(data["contrasts"][0]["odds"][0]["verdicts"].values()) == 1.0
