"""The findings of a finished sweep in a database."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from analysis.diagnosis.findings import Code
from analysis.report.sweep.files import write_sweep_report
from analysis.statistics.best_of_n import expected_best
from analysis.sweep.caveats import sweep_caveats
from analysis.sweep.evidence import read_sweep
from analysis.sweep.findings import SweepFindings, sweep_findings
from analysis.sweep.space_data import space_data
from search_spaces import Asha, Choice, LogUniform, NoStopping, Recipe, Uniform, lookup
from sweeps.engine.progress import sweep_progress
from sweeps.run_state import RunState
from tests.analysis.made_sweeps import BETA, LR, WARMUP, WD, made_sweep, peak, spec_of
from tests.fakes import CurveRunner, run_sweep, space, unstable

FORBIDDEN = ("significant", "no effect", "trend", "proves", "marginally")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("sweep")
    url = f"sqlite:///{folder / 'sweeps.db'}"
    run_sweep(space(runs=24), url, folder / "c", CurveRunner(unstable))
    return url


@pytest.fixture(scope="module")
def findings(database: str) -> SweepFindings:
    return sweep_findings(read_sweep(database, "toy"), repeats=3)


def test_the_same_database_gives_the_same_findings(database: str, findings: SweepFindings) -> None:
    assert repr(sweep_findings(read_sweep(database, "toy"), repeats=3)) == repr(findings)


def test_the_costs_add_up(database: str, findings: SweepFindings) -> None:
    evidence = read_sweep(database, "toy")
    whole = sweep_progress(evidence.spec, evidence.runs)
    assert (findings.epochs_spent, findings.epochs_saved) == (whole.epochs_spent, whole.epochs_saved)
    assert {row.state: row.runs for row in findings.ledger} == whole.states
    assert sum(row.epochs for row in findings.ledger) == findings.epochs_spent
    assert sum(row.seconds for row in findings.ledger) == pytest.approx(0.5 * findings.epochs_spent)


def test_the_best_runs(database: str, findings: SweepFindings) -> None:
    evidence = read_sweep(database, "toy")
    complete = sorted((run.value or 0.0 for run in evidence.ranked), reverse=True)
    assert [one.run.value for one in findings.best] == complete[:5]
    assert [one.rank for one in findings.best] == list(range(1, len(findings.best) + 1))
    for one in findings.best:
        assert all(lookup(one.run.recipe, field) == now for field, (_, now) in one.changes.items())
        assert all(lookup(evidence.spec.recipe, field) == before for field, (before, _) in one.changes.items())
        assert one.gain == pytest.approx((one.run.value or 0.0) - (evidence.runs[0].value or 0.0))
        assert (one.changes == {}) == (one.run.number == 0)


def test_every_run_is_diagnosed(findings: SweepFindings) -> None:
    assert findings.diagnosis.runs == len(findings.findings) == 24
    assert any(one.code is Code.NAN for every in findings.findings.values() for one in every)
    nan = next(share for share in findings.diagnosis.shares if share.code is Code.NAN)
    assert nan.runs == sum(row.runs for row in findings.ledger if row.state is RunState.DIVERGED)
    assert {region.field for region in findings.diagnosis.regions} == set(space().search)


def test_the_expected_best_of_n(findings: SweepFindings) -> None:
    assert findings.fidelity is not None
    scores = list(findings.fidelity.scores.values())
    assert findings.best_of_n == pytest.approx(expected_best(scores, "maximize").tolist())
    assert findings.best_of_n[0] == pytest.approx(sum(scores) / len(scores))
    assert findings.best_of_n[-1] == max(scores)


def test_the_columns(database: str, findings: SweepFindings) -> None:
    data = findings.data
    runs = read_sweep(database, "toy").runs
    assert {axis.field: axis.kind for axis in data.axes} == {LR: "log", BETA: "options", WARMUP: "linear"}
    for axis in data.axes:
        assert len(data.columns[axis.field]) == len(data.places[axis.field]) == 24
        assert all(place is not None and -1e-9 <= place <= 1 + 1e-9 for place in data.places[axis.field])
    lr = data.places[LR]
    assert lr[0] == pytest.approx(0.5)  # 1e-3 between 1e-5 and 1e-1
    assert list(data.columns[LR]) == [run.recipe.optimizer.lr for run in runs]
    assert data.values == tuple(run.value for run in runs)
    assert [number for number, score in zip(data.numbers, data.scores, strict=True) if score is not None] == list(
        findings.fidelity.scores if findings.fidelity else ()
    )
    assert data.contour is not None
    assert set(data.contour) == {LR, WARMUP}


def test_the_words(findings: SweepFindings) -> None:
    texts = [*findings.caveats, *findings.commands, *(one.words for one in findings.importances)]
    texts += [f"{check.evidence} {check.next_step}" for check in findings.checks]
    assert not any(word in text.lower() for text in texts for word in FORBIDDEN)
    said = " ".join(findings.caveats)
    assert "one seed" in said
    assert "val/accuracy" in said
    assert "stopped at a rung" in said
    assert [one.evaluator for one in findings.importances] == ["fANOVA", "PED-ANOVA"]
    assert findings.importances[0].fidelity is not None
    assert len(findings.digest) == 12
    assert any("sweeps confirm toy" in line for line in findings.commands)


def test_an_accepted_change_of_the_code_is_a_caveat() -> None:
    change = {"text": "module mine has changed", "at": "2026-01-02T03:04:05+00:00", "runs": 3}
    made = replace(made_sweep(peak(1.0)), provenance={"changes": [change]})
    [caveat] = [line for line in sweep_caveats(made, ()) if "has changed" in line]
    assert "module mine has changed (2026-01-02 03:04 UTC, after 3 runs)" in caveat
    assert "may not be comparable" in caveat


def test_an_edge_becomes_a_range_and_a_command() -> None:
    found = sweep_findings(made_sweep(peak(1.0)), repeats=2)
    assert found.ranges.keys() == {LR}
    assert any("sweeps extend toy --edge" in line for line in found.commands)
    assert found.data.contour is not None
    assert found.data.contour[0] == LR
    assert found.noise is not None
    assert found.optimism is not None
    assert 0 < found.optimism < 0.01


def test_a_sweep_without_complete_runs() -> None:
    """No run is complete, and most have no epoch."""
    evidence = made_sweep(
        lambda places, share, rng: math.nan, spec_of(runs=9, early_stopping=Asha(grace_epochs=1, reduction_factor=3))
    )
    found = sweep_findings(evidence, repeats=2)
    assert found.best == ()
    assert found.best_of_n == ()
    assert found.fidelity is None
    assert found.optimism is None
    assert found.data.scores == (None,) * 9


def test_a_single_recipe() -> None:
    """A space without a search, as in the file of a winner."""
    evidence = made_sweep(lambda places, share, rng: 0.5 + share / 10, spec_of(runs=1, search={}))
    found = sweep_findings(evidence, repeats=2)
    assert len(found.best) == 1
    assert found.data.axes == ()
    assert WD not in found.ranges


def test_equal_looking_options_have_places_of_their_own() -> None:
    options = (0, False, 1, True, "1", "x" * 90 + "a", "x" * 90 + "b")
    recipe = Recipe.model_validate({"custom": {"x": 0}})
    evidence = made_sweep(lambda places, share, rng: 0.5, spec_of(search={"custom.x": Choice(options)}, recipe=recipe))
    data = space_data(evidence, None, ())
    places = {
        repr(value): place for value, place in zip(data.columns["custom.x"], data.places["custom.x"], strict=True)
    }
    assert places == {repr(option): index / 6 for index, option in enumerate(options)}


def test_huge_values_and_ranges_can_be_reported(sqlite_url: str, tmp_path: Path) -> None:
    spec = space(
        name="huge",
        recipe=Recipe.model_validate({"custom": {"a": 1.0, "b": 0.0}, "budget": {"epochs": 3}}),
        search={"custom.a": LogUniform(1e-300, 1e300), "custom.b": Uniform(-1e300, 1e300)},
        early_stopping=NoStopping(),
    )

    def curve(recipe: Recipe, epoch: int) -> dict[str, float]:
        score = 1.7e308 * math.tanh(float(recipe.custom["b"]) / 1e300) * epoch / 3
        return {"val/accuracy": score, "train/loss": abs(score)}

    run_sweep(spec, sqlite_url, tmp_path, CurveRunner(curve))
    evidence = read_sweep(sqlite_url, "huge")
    assert max(abs(run.value or 0.0) for run in evidence.runs) == 1e100
    assert write_sweep_report(sqlite_url, sweep_findings(evidence), tmp_path / "report").page.exists()
