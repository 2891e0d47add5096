from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces.command.inputs import RunInputs
from trainers.command.environment import inherited_environment, run_environment, variable, variable_problems

ARGS = {"lr": 1e-3, "weight-decay": -1e-5, "optimizer.betas": [0.9, 0.99], "-x": True, "name": 'a "b"\n', "none": None}


def test_the_variables_of_a_run() -> None:
    inputs = RunInputs(ARGS, seed=7, out="/runs/a b", run=3, steps=3000, config="/c.yaml", resume=True)
    assert run_environment({"PATH": "/bin"}, inputs) == {
        "PATH": "/bin",
        "SWEEPS_ARGS": json.dumps(ARGS),
        "SWEEPS_ARG_LR": "0.001",
        "SWEEPS_ARG_WEIGHT_DECAY": "-0.00001",
        "SWEEPS_ARG_OPTIMIZER_BETAS": "0.9,0.99",
        "SWEEPS_ARG_X": "true",
        "SWEEPS_ARG_NAME": 'a "b"\n',
        "SWEEPS_CONFIG": "/c.yaml",
        "SWEEPS_OUT": "/runs/a b",
        "SWEEPS_RUN": "3",
        "SWEEPS_SEED": "7",
        "SWEEPS_STEPS": "3000",
        "SWEEPS_RESUME": "1",
    }


def test_variables_of_another_run_are_not_inherited() -> None:
    old = RunInputs({"lr": 1, "gone": 2}, seed=0, out="o", run=0, steps=1, config="c", resume=True)
    inherited = {**run_environment({}, old), "SWEEPS_CACHE": "/cache"}
    new = RunInputs({"lr": None}, seed=1, out="p", run=1, epochs=2)
    assert run_environment(inherited, new) == {
        "SWEEPS_CACHE": "/cache",
        "SWEEPS_ARGS": '{"lr": null}',
        "SWEEPS_EPOCHS": "2",
        "SWEEPS_OUT": "p",
        "SWEEPS_RUN": "1",
        "SWEEPS_SEED": "1",
        "SWEEPS_RESUME": "0",
    }


@pytest.mark.parametrize(
    ("argument", "name"),
    [
        ("lr", "SWEEPS_ARG_LR"),
        ("weight-decay", "SWEEPS_ARG_WEIGHT_DECAY"),
        ("--weight_decay", "SWEEPS_ARG_WEIGHT_DECAY"),
        ("optimizer.lr", "SWEEPS_ARG_OPTIMIZER_LR"),
        ("größe", "SWEEPS_ARG_GR_SSE"),
        ("2", "SWEEPS_ARG_2"),
    ],
)
def test_the_variable_of_an_argument(argument: str, name: str) -> None:
    assert variable(argument) == name


def test_two_arguments_with_one_variable() -> None:
    assert variable_problems(["lr", "weight-decay", "s"], "space.yaml") == ()
    [first, second] = variable_problems(["lr", "weight-decay", "LR", "weight_decay", "weight.decay"], "space.yaml")
    assert str(first) == (
        "space.yaml: args.LR: arguments must have environment variables of their own, "
        "found SWEEPS_ARG_LR for lr and LR; rename one"
    )
    assert "found SWEEPS_ARG_WEIGHT_DECAY for weight-decay and weight_decay and weight.decay" in str(second)


def test_a_program_reads_the_variables() -> None:
    program = (
        "import json, os; print(json.dumps([json.loads(os.environ['SWEEPS_ARGS']), os.environ['SWEEPS_ARG_NAME']]))"
    )
    inputs = RunInputs({**ARGS, "name": "é\n'\"$x"}, seed=0, out="", run=0)
    environment = run_environment({"PATH": os.environ["PATH"], "PYTHONUTF8": "1"}, inputs)
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [inputs.args, "é\n'\"$x"]


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()


@settings(max_examples=50, deadline=None)
@given(args=st.dictionaries(st.text(), SCALARS | st.lists(SCALARS)))
def test_the_json_is_what_it_was(args: dict[str, Any]) -> None:
    environment = run_environment({}, RunInputs(args, seed=0, out="", run=0))
    assert json.loads(environment["SWEEPS_ARGS"]) == args
    assert all(name.isascii() and name.replace("_", "a").isalnum() for name in environment)


def test_programs_are_looked_for_beside_this_python_unless_an_environment_is_active(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = os.path.dirname(sys.executable)
    monkeypatch.setenv("PATH", "/bin")
    monkeypatch.delenv("CONDA_PREFIX", raising=False)
    monkeypatch.setenv("VIRTUAL_ENV", "/venv")
    assert inherited_environment()["PATH"] == "/bin"
    monkeypatch.delenv("VIRTUAL_ENV")
    assert inherited_environment()["PATH"] == f"{own}{os.pathsep}/bin"
