"""The command line: exit codes, and what is printed to which stream."""

from __future__ import annotations

import csv
import json
import re
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
import typer

from sweeps.cli import app
from tests.command import Answer, in_this_process

SWEEPS = str(Path(sys.executable).with_name("sweeps"))
COMMANDS = ("run", "list", "status", "show", "export", "dashboard")

LOOP = '''
import math, time

def train(config, seed, state=None):
    """Best near lr 1e-2; a large custom.pause makes it slow."""
    for epoch in range(1, config["budget"]["epochs"] + 1):
        time.sleep(config["custom"]["pause"])
        plateau = math.exp(-((math.log10(config["optimizer"]["lr"]) + 2) ** 2))
        yield {"val/accuracy": plateau * (1 - 0.6 ** epoch)}

def broken(config, seed, state=None):
    print("trying", "[b]lr[/b]")
    raise RuntimeError("nothing works")
    yield
'''
SPACE = """
kind: sweep
task: cli_loops:train
metric: {name: val/accuracy, goal: maximize}
recipe:
  optimizer: {kind: adamw, lr: 1e-3}
  budget: {epochs: 9}
  custom: {pause: 0.0}
search:
  optimizer.lr: {loguniform: [1e-5, 1e-1]}
  schedule.warmup: {uniform: [0.0, 0.3]}
sampler: {kind: random, seed: 0}
runs: 5
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create a user's folder with a finished sweep `toy`."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "cli_loops.py").write_text(LOOP)
    (folder / "toy.yaml").write_text(SPACE)
    done = process(folder, "run", "toy.yaml", "--local")
    assert done.code == 0, done.text
    (folder / "first.txt").write_text(done.out)
    return folder


def process(folder: Path, *arguments: str) -> Answer:
    """Run the command as its own process."""
    done = subprocess.run([SWEEPS, *arguments], cwd=folder, capture_output=True, text=True, timeout=60)
    return Answer(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def sweeps(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Return a function that runs the command in this process, in the folder of `project`."""
    monkeypatch.chdir(project)
    return in_this_process(monkeypatch, capsys)


# --- help -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(sweeps, command: str) -> None:
    answer = sweeps(command, "--help")
    assert answer.code == 0
    assert f"Example: sweeps {command}" in answer.out


def test_the_first_page_names_every_command(sweeps) -> None:
    answer = sweeps("--help")
    assert answer.code == 0
    assert all(re.search(rf"\b{command}\b", answer.out) for command in COMMANDS)


# --- run --------------------------------------------------------------------------------------------------------


def test_the_summary_shows_the_result(project: Path) -> None:
    text = (project / "first.txt").read_text()
    assert "5 of 5" in text
    assert re.search(r"best +run \d: val/accuracy 0\.\d+", text)
    assert "sweeps show toy" in text


def test_the_second_command_trains_nothing(sweeps) -> None:
    before = json.loads(sweeps("show", "toy", "--json").out)
    answer = sweeps("run", "toy.yaml", "--local")
    assert answer.code == 0
    assert "is complete: nothing to train" in answer.out
    assert json.loads(sweeps("show", "toy", "--json").out) == before


def test_more_runs_extend_and_keep_the_others(sweeps, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'mine.db'}"
    settings = ("--set", "budget.epochs=3", "--seed", "7", "--name", "mine", "--storage", url, "--local")
    assert sweeps("run", "toy.yaml", "--runs", "3", *settings).code == 0
    first = json.loads(sweeps("show", "mine", "--storage", url, "--json").out)
    assert len(first) == 3
    assert {run["recipe"]["budget"]["epochs"] for run in first} == {3}
    assert sweeps("run", "toy.yaml", "--runs", "4", *settings).code == 0
    second = {run["run"]: run for run in json.loads(sweeps("show", "mine", "--storage", url, "--json").out)}
    assert len(second) == 4
    assert all(second[run["run"]] == {**run, "checkpoint": second[run["run"]]["checkpoint"]} for run in first)


def test_a_set_field_is_fixed(sweeps, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'fixed.db'}"
    answer = sweeps("run", "toy.yaml", "--set", "optimizer.lr=0.01", "--runs", "2", "--storage", url, "--local")
    assert answer.code == 0, answer.text
    runs = json.loads(sweeps("show", "toy", "--storage", url, "--json").out)
    assert {run["recipe"]["optimizer"]["lr"] for run in runs} == {0.01}
    assert all(set(run["searched"]) == {"schedule.warmup"} for run in runs)


def test_no_complete_run_is_1(sweeps, tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text(SPACE.replace("cli_loops:train", "cli_loops:broken"))
    url = f"sqlite:///{tmp_path / 'broken.db'}"
    answer = sweeps("run", str(tmp_path / "broken.yaml"), "--storage", url, "--runs", "2", "--local")
    assert answer.code == 1
    assert "2 failed" in answer.out
    assert "sweeps show broken RUN" in answer.out
    assert "Traceback" not in answer.text
    one = sweeps("show", "broken", "1", "--storage", url)
    assert "RuntimeError: nothing works" in one.out
    assert "add --log" in answer.out
    assert "sweeps show broken 1 --log" in one.out
    log = sweeps("show", "broken", "1", "--log", "--storage", url)
    assert (log.code, log.out, log.err) == (0, "trying [b]lr[/b]\n", "")
    data = json.loads(sweeps("show", "broken", "1", "--log", "--json", "--storage", url).out)
    assert data["output"] == ["trying [b]lr[/b]"]
    assert sweeps("export", "broken", "--to", str(tmp_path / "out"), "--storage", url).code == 0
    with (tmp_path / "out" / "output.csv").open() as file:
        assert {row["text"] for row in csv.DictReader(file)} == {"trying [b]lr[/b]"}


def test_a_run_without_output_says_so(sweeps) -> None:
    answer = sweeps("show", "toy", "1", "--log")
    assert (answer.code, answer.out) == (0, "")
    assert answer.err.startswith("no output of run 1 is recorded: it printed nothing")


def test_a_task_that_cannot_be_prepared_is_2(sweeps, tmp_path: Path) -> None:
    (tmp_path / "absent.yaml").write_text(SPACE.replace("cli_loops:train", "cli_lops:train"))
    url = f"sqlite:///{tmp_path / 'absent.db'}"
    answer = sweeps("run", str(tmp_path / "absent.yaml"), "--storage", url, "--local")
    assert answer.code == 2
    assert "cli_lops" in answer.err
    assert "Traceback" not in answer.text


def test_an_interrupted_sweep_is_130_and_continues(sweeps, project: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'slow.db'}"
    arguments = ("run", "toy.yaml", "--storage", url, "--runs", "2", "--set", "custom.pause=0.3", "--local")
    driver = subprocess.Popen(
        [SWEEPS, *arguments], cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    deadline = time.monotonic() + 60
    while epochs(url) < 1 and driver.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    driver.send_signal(signal.SIGINT)
    text, _ = driver.communicate(timeout=30)
    assert driver.returncode == 130, text
    assert "stopping: waiting for the steps that run now" in text
    assert "Traceback" not in text
    state = json.loads(sweeps("status", "toy", "--storage", url, "--json").out)
    assert state["driver"] is None
    assert state["states"].get("RUNNING", 0) == 0
    assert sweeps(*arguments).code == 0


def epochs(url: str) -> int:
    """Return the number of recorded epochs; 0 while there are no tables."""
    path = url.removeprefix("sqlite:///")
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT count(*) FROM epoch_metric").fetchone()[0])
    return 0


@pytest.mark.parametrize("signals", [1, 2])
def test_signals_while_a_command_starts_are_one_line(
    signals: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def start() -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            for _ in range(signals - 1):
                signal.raise_signal(signal.SIGINT)

    one = typer.Typer()
    one.command()(start)
    monkeypatch.setattr(app, "app", one)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        answer = in_this_process(monkeypatch, capsys)()
    finally:
        signal.signal(signal.SIGINT, before)
    assert (answer.code, answer.out, answer.err) == (130, "", "interrupted; the same command continues\n")


# --- mistakes ---------------------------------------------------------------------------------------------------

SIX_MISTAKES = """
kind: sweep
task: mnist1d_transfer
metric: {name: test/accuracy, goal: maximize}
recipe:
  optimizer: {kind: adamw, lrate: 1e-3}
  schedule: {kind: cosine, warmup: 3.0}
  budget: {epochs: 0}
search:
  optimizer.lr: {loguniform: [1e-1, 1e-5]}
sampler: {kind: magic}
runs: 8
"""


def test_six_mistakes_are_six_lines(tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(SIX_MISTAKES)
    began = time.monotonic()
    answer = process(tmp_path, "run", "wrong.yaml")
    wall = time.monotonic() - began
    print(f"six mistakes: {wall:.2f} s")
    lines = answer.err.splitlines()
    assert (answer.code, answer.out, len(lines)) == (2, "", 6), answer.text
    assert all(re.match(r"wrong\.yaml:\d+: ", line) for line in lines)
    for line, field in zip(
        lines,
        ("metric.name", "optimizer.lrate", "schedule.warmup", "budget.epochs", "optimizer.lr", "sampler.kind"),
        strict=True,
    ):
        assert field in line
    assert not (tmp_path / "runs").exists()
    assert wall < 5


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("run", "finetun"), "finetune"),
        (("run", "no/such.yaml"), "no/such.yaml"),
        (("run", "finetune", "--set", "budget.epoch=9"), "did you mean budget.epochs"),
        (("run", "finetune", "--set", "nonsense"), "--set"),
        (("run", "finetune", "--runs", "0"), "--runs"),
        (("run", "finetune", "--runs", "many"), "--runs"),
        (("run", "finetune", "--seed", "-1"), "--seed"),
        (("run", "finetune", "--name", "../up"), "name"),
        (("run", "finetune", "--storage", "nonsense"), "--storage"),
        (("run", "finetune", "--storage", "mysql://localhost/x"), "--storage"),
        (("run", "finetune", "--storage", "sqlite://"), "--storage"),
        (("run", "finetune", "--storage", "sqlite:////proc/no/x.db"), "--storage"),
        (("show", "tox"), "did you mean toy"),
        (("show", "toy", "99"), "runs 0 to 4"),
        (("show", "toy", "--log"), "sweeps show toy RUN --log"),
        (("status", "tox"), "did you mean toy"),
        (("export", "tox"), "did you mean toy"),
        (("list", "--storage", "sqlite:///absent.db"), "absent.db"),
        (("dashboard", "--storage", "sqlite:///absent.db"), "absent.db"),
        (("dashboard", "--port", "99999"), "--port"),
        (("nonsense",), "nonsense"),
    ],
    ids=" ".join,
)
def test_a_mistake_is_2_with_a_reason_and_no_traceback(sweeps, arguments: tuple[str, ...], says: str) -> None:
    answer = sweeps(*arguments)
    assert answer.code == 2, answer.text
    assert says in answer.err
    assert "Traceback" not in answer.text
    assert not Path("absent.db").exists()


def test_a_changed_space_is_refused_with_the_difference(sweeps, project: Path, tmp_path: Path) -> None:
    other = tmp_path / "toy.yaml"
    other.write_text(SPACE.replace("lr: 1e-3", "lr: 2e-3").replace("[0.0, 0.3]", "[0.0, 0.2]"))
    answer = sweeps("run", str(other), "--local")
    assert answer.code == 2
    assert "is stored with another file" in answer.err
    assert "continue the old sweep with its file and options (--set, --seed)" in answer.err
    for part in ("optimizer.lr", "0.001", "0.002", "warmup", "--name"):
        assert part in answer.err
    assert json.loads(sweeps("status", "toy", "--json").out)["planned"] == 5


def test_the_command_without_runs_continues_what_an_option_asked_for(sweeps, tmp_path: Path) -> None:
    storage = ("--local", "--storage", f"sqlite:///{tmp_path}/more.db")
    assert sweeps("run", "toy.yaml", "--runs", "6", *storage).code == 0
    again = sweeps("run", "toy.yaml", *storage)
    assert again.code == 0, again.text
    assert "is complete: nothing to train" in again.out
    assert json.loads(sweeps("status", "toy", "--json", *storage[1:]).out)["planned"] == 6


def test_the_error_of_an_unreachable_server_hides_the_password(tmp_path: Path) -> None:
    url = "postgresql+psycopg://me:hunter2@127.0.0.1:9/sweeps"
    for arguments in (("run", "finetune", "--local"), ("list",), ("dashboard",)):
        answer = process(tmp_path, *arguments, "--storage", url)
        assert answer.code in (1, 2), answer.text
        assert answer.err
        assert "hunter2" not in answer.text
        assert "Traceback" not in answer.text


# --- reading ----------------------------------------------------------------------------------------------------


def test_list(sweeps) -> None:
    assert "toy" in sweeps("list").out
    [found] = json.loads(sweeps("list", "--json").out)
    assert (found["name"], found["planned"], found["finished"], found["driver"]) == ("toy", 5, 5, None)


def test_status(sweeps) -> None:
    answer = sweeps("status", "toy")
    assert answer.code == 0
    assert "5 of 5 finished" in answer.out
    found = json.loads(sweeps("status", "toy", "--json").out)
    assert sum(found["states"].values()) == 5
    assert found["best"]["value"] >= found["baseline"]["value"]
    assert [rung["epoch"] for rung in found["rungs"]] == [1, 3]
    assert json.loads(sweeps("status", "--json").out) == [found]


def test_show(sweeps) -> None:
    runs = json.loads(sweeps("show", "toy", "--json").out)
    best = runs[0]
    assert best["state"] == "COMPLETE"
    text = sweeps("show", "toy").out
    assert all(state.lower() in text for state in {run["state"] for run in runs})
    one = json.loads(sweeps("show", "toy", str(best["run"]), "--json").out)
    assert one["curve"]["val/accuracy"]["9"] == best["value"]
    assert "optimizer.lr" in sweeps("show", "toy", str(best["run"])).out


def test_export(sweeps, tmp_path: Path) -> None:
    answer = sweeps("export", "toy", "--to", str(tmp_path / "out"))
    assert answer.code == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "runs.csv",
        "epochs.csv",
        "space.yaml",
        "best.yaml",
        "usage.csv",
    }
    with (tmp_path / "out" / "runs.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 5
    assert str(tmp_path / "out" / "best.yaml") in answer.out.replace("\n", "")
