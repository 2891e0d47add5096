"""An ablation between two commits of a script, and a patch: trained, reported, killed and continued."""

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
from analysis.ablation.evidence import read_evidence
from analysis.ablation.findings import ablation_findings
from analysis.report.ablation.sections import sections
from search_spaces import UsageError, parse_ablation
from sweeps import exit_codes
from sweeps.changes import recorded_arms
from sweeps.console.output import open_console
from sweeps.driver.work import Options
from tests.fakes import rows
from tests.repository import commit, git

ROOT = Path(__file__).parents[2]
# The loss depends on the seed alike in every version; only the factor differs.
SCRIPT = """\
import sys, time, helper
lr, seed = float(sys.argv[1]), int(sys.argv[2])
for step in (1, 2):
    time.sleep(0.1)
    print(f"step={step} val_loss={helper.factor * lr / step + seed % 1000 / 1000}", flush=True)
"""
TEXT = """\
kind: ablation
question: Does the new factor help?
task: {command: [python, train.py, "${args.lr}", "${seed}"]}
args: {lr: 0.5}
budget: {steps: 2}
arms:
  main: {rev: main}
  change: {rev: HEAD}
  patched: {patch: my.diff}
  as it is: {rev: WORKTREE, args.lr: 0.25}
pairs: 3
metrics: {primary: val_loss, goal: minimize}
"""
SWEEPS = str(Path(sys.executable).with_name("sweeps"))
URL = "sqlite:///toy.db"
COMMAND = [SWEEPS, "ablate", "toy.yaml", "--local", "--storage", URL, "--to", "report"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of a repository with two commits on two branches, a patch, and an uncommitted change."""
    place = tmp_path / "experiments"
    place.mkdir()
    git(tmp_path, "init", "--quiet", "--initial-branch", "main")
    for branch, factor in (("main", 1.0), ("change", 0.5)):
        if branch != "main":
            git(tmp_path, "checkout", "--quiet", "-b", branch)
        (place / "train.py").write_text(SCRIPT)
        (place / "helper.py").write_text(f"factor = {factor}\n")
        commit(tmp_path, branch)
    (place / "helper.py").write_text("factor = 0.1\n")
    (place / "my.diff").write_text(git(tmp_path, "diff") + "\n")
    (place / "helper.py").write_text("factor = 4.0\n")
    (place / "toy.yaml").write_text(TEXT)
    monkeypatch.chdir(place)
    monkeypatch.setattr("analysis.report.page.write_pngs", lambda *arguments: "they were not requested")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


def ended() -> int:
    try:
        return len(rows(URL, "SELECT number FROM run WHERE state = 'COMPLETE'"))
    except Exception:  # noqa: BLE001  there are no tables yet
        return 0


def continued() -> str:
    """Continue the ablation in this process, without pictures; return what it prints."""
    spec, options = parse_ablation(Path("toy.yaml").read_text(), "toy.yaml", "toy"), Options(URL, local=True)
    with Path("out.txt").open("w") as out:
        code = ablate(spec, options, open_console(out, width=200), time.monotonic(), 0, Path("report"))
    assert code == exit_codes.DONE, Path("out.txt").read_text()
    return Path("out.txt").read_text()


@pytest.mark.slow
def test_two_commits_are_compared_and_a_killed_driver_keeps_them(folder: Path) -> None:
    commits = {name: git(folder, "rev-parse", name) for name in ("main", "change")}
    with subprocess.Popen(COMMAND, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT) as driver:
        while driver.poll() is None and ended() < 3:
            time.sleep(0.05)
        os.kill(driver.pid, signal.SIGKILL)
    Path("train.py").write_text(SCRIPT.replace("/ step", "* 9"))
    git(folder, "commit", "--quiet", "-m", "another idea", "experiments/train.py")
    moved = git(folder, "rev-parse", "HEAD")
    Path("train.py").write_text(SCRIPT)  # the files as they are did not change for the arm that runs them
    said = continued()
    assert f"arm 'change': HEAD is {moved[:12]} by now; its runs keep {commits['change'][:12]}" in said
    evidence = read_evidence(URL, "toy")
    deltas = {
        one.contrast.name: None if one.comparison is None else one.comparison.delta
        for one in ablation_findings(evidence).claims
    }
    # The loss of the control is 1.0 * 0.5 / 2 at the last step.
    assert deltas == pytest.approx({"change": -0.125, "patched": -0.225, "as it is": 0.25})
    code = recorded_arms(evidence.provenance)
    assert {name: one.commit for name, one in code.items()} == {
        "main": commits["main"],
        "change": commits["change"],
        "patched": commits["change"],
    }
    assert code["patched"].patch == Path("my.diff").read_text()
    seeds = [run.seed for run in evidence.runs]
    assert len(set(seeds[:4])) == 1
    findings = ablation_findings(evidence)
    assert any("have a correlation of 1.00" in one for one in findings.caveats)
    shown = str(sections(findings)[0])
    assert f"commit {commits['main'][:12]} (main)" in shown
    assert f"commit {commits['change'][:12]} (HEAD) with my.diff" in shown
    [control, *_] = json.loads(Path("report/report.json").read_text())["arms"]
    assert control["settings"] == [f"commit {commits['main'][:12]} (main)"]


def test_a_bad_revision_starts_nothing(folder: Path) -> None:
    assert folder
    Path("toy.yaml").write_text(TEXT.replace("rev: main", "rev: mian"))
    with pytest.raises(UsageError) as error:
        continued()
    [line] = str(error.value).splitlines()
    assert line.startswith("arms.main.rev: must be a revision that git knows, found mian")
    assert rows(URL, "SELECT number FROM run") == []
