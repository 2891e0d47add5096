"""Files that name a program become spaces that run it."""

from __future__ import annotations

from pathlib import Path

import pytest

from search_spaces import Asha, SpaceSpec, parse_space
from search_spaces.command.inputs import RunInputs
from search_spaces.command.template import render
from search_spaces.importers.importer import import_sweep
from search_spaces.search.distributions import canonical

WANDB = """\
program: train.py
method: random
metric: {name: val_loss, goal: minimize}
run_cap: 9
early_terminate: {type: hyperband, min_iter: 3}
parameters:
  learning_rate: {distribution: log_uniform_values, min: 1e-5, max: 0.1}
  batch-size: {values: [16, 32, 64]}
  flag: {value: true}
  seed: {values: [1, 2, 3]}
  epochs: {value: 30}
"""
HYDRA = """\
hydra:
  sweeper:
    n_trials: 9
    params:
      optimizer.lr: tag(log, interval(1e-5, 1e-1))
      trainer.max_epochs: 5
optimizer: {lr: 0.01}
optimized_metric: val/acc
"""


def imported(text: str, source: str = "sweep.yaml") -> tuple[SpaceSpec, str]:
    written = import_sweep(text, source)
    return parse_space(written, "imported.yaml", "imported"), written


def words(spec: SpaceSpec) -> tuple[str, ...]:
    """Return the words of run 0."""
    assert spec.command is not None
    budget = spec.recipe.budget
    epochs = None if budget.unit == "step" else budget.epochs
    inputs = RunInputs(spec.recipe.args, 7, "/out", 0, epochs, budget.steps, None)
    return render(spec.command.template(spec.recipe), inputs)


def test_the_program_of_a_wandb_sweep() -> None:
    spec, text = imported(WANDB)
    assert words(spec) == (
        *("python", "train.py", "--learning_rate=0.001", "--batch-size=32", "--flag=True"),
        *("--seed=7", "--epochs=30"),
    )
    assert (spec.metric.name, spec.recipe.budget.text) == ("val/loss", "30 epochs")
    assert {name: canonical(one) for name, one in spec.search.items()} == {
        "args.learning_rate": {"loguniform": [1e-5, 0.1]},
        "args.batch-size": {"choice": [16, 32, 64]},
    }
    assert spec.early_stopping == Asha(grace_epochs=3, reduction_factor=3)
    assert "recipe" not in text
    assert "has no counterpart" not in text


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("[${env}, python3, ${program}, ${args_no_boolean_flags}]", "python3 train.py {} --flag --seed=7 --epochs=30"),
        (
            "[${interpreter}, -m, torchrun, ${program}, ${args_no_hyphens}, extra]",
            "python -m torchrun train.py learning_rate=0.001 batch-size=32 flag=true seed=7 epochs=30 extra",
        ),
        (
            "[${program}, ${args_json}]",
            'train.py {"learning_rate": 0.001, "batch-size": 32, "flag": true, "seed": 2, "epochs": 30}',
        ),
        ("[bash, run.sh]", "bash run.sh {} --flag=True --seed=7 --epochs=30"),
        ("[run, '${envvar:HOME}', '${args}']", "run ${{envvar:HOME}} {} --flag=True --seed=7 --epochs=30"),
    ],
)
def test_the_macros_of_a_wandb_command(command: str, expected: str) -> None:
    quoted = ", ".join(f"'{word.strip(chr(39))}'" for word in command[1:-1].split(", "))
    spec, _ = imported(f"{WANDB}command: [{quoted}]\n")
    assert set(spec.search) == {"args.learning_rate", "args.batch-size"}
    both = "--learning_rate=0.001 --batch-size=32"
    line = expected if "args_json" in command else expected.format(both)
    assert " ".join(words(spec)) == line


@pytest.mark.parametrize(
    ("metric", "name", "rename"),
    [
        ("eval/acc", "eval/acc", {}),
        ("validation_loss", "validation/loss", {}),
        ("loss", "val/loss", {"loss": "val/loss"}),
        ("test_acc", "val/acc", {"test_acc": "val/acc"}),
    ],
)
def test_a_metric_that_must_not_select_is_renamed(metric: str, name: str, rename: dict[str, str]) -> None:
    spec, text = imported(WANDB.replace("val_loss", metric))
    assert spec.command is not None
    assert spec.metric.name == name
    assert spec.command.rename == rename
    assert ("guessed: " in text.partition("metric:")[2].partition("\n")[0]) is bool(rename)


def test_a_length_in_steps_and_one_that_is_unknown() -> None:
    spec, _ = imported(WANDB.replace("epochs: {value: 30}", "max_steps: {value: 900}"))
    assert spec.recipe.budget.text == "900 steps"
    assert words(spec)[-1] == "--max_steps=900"
    assert spec.early_stopping == Asha(grace_steps=3, reduction_factor=3)
    _, text = imported(WANDB.replace("  epochs: {value: 30}\n", ""))
    assert "budget: {epochs: 27} # guessed: " in text


def test_the_application_of_a_hydra_configuration(tmp_path: Path) -> None:
    source = tmp_path / "conf" / "config.yaml"
    source.parent.mkdir()
    assert imported(HYDRA, str(source))[0].command is None
    (tmp_path / "train.py").write_text("@hydra.main(config_path='conf')\ndef main(config): ...\n")
    (tmp_path / "helper.py").write_text("x = 1\n")
    spec, text = imported(HYDRA, str(source))
    assert words(spec) == (
        *("python", str(tmp_path / "train.py"), "optimizer.lr=0.01", "trainer.max_epochs=5"),
        "hydra.run.dir=/out",
    )
    assert spec.metric.name == "val/acc"
    assert "the program is guessed" in text
    (tmp_path / "conf" / "other.py").write_text("hydra.main\n")
    assert imported(HYDRA, str(source))[0].command is None
