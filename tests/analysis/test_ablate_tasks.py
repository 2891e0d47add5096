"""Ablations of several tasks, trained: stored per task, continued after an interrupt, reported and listed together."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from analysis import ablate as module
from analysis.ablate import ablate_tasks
from analysis.ablation.evidence import stored_members
from analysis.load import runs_of
from analysis.report.present import kind_of, present
from search_spaces import AblationSpec, Overrides, UsageError, load_ablations
from sweeps import exit_codes
from sweeps.console.output import open_console
from sweeps.driver.driver import drive
from sweeps.driver.work import Options, Work
from tests.command import in_this_process

TEXT = """
kind: ablation
question: Does it help?
tasks: [vision_scratch, mnist1d_logistic]
recipe: {budget: {epochs: 1, batch_size: 512}}
arms:
  plain: {}
  smoothed: {regularization.label_smoothing: 0.1}
pairs: 2
metrics: {primary: test/nll, goal: minimize, margin: 0.02}
"""


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser that draws the report's pictures takes longer than these trainings."""
    monkeypatch.setattr("analysis.report.page.write_pngs", lambda *arguments: "they were not requested")


def specs_of(folder: Path, *changes: tuple[str, str], **options: str) -> tuple[AblationSpec, ...]:
    text = TEXT
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    (folder / "many.yaml").write_text(text)
    return load_ablations(str(folder / "many.yaml"), folder, Overrides(**options))


def train(url: str, folder: Path, specs: tuple[AblationSpec, ...]) -> tuple[int, str]:
    with (folder / "out.txt").open("w+") as out:
        console = open_console(out, width=200)
        code = ablate_tasks(specs, Options(url, local=True), console, time.monotonic(), folder / "report")
        out.seek(0)
        return code, out.read()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[int, str]], list[bool]]:
    """Train two tasks, interrupted before the second, and continue.

    Returns:
        The folder, the exit code and output of each command, and whether there was a report after it.
    """
    folder = tmp_path_factory.mktemp("many")
    url, specs = f"sqlite:///{folder / 'sweeps.db'}", specs_of(folder)

    def interrupted(work: Work, options: Options, *more: object) -> int:
        if work.spec.name == "many.mnist1d_logistic":
            return exit_codes.INTERRUPTED
        return drive(work, options, *more)  # type: ignore[arg-type]

    results, reports = [], []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("analysis.report.page.write_pngs", lambda *arguments: "they were not requested")
        patch.setattr(module, "drive", interrupted)
        results.append(train(url, folder, specs))
        reports.append((folder / "report").exists())
        patch.setattr(module, "drive", drive)
        results.append(train(url, folder, specs))
        reports.append((folder / "report").exists())
    return folder, results, reports


Trained = tuple[Path, list[tuple[int, str]], list[bool]]


def test_the_same_command_continues(trained: Trained) -> None:
    folder, results, reports = trained
    assert [code for code, _ in results] == [exit_codes.INTERRUPTED, exit_codes.DONE]
    assert reports == [False, True]
    assert "ablation 'many.vision_scratch' is complete: nothing to train" in results[1][1]
    url = f"sqlite:///{folder / 'sweeps.db'}"
    assert stored_members(url, "many") == ("many.vision_scratch", "many.mnist1d_logistic")
    assert [len(runs_of(url, name)) for name in stored_members(url, "many")] == [4, 4]
    assert {run.attempts for name in stored_members(url, "many") for run in runs_of(url, name)} == {1}


def test_the_terminal_names_both_populations_and_every_task(trained: Trained) -> None:
    text = " ".join(trained[1][1][1].split())
    assert "task 1 of 2: vision_scratch" in text
    assert "ver these 2 tasks, the mean difference in log test NLL, 'smoothed' minus 'plain', is " in text
    assert "For tasks like these: no statement, which needs at least 3 tasks." in text
    assert f"report {trained[0] / 'report' / 'index.html'}" in text


def test_the_report_has_a_folder_for_each_task(trained: Trained) -> None:
    folder = trained[0] / "report"
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    own = {"index.html", "report.md", "pairs.csv", "report.json"}
    assert names >= {*own, "effects.csv"}
    assert names >= {f"{task}/{name}" for task in ("vision_scratch", "mnist1d_logistic") for name in own}
    data = json.loads((folder / "report.json").read_text())
    assert data["scale"] == "log ratio"
    assert [one["task"] for one in data["claims"][0]["tasks"]] == ["vision_scratch", "mnist1d_logistic"]
    assert [row["group"] for row in data["compute"]] == ["vision_scratch", "mnist1d_logistic", "all"]


def test_the_report_is_the_same_each_time(trained: Trained, tmp_path: Path) -> None:
    url = f"sqlite:///{trained[0] / 'sweeps.db'}"
    assert kind_of(url, "many") == "tasks"
    with (tmp_path / "out.txt").open("w") as out:
        present(url, "many", open_console(out), tmp_path / "again")
    for name in ("index.html", "report.json", "pairs.csv", "vision_scratch/report.json"):
        assert (tmp_path / "again" / name).read_bytes() == (trained[0] / "report" / name).read_bytes()


def test_the_commands_that_read_know_the_group(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command, where = in_this_process(monkeypatch, capsys), ("--storage", f"sqlite:///{trained[0] / 'sweeps.db'}")
    listed = command("list", *where).out
    assert [line.split()[0] for line in listed.splitlines()[1:]] == [
        "many",
        "many.vision_scratch",
        "many.mnist1d_logistic",
    ]
    assert "2 tasks" in listed
    assert "8/8" in listed
    status = json.loads(command("status", "many", "--json", *where).out)
    assert [(one["name"], one["group"], one["finished"]) for one in status] == [
        ("many.vision_scratch", "many", 4),
        ("many.mnist1d_logistic", "many", 4),
    ]
    shown = command("show", "many", *where)
    assert shown.code == exit_codes.USAGE
    assert (
        "'many' is an ablation of several tasks; name one of them: many.vision_scratch, many.mnist1d_logistic"
        in shown.err
    )
    assert command("export", "many", "--to", str(tmp_path / "out"), *where).code == 0
    assert (tmp_path / "out" / "mnist1d_logistic" / "runs.csv").exists()


def test_other_tasks_under_the_same_name_are_refused(trained: Trained, tmp_path: Path) -> None:
    url = f"sqlite:///{trained[0] / 'sweeps.db'}"
    specs = specs_of(tmp_path, ("mnist1d_logistic]", "mnist1d_logistic, finetune]"))
    with pytest.raises(UsageError, match=r"group.tasks: \[vision_scratch, mnist1d_logistic\] -> "):
        train(url, tmp_path, specs)
    assert stored_members(url, "many") == ("many.vision_scratch", "many.mnist1d_logistic")


def test_the_name_of_a_sweep_is_taken(trained: Trained, tmp_path: Path) -> None:
    url = f"sqlite:///{trained[0] / 'sweeps.db'}"
    specs = specs_of(tmp_path, name="many.vision_scratch")
    with pytest.raises(UsageError, match=r"the database holds the ablation 'many\.vision_scratch': choose another"):
        train(url, tmp_path, specs)


def test_pairs_are_not_added_to_several_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    specs_of(tmp_path)
    command = in_this_process(monkeypatch, capsys)
    done = command("ablate", str(tmp_path / "many.yaml"), "--add-pairs", "2", "--local")
    assert done.code == exit_codes.USAGE
    assert "--plan and --add-pairs take an ablation of one task, not of several" in done.err
