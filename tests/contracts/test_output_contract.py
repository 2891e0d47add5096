"""What runs print is kept with every runner, on every database, however they end."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.load import output_frame, output_lines
from search_spaces import Asha, Budget, Choice, LogUniform, Metric, NoStopping, Recipe, Sampler, SpaceSpec
from search_spaces.specs.command_task import CommandTask
from sweeps.engine.conductor import Conductor
from sweeps.run_state import RunState
from sweeps.runners.runner import Runner
from tests.contracts.test_runner_contract import loops, ray_runner, run, runner  # noqa: F401  fixtures
from tests.fakes import space

TALK = """
import os, subprocess, sys

def talk(config, seed, state=None):
    at = 0 if state is None else state["epoch"]
    while True:
        at += 1
        print("epoch", at)
        sys.stderr.write("  0%\\r100%\\n")
        yield {"val/accuracy": config["optimizer"]["lr"]}, {"epoch": at}

def raising(config, seed, state=None):
    for metrics, state in talk(config, seed, state):
        if state["epoch"] == 2:
            raise ValueError("enough")
        yield metrics, state

def dying(config, seed, state=None):
    for metrics, state in talk(config, seed, state):
        if state["epoch"] == 2:
            subprocess.run(["echo", "of a child"])
            os._exit(3)
        yield metrics, state
"""


def talking(loop: str, **changes: object) -> SpaceSpec:
    parts = {"search": {"optimizer.lr": LogUniform(1e-5, 1e-1)}, "early_stopping": NoStopping(), "runs": 3}
    return space(task=f"contract_talk:{loop}", **(parts | changes))


def lines(url: str, number: int) -> list[str]:
    return output_lines(output_frame(url, "toy", number))


@pytest.fixture
def talk(loops: str) -> str:  # noqa: F811
    (Path(loops) / "contract_talk.py").write_text(TALK)
    return loops


def epochs(count: int) -> list[str]:
    return [line for epoch in range(1, count + 1) for line in (f"epoch {epoch}", "100%")]


def test_all_runs_keep_what_they_printed(runner: Runner, database_url: str, talk: str, tmp_path: Path) -> None:  # noqa: F811
    conductor = run(runner, talking("talk"), database_url, talk, tmp_path)
    assert {one.state for one in conductor.runs} == {RunState.COMPLETE}
    assert [lines(database_url, number) for number in range(3)] == [epochs(9)] * 3


def test_a_stopped_run_keeps_what_it_printed(runner: Runner, sqlite_url: str, talk: str, tmp_path: Path) -> None:  # noqa: F811
    spec = talking("talk", early_stopping=Asha(grace_epochs=1, reduction_factor=3), runs=6)
    conductor = run(runner, spec, sqlite_url, talk, tmp_path)
    assert RunState.STOPPED in {one.state for one in conductor.runs}
    assert [lines(sqlite_url, one.number) for one in conductor.runs] == [epochs(one.epoch) for one in conductor.runs]


def test_a_command_that_is_stopped_keeps_its_last_words(
    runner: Runner,  # noqa: F811
    sqlite_url: str,
    talk: str,
    tmp_path: Path,
) -> None:
    """It prints them when it gets SIGTERM, after the report at which it is stopped."""
    text = "trap 'echo last words; exit 3' TERM; for n in 1 2 3; do echo epoch=$n val/loss=$2; sleep 0.6; done"
    changed = {
        "task": CommandTask(command=("sh", "-c", text, "x", "${args}")),
        "recipe": Recipe(args={"loss": 0.1}, budget=Budget(epochs=3)),
        "search": {"args.loss": Choice([0.1, 0.2, 0.3, 0.4])},
        "metric": Metric(name="val/loss", goal="minimize"),
        "sampler": Sampler(kind="grid"),
        "runs": 4,
    }
    spec = space(**changed, early_stopping=Asha(grace_epochs=1, reduction_factor=3))
    conductor = run(runner, spec, sqlite_url, talk, tmp_path)
    stopped = [one.number for one in conductor.runs if one.state is RunState.STOPPED]
    assert stopped
    for number in stopped:
        *_, words, end = lines(sqlite_url, number)
        assert words == "last words"
        assert end.startswith("stopped by SIGTERM after")


def test_a_failed_run_keeps_what_it_printed(runner: Runner, database_url: str, talk: str, tmp_path: Path) -> None:  # noqa: F811
    conductor = run(runner, talking("raising", runs=2), database_url, talk, tmp_path)
    assert {one.state for one in conductor.runs} == {RunState.FAILED}
    assert all(one.printed for one in conductor.runs)
    assert [lines(database_url, number) for number in range(2)] == [epochs(2)] * 2


@pytest.mark.slow
def test_a_dead_worker_leaves_what_it_printed(
    ray_runner: Runner,  # noqa: F811
    database_url: str,
    talk: str,
    tmp_path: Path,
) -> None:
    conductor: Conductor = run(ray_runner, talking("dying", runs=1), database_url, talk, tmp_path)
    assert conductor.runs[0].state is RunState.FAILED
    attempt = [*epochs(2), "of a child"]
    found = lines(database_url, 0)
    assert found == [*attempt, "--- attempt 2 ---", *attempt, "--- attempt 3 ---", *attempt]


def test_a_command_is_kept_with_its_output_and_its_end(
    runner: Runner,  # noqa: F811
    database_url: str,
    talk: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    program = "for n in 1 2 3; do echo epoch=$n val/loss=0.5; done; echo $2 >> starts; exit $2"
    words = ("sh", "-c", f"cd '{tmp_path}'; {program}", "x", "${args}")
    changed = {
        "task": CommandTask(command=words),
        "recipe": Recipe(args={"n": 0}, budget=Budget(epochs=3)),
        "search": {"args.n": Choice([2, 3])},
        "metric": Metric(name="val/loss", goal="minimize"),
        "sampler": Sampler(kind="grid"),
        "runs": 2,
    }
    spec = space(**changed, early_stopping=NoStopping())
    conductor = run(runner, spec, database_url, talk, tmp_path)
    printed = [f"epoch={epoch} val/loss=0.5" for epoch in (1, 2, 3)]
    for one in conductor.runs:
        command, *output, end = lines(database_url, one.number)
        assert command.endswith(f"x --n {one.recipe.args['n']}")
        assert output == printed
        assert end == f"exit code {one.recipe.args['n']}"
        assert one.epoch == 3
    # A program that fails after its whole budget has failed: its last checkpoint may be missing.
    assert [one.state for one in conductor.runs] == [RunState.COMPLETE, RunState.FAILED]
    code = conductor.runs[1].recipe.args["n"]
    assert conductor.runs[1].error == "\n".join(
        [*printed, f"the command ended: exit code {code}; its last line: {printed[-1]}"]
    )
    starts = (tmp_path / "starts").read_text().split()
    assert sorted(starts) == sorted(
        str(one.recipe.args["n"]) for one in conductor.runs
    )  # Tune may use one actor of two
    assert "val/loss" not in capfd.readouterr().out
