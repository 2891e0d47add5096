"""Real ablations, trained: what they come to, what is refused, and that a killed driver changes nothing."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from analysis.ablate import ablate, plan
from analysis.ablation.caveats import caveats
from analysis.ablation.claims import claims
from analysis.ablation.evidence import Evidence, read_evidence
from analysis.statistics.paired import Verdict
from analysis.sweep.next_steps.toggles import toggle_ablation
from search_spaces import (
    AblationSpec,
    AdamW,
    Budget,
    Metric,
    Overrides,
    Recipe,
    UsageError,
    lookup,
    parse_ablation,
)
from search_spaces.recipe.averaging import EMA
from sweeps.console.output import open_console
from sweeps.driver import preparation
from sweeps.driver.work import Options
from tests.fakes import CurveRunner, analytic, rows, run_sweep, space

TEXT = """
kind: ablation
question: Does it help?
task: digits
recipe: {optimizer: {kind: adamw, lr: 3.0e-3}, budget: {epochs: 2, batch_size: 256}}
arms:
  first: {}
  second: {}
pairs: 3
metrics: {primary: test/nll, goal: minimize}
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'sweeps.db'}"


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser that draws the report's pictures takes longer than these trainings."""
    monkeypatch.setattr("analysis.report.page.write_pngs", lambda *arguments: "they were not requested")


def train(url: str, folder: Path, *changes: tuple[str, str], more: int = 0, accepted: bool = False) -> int:
    options = Options(url, local=True, accept_changes=accepted)
    with (folder / "out.txt").open("a") as out:
        console = open_console(out, width=200)
        return ablate(parse(*changes), options, console, time.monotonic(), more, folder / "report")


def parse(*changes: tuple[str, str]) -> AblationSpec:
    text = TEXT
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    return parse_ablation(text, "f.yaml", "toy")


def told(url: str) -> tuple[Evidence, Verdict]:
    evidence = read_evidence(url, "toy")
    [claim] = claims(evidence)
    return evidence, claim.verdict


def test_two_identical_arms_are_identical(url: str, tmp_path: Path) -> None:
    """Both are trained: that their deltas are exactly 0 says that a pair shares everything that it should."""
    assert train(url, tmp_path) == 0
    evidence, verdict = told(url)
    assert verdict is Verdict.IDENTICAL
    assert len(evidence.runs) == 6
    for pair in range(3):
        first, second = (evidence.run("matched", pair, arm) for arm in ("first", "second"))
        assert first is not None
        assert second is not None
        assert first.number != second.number
        assert set(first.fingerprint) == {"weights", "order", "split"}
        assert first.fingerprint == second.fingerprint
    marks = {run.fingerprint["order"] for run in evidence.runs}
    assert len(marks) == 3


def test_seeds_alone_make_no_arm_better(url: str, tmp_path: Path) -> None:
    assert train(url, tmp_path, ("second: {}", "second: {seeds: own}"), ("pairs: 3", "pairs: 6")) == 0
    evidence, verdict = told(url)
    assert verdict not in (Verdict.BETTER, Verdict.WORSE, Verdict.NOT_COMPARABLE, Verdict.IDENTICAL)
    assert len({run.seed for run in evidence.runs}) == 12


def test_an_evaluation_arm_costs_no_training(url: str, tmp_path: Path) -> None:
    arms = (
        ("first: {}", "first: {averaging.kind: ema}"),
        ("second: {}", "second: {averaging.kind: ema, weights: ema}"),
    )
    assert train(url, tmp_path, *arms) == 0
    evidence, _ = told(url)
    assert len(evidence.runs) == 3
    raw, averaged = (evidence.values("matched", arm, "test/nll", 3) for arm in ("first", "second"))
    assert (raw != averaged).all()
    assert raw.tolist() == [evidence.finals[number]["test/nll"] for number in range(3)]
    assert averaged.tolist() == [evidence.finals[number]["test/nll@ema"] for number in range(3)]


def test_pairs_are_added_only_to_one_that_has_ended_and_judged_by_the_e_process(url: str, tmp_path: Path) -> None:
    change = ("second: {}", "second: {optimizer.lr: 1.0e-3}")
    assert train(url, tmp_path, change) == 0
    assert train(url, tmp_path, change) == 0  # nothing to do
    assert train(url, tmp_path, change, more=2) == 0
    evidence, _ = told(url)
    assert (evidence.pairs, evidence.spec.looks, evidence.spec.looks_taken) == (5, "e_process", (3,))
    assert train(url, tmp_path, change) == 0  # the file still says 3 pairs, and is the same ablation
    assert len(read_evidence(url, "toy").runs) == 10
    assert "complete: nothing to train" in (tmp_path / "out.txt").read_text()


def test_pairs_are_not_added_with_another_torch_unless_accepted(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train(url, tmp_path) == 0
    versions = preparation.versions()
    monkeypatch.setattr(preparation, "versions", lambda: versions | {"torch": "0.1"})
    with pytest.raises(UsageError, match=r"its 6 trained runs .*\n  package torch was .* and is 0\.1\n"):
        train(url, tmp_path, more=1)
    before = read_evidence(url, "toy")
    assert (len(before.runs), before.spec.pairs, before.spec.looks) == (6, 3, "none")
    assert train(url, tmp_path, more=1, accepted=True) == 0
    evidence = read_evidence(url, "toy")
    assert evidence.pairs == 4
    [caveat] = [line for line in caveats(evidence, []) if "package torch was" in line]
    assert "after 6 runs" in caveat
    page = json.loads((tmp_path / "report" / "report.json").read_text())
    assert caveat in page["caveats"]
    assert all("package torch was" in (tmp_path / "report" / name).read_text() for name in ("index.html", "report.md"))


def test_planned_looks_are_not_extended(url: str, tmp_path: Path) -> None:
    change = ("pairs: 3", "pairs: 4\nlooks: [3, 4]")
    assert train(url, tmp_path, change) == 0
    with pytest.raises(UsageError, match="--add-pairs: the looks of 'toy' were planned at"):
        train(url, tmp_path, change, more=2)


def test_another_file_under_the_same_name_is_refused(url: str, tmp_path: Path) -> None:
    train(url, tmp_path)
    with pytest.raises(UsageError, match=r"pairs: 3 -> 7") as caught:
        train(url, tmp_path, ("pairs: 3", "pairs: 7"))
    assert "--name NEW" in str(caught.value)


def test_a_sweep_of_that_name_is_refused(url: str, tmp_path: Path) -> None:
    run_sweep(space(), url, tmp_path / "c")
    with pytest.raises(UsageError, match="the database holds the sweep 'toy': choose another --name for this ablation"):
        train(url, tmp_path)


# --- from a sweep's winner --------------------------------------------------------------------------------------


def test_a_winner_is_taken_apart(url: str, tmp_path: Path) -> None:
    spec = space(name="found")
    run_sweep(spec, url, tmp_path / "c")
    made = toggle_ablation(url, "best:found", (), Overrides(pairs=2, seed=3))
    assert (made.name, made.pairs, made.space.sampler.seed) == ("found-toggles", 2, 3)
    assert (made.metrics.primary, made.metrics.goal) == ("test/accuracy", "maximize")
    control, *others = made.all_arms
    assert control == "winner"
    for arm in others:
        field = arm.removeprefix("without ")
        assert lookup(made.recipe(arm), field) == lookup(spec.recipe, field) != lookup(made.recipe("winner"), field)
    [best] = rows(url, "SELECT recipe_hash FROM run WHERE state = 'COMPLETE' ORDER BY value DESC, number LIMIT 1")
    assert others
    one = toggle_ablation(url, "best:found", ["optimizer.lr"], Overrides())
    assert list(one.all_arms) == ["winner", "without optimizer.lr"]
    assert "Taking optimizer.lr back from" in str(one.arms["without optimizer.lr"].says)
    assert best


def test_a_winner_by_averaged_weights_is_judged_by_them(url: str, tmp_path: Path) -> None:
    def curve(recipe: Recipe, epoch: int) -> dict[str, float]:
        return {f"{name}@ema": value for name, value in analytic(recipe, epoch).items()}

    averaged = Recipe(optimizer=AdamW(lr=1e-3), averaging=EMA(), budget=Budget(epochs=9))
    metric = Metric(name="val/accuracy@ema", goal="maximize")
    run_sweep(space(name="found", metric=metric, recipe=averaged), url, tmp_path / "c", CurveRunner(curve))
    made = toggle_ablation(url, "best:found", ["optimizer.lr"], Overrides())
    assert (made.metrics.primary, made.space.metric.name) == ("test/accuracy", "val/accuracy")
    assert {arm.weights for arm in made.arms.values()} == {"ema"}


@pytest.mark.parametrize(
    ("source", "fields", "words"),
    [
        ("found", (), "must be best:NAME, such as best:finetune"),
        ("best:fond", (), "no sweep 'fond' in the database; did you mean found"),
        ("best:found", ("optimizer.l",), "--toggle: optimizer.l: unknown field of adamw"),
        ("best:found", ("budget.epochs",), "winner and baseline agree on 9"),
    ],
)
def test_what_cannot_be_taken_apart(url: str, tmp_path: Path, source: str, fields: tuple[str, ...], words: str) -> None:
    run_sweep(space(name="found"), url, tmp_path / "c")
    with pytest.raises(UsageError) as caught:
        toggle_ablation(url, source, fields, Overrides())
    assert words in str(caught.value)


# --- killed -----------------------------------------------------------------------------------------------------


def pairs_in(url: str) -> list[tuple[object, ...]]:
    query = (
        "SELECT run.number, design, pair, arm, recipe_hash, run.seed, state, run.epoch, epoch_metric.name, "
        "epoch_metric.value FROM run JOIN epoch_metric ON run_id = run.id "
        "WHERE epoch_metric.name NOT LIKE '%second%' AND epoch_metric.name NOT LIKE '%memory%' "
        "ORDER BY run.number, epoch_metric.epoch, epoch_metric.name"
    )
    return [tuple(row) for row in rows(url, query)]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("local", [True, False], ids=["in process", "ray"])
def test_a_killed_driver_ends_in_the_same_pairs(tmp_path: Path, local: bool) -> None:
    """The re-tuned design, so that the kills also meet the tuning and the choice of its winners."""
    text = TEXT.replace("second: {}", "second: {regularization.dropout: 0.2}").replace("epochs: 2", "epochs: 12")
    text += "search: {optimizer.lr: {loguniform: [1e-4, 1e-1]}}\nretune: {runs: 3, over: [optimizer.lr]}\n"
    (tmp_path / "toy.yaml").write_text(text)
    rng = random.Random(7)

    def command(name: str) -> list[str]:
        place = ["--storage", f"sqlite:///{tmp_path / name}.db", "--to", str(tmp_path / name)]
        return [str(Path(sys.executable).with_name("sweeps")), "ablate", "toy.yaml", *place, *(["--local"] * local)]

    subprocess.run(command("whole"), cwd=tmp_path, check=True, capture_output=True)
    kills = 0
    for _ in range(4):
        child = subprocess.Popen(
            command("killed"), cwd=tmp_path, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
        )
        began = len(_recorded(tmp_path / "killed.db"))
        deadline = time.monotonic() + 90
        while child.poll() is None and time.monotonic() < deadline:
            if len(_recorded(tmp_path / "killed.db")) > began:
                time.sleep(rng.uniform(0, 0.6))
                break
            time.sleep(0.05)
        if child.poll() is not None:
            break
        os.kill(child.pid, signal.SIGKILL)  # the driver alone; what it started has to notice
        child.wait()
        kills += 1
    done = subprocess.run(command("killed"), cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert kills >= 2
    assert pairs_in(f"sqlite:///{tmp_path / 'killed'}.db") == pairs_in(f"sqlite:///{tmp_path / 'whole'}.db")
    for name in ("pairs.csv", "report.md"):
        assert (tmp_path / "killed" / name).exists()


def _recorded(database: Path) -> list[object]:
    try:
        return rows(f"sqlite:///{database}", "SELECT run_id, epoch FROM epoch_metric WHERE name = 'val/nll'")
    except Exception:  # noqa: BLE001  there are no tables yet
        return []


def test_a_pilot_plans_and_nothing_of_it_enters_the_result(url: str, tmp_path: Path) -> None:
    change = (("second: {}", "second: {optimizer.lr: 1.0e-3}"), ("goal: minimize", "goal: minimize, margin: 0.05"))
    spec = parse(*change)

    def planned(pairs: int) -> str:
        with (tmp_path / "plan.txt").open("w+") as out:
            options, console = Options(url, local=True), open_console(out, width=200)
            assert plan(spec, pairs, "sweeps ablate f.yaml", options, console, time.monotonic(), tmp_path) == 0
        return (tmp_path / "plan.txt").read_text()

    assert "next     sweeps ablate f.yaml --pairs " in planned(2)
    assert "plan of toy from 3 pilot pairs" in planned(3)  # one pair more
    assert "nothing to train" in planned(3)
    assert json.loads((tmp_path / "plan.json").read_text())["pilot_pairs"] == 3
    assert train(url, tmp_path, *change) == 0
    pilot, real = (read_evidence(url, name) for name in ("toy-pilot", "toy"))
    assert (len(pilot.runs), len(real.runs)) == (6, 6)
    assert not {run.seed for run in pilot.runs} & {run.seed for run in real.runs}
    assert set(pilot.finals[0]) == set(real.finals[0])
