"""Ablations of a command, trained: pairs by seed, what the report says of them, continuation, further pairs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from analysis.ablate import ablate
from analysis.ablation.caveats import caveats
from analysis.ablation.claims import claims
from analysis.ablation.evidence import Evidence, read_evidence
from analysis.ablation.findings import ablation_findings
from analysis.report.ablation.sections import sections
from analysis.statistics.paired import Verdict
from search_spaces import parse_ablation
from sweeps import exit_codes
from sweeps.console.output import open_console
from sweeps.driver.work import Options
from sweeps.store.store import Store
from tests.fakes import rows

# The value depends on the seed and the rate; at the end comes a step without the value, and then a test score.
PROGRAM = """\
lr=$1 seed=$2 noise=$3
awk -v lr="$lr" -v seed="$seed" -v noise="$noise" 'BEGIN {
  base = seed % 1000 / 1000
  if (noise == "own" && lr < 0.3) base = 1 - base
  for (step = 1; step <= 2; step++) print "step=" step " val_loss=" lr / step + base * (1 + lr / 50)
  print "step=3 loss=1"
  print "test_acc=" 1 - lr
}'
"""
TEXT = """\
kind: ablation
question: Does a smaller rate help?
task: {command: [sh, program.sh, "${args.lr}", "${seed}", "${args.noise}"]}
args: {lr: 0.5, noise: shared}
budget: {steps: 3}
arms:
  as today: {}
  smaller: {args.lr: 0.25}
pairs: 4
metrics: {primary: val_loss, secondary: [test_acc], goal: minimize}
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analysis.report.page.write_pngs", lambda *arguments: "they were not requested")
    (tmp_path / "program.sh").write_text(PROGRAM)
    monkeypatch.chdir(tmp_path)


def train(text: str = TEXT, more: int = 0) -> Evidence:
    options = Options("sqlite:///sweeps.db", local=True)
    with Path("out.txt").open("a") as out:
        console = open_console(out, width=200)
        code = ablate(parse_ablation(text, "a.yaml", "toy"), options, console, time.monotonic(), more, Path("report"))
    assert code == exit_codes.DONE, Path("out.txt").read_text()
    return read_evidence("sqlite:///sweeps.db", "toy")


def test_pairs_share_the_seed_and_the_report_says_what_that_achieved() -> None:
    evidence = train()
    found = ablation_findings(evidence)
    [claim] = found.claims
    assert claim.comparison is not None
    assert claim.comparison.rho == pytest.approx(1.0, abs=0.001)
    assert claim.comparison.delta == pytest.approx(-0.125, abs=0.01)  # at step 2, the last that has a value
    assert claim.verdict is Verdict.BETTER
    with Store("sqlite:///sweeps.db") as store:
        row = store.sweep("toy")
        assert row is not None
        assert store.final_metrics(row.id) == evidence.finals
    seeds = [run.seed for run in evidence.runs]
    assert seeds[::2] == seeds[1::2]
    said = "\n".join(found.caveats)
    assert "share the seed that the command was given" in said
    assert "have a correlation of 1.00, so pairing narrows its interval" in said
    assert "fingerprint" not in said
    [secondary] = found.secondary
    assert (secondary.metric, secondary.delta) == ("test/acc", pytest.approx(0.25))


def test_a_report_of_a_command_has_no_calibration() -> None:
    parts = sections(ablation_findings(train()))
    assert [part.number for part in parts] == list(range(12))
    assert not any("Calibration" in part.title for part in parts)
    assert (Path("report") / "ablation.yaml").read_text().count("args: {") == 1


def test_a_report_of_a_command_has_its_arguments_and_its_unit() -> None:
    found = ablation_findings(train())
    written = json.loads((Path("report") / "report.json").read_text())
    assert written["runs"][1]["recipe"] == {"args": {"lr": 0.25, "noise": "shared"}, "budget": {"steps": 3}}
    head, *lines = (Path("report") / "runs.csv").read_text().splitlines()
    columns = head.split(",")
    assert columns[columns.index("error") + 1 :] == ["budget.steps", "args.lr", "args.noise"]
    assert len(lines) == len(found.runs)
    page = (Path("report") / "report.md").read_text()
    assert "24 steps" in page
    assert "by step (matched)" in page
    assert "with these arguments, on this val set" in page
    for word in ("optimizer", "epoch", "recipe"):
        assert word not in page.replace("best recipe", ""), word


def test_pairing_that_does_not_help_is_said_in_words() -> None:
    evidence = train(TEXT.replace("noise: shared", "noise: own"))
    [claim] = claims(evidence)
    assert claim.comparison is not None
    assert claim.comparison.rho is not None
    assert claim.comparison.rho < 0.2
    assert any(
        "pairing did not help, and its interval is as wide as that of unpaired runs" in one
        for one in caveats(evidence, [claim])
    )


def test_a_command_without_the_seed_shares_nothing() -> None:
    evidence = train(TEXT.replace('"${seed}"', '"1"'))
    said = caveats(evidence, claims(evidence))
    assert any("takes no ${seed}, so its runs differ by chance" in one for one in said)


def test_pairs_are_added_to_what_is_there() -> None:
    before = train()
    evidence = train(more=2)
    assert before.pairs == 4
    assert evidence.spec.pairs == 6
    assert 4 < evidence.pairs <= 6  # the e-process may stop before the last
    assert evidence.runs[: len(before.runs)] == before.runs
    [claim] = claims(evidence)
    assert claim.comparison is not None
    assert claim.comparison.n == evidence.pairs


@pytest.mark.slow
def test_a_killed_driver_ends_in_the_same_pairs(tmp_path: Path) -> None:
    """The re-tuned design, so that the choice of the winners is read back from the database, too."""
    text = TEXT.replace("pairs: 4", "pairs: 2\nsearch: {args.lr: {uniform: [0.1, 1]}}")
    text += "retune: {runs: 2, over: [args.lr]}\n"
    (tmp_path / "toy.yaml").write_text(text)
    (tmp_path / "program.sh").write_text(f"{PROGRAM}\nsleep 0.3\n")

    def command(name: str) -> list[str]:
        place = ["--storage", f"sqlite:///{name}.db", "--to", name, "--local"]
        return [str(Path(sys.executable).with_name("sweeps")), "ablate", "toy.yaml", *place]

    subprocess.run(command("whole"), check=True, capture_output=True)
    for most in (2, 7):
        child = subprocess.Popen(command("killed"), stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        while child.poll() is None and _ended("killed") < most:
            time.sleep(0.05)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    done = subprocess.run(command("killed"), capture_output=True, text=True)
    assert done.returncode == exit_codes.DONE, done.stdout + done.stderr
    whole, killed = (Path(name, "pairs.csv").read_text() for name in ("whole", "killed"))
    assert killed == whole
    exported = [str(Path(sys.executable).with_name("sweeps")), "export", "toy", "--storage", "sqlite:///killed.db"]
    subprocess.run([*exported, "--to", "exported"], check=True, capture_output=True)
    assert "args.lr" in Path("exported", "runs.csv").read_text().splitlines()[0]


def _ended(name: str) -> int:
    try:
        return len(rows(f"sqlite:///{name}.db", "SELECT number FROM run WHERE state = 'COMPLETE'"))
    except Exception:  # noqa: BLE001  there are no tables yet
        return 0
