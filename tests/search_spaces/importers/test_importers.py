import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces import SGD, AdamW, Asha, NoStopping, SpaceSpec, UsageError, flatten, parse_space
from search_spaces.importers.hydra_grammar import Call, parse_override
from search_spaces.importers.importer import import_sweep
from search_spaces.search.distributions import canonical


def imported(text: str) -> tuple[SpaceSpec, str]:
    written = import_sweep(text, "sweep.yaml")
    return parse_space(written, "imported.yaml", "imported"), written


def wandb(parameters: str, head: str = "method: random\nrun_cap: 9") -> tuple[SpaceSpec, str]:
    return imported(f"{head}\nparameters:\n  {parameters}\n")


def hydra(parameters: str, sweeper: str = "n_trials: 9") -> tuple[SpaceSpec, str]:
    return imported(f"hydra:\n  sweeper:\n    {sweeper}\n    params:\n      {parameters}\n")


def searched(spec: SpaceSpec) -> dict[str, Any]:
    return {field: canonical(distribution) for field, distribution in spec.search.items()}


FULL = """
method: bayes
metric: {name: validation/loss, goal: minimize}
run_cap: 50
early_terminate: {type: hyperband, min_iter: 3, eta: 4}
parameters:
  learning_rate: {distribution: log_uniform_values, min: 1e-5, max: 0.1}
  weight_decay: {distribution: log_uniform, min: -9.21, max: 0}
  batch_size: {values: [16, 32, 64]}
  optimizer: {value: sgd}
  epochs: {value: 30}
  dropout: {min: 0.0, max: 0.5}
  momentum: {min: 0.8, max: 0.99}
  seed: {values: [1, 2, 3]}
  augment: {parameters: {scale: {distribution: normal, mu: 1.0, sigma: 0.1}, crop: {min: 1, max: 8}}}
"""


def test_a_wandb_sweep() -> None:
    spec, text = imported(FULL)
    assert (spec.metric.name, spec.metric.goal) == ("val/nll", "minimize")
    assert spec.sampler.kind == "gp"
    assert spec.runs == 51
    assert spec.early_stopping == Asha(grace_epochs=3, reduction_factor=4)
    assert isinstance(spec.recipe.optimizer, SGD)
    assert spec.recipe.budget.epochs == 30
    found = searched(spec)
    assert found.pop("optimizer.weight_decay")["loguniform"] == pytest.approx([math.exp(-9.21), 1.0], rel=1e-5)
    assert found == {
        "optimizer.lr": {"loguniform": [1e-5, 0.1]},
        "budget.batch_size": {"choice": [16, 32, 64]},
        "regularization.dropout": {"uniform": [0.0, 0.5]},
        "optimizer.momentum": {"uniform": [0.8, 0.99]},
        "custom.augment_scale": {"normal": [1.0, 0.1]},
        "custom.augment_crop": {"randint": [1, 8]},
    }
    assert spec.recipe.custom["augment_scale"] == pytest.approx(1.0)
    assert "# learning_rate" in text
    assert "left out: seed" in text


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        ("x: {value: 3}", None),
        ("x: {values: [1, 2]}", {"choice": [1, 2]}),
        ("x: {min: 1, max: 5}", {"randint": [1, 5]}),  # both ends included
        ("x: {min: 1, max: 5.0}", {"uniform": [1.0, 5.0]}),
        ("x: {mu: 0, sigma: 2}", {"normal": [0.0, 2.0]}),
        ("x: {distribution: uniform, min: 0, max: 1}", {"uniform": [0.0, 1.0]}),
        ("x: {distribution: int_uniform, min: 0, max: 3}", {"randint": [0, 3]}),
        ("x: {distribution: log_uniform, min: 0, max: 1}", {"loguniform": [1.0, 2.71828]}),
        ("x: {distribution: log_uniform_values, min: 1e-4, max: 1}", {"loguniform": [1e-4, 1.0]}),
        ("x: {distribution: inv_log_uniform, min: 0, max: 1}", {"loguniform": [0.367879, 1.0]}),
        ("x: {distribution: inv_log_uniform_values, min: 0.1, max: 1}", {"loguniform": [0.1, 1.0]}),
        ("x: {distribution: q_uniform, min: 0, max: 1, q: 0.25}", {"quniform": [0.0, 1.0, 0.25]}),
        ("x: {distribution: q_uniform, min: 0.06, max: 0.33, q: 0.1}", {"quniform": [0.1, 0.3, 0.1]}),
        ("x: {distribution: q_uniform, min: 8, max: 32, q: 8}", {"choice": [8, 16, 24, 32]}),
        ("x: {distribution: q_uniform, min: 1, max: 4}", {"randint": [1, 4]}),
        ("x: {distribution: q_log_uniform_values, min: 32, max: 256, q: 8}", {"choice": [32, 64, 128, 256]}),
        ("x: {distribution: categorical_w_probabilities, values: [a], probabilities: [1.0]}", {"choice": ["a"]}),
        ("x: {distribution: log_normal, mu: 0, sigma: 1}", {"loguniform": [0.135, 7.39]}),
    ],
)
def test_wandb_distributions(parameter: str, expected: object) -> None:
    spec, _ = wandb(parameter)
    assert searched(spec).get("custom.x") == expected
    assert "x" in spec.recipe.custom


@pytest.mark.parametrize(
    ("parameter", "words"),
    [
        ("x: {distribution: beta}", "unknown distribution 'beta'"),
        ("x: {distribution: uniform, min: 0}", "uniform needs max"),
        ("x: {distribution: uniform, min: 2, max: 1}", "low must be less than high"),
        ("x: {distribution: log_uniform_values, min: 0, max: 1}", "low must be greater than 0"),
        ("x: {distribution: q_uniform, min: 0, max: 1, q: 0}", "q must be greater than 0"),
        ("x: {distribution: log_uniform, min: 0, max: 1e9}", "log_uniform:"),
        ("x: 3", "must be a section"),
        ("x: {values: [[1, 2], [3]]}", "null"),
        ("x: {}", "x (line 4): has none of value, values, min and max, parameters"),
        ("x: {kind: {values: [a]}}", "x (line 4): has none of value, values, min and max, parameters"),
        ("random_seed: {values: [1]}\n  seed: {values: [1]}", "a sweep sets the seeds of its runs itself"),
    ],
)
def test_what_cannot_be_mapped_is_reported(parameter: str, words: str) -> None:
    spec, text = wandb(parameter)
    assert "left out: " in text
    assert words in text or "must be true, false, a number or a text" in text
    assert "x" not in spec.recipe.custom


def test_several_optimizers_become_alternatives_with_a_shared_rate() -> None:
    spec, text = wandb("lr: {min: 0.001, max: 0.01}\n  optimizer: {values: [SGD, AdamW]}")
    assert [one.kind for one in spec.one_of["optimizer"]] == ["sgd", "adamw"]
    assert searched(spec) == {"optimizer.lr": {"uniform": [0.001, 0.01]}}
    assert isinstance(spec.recipe.optimizer, SGD)
    assert "names no known optimizer" not in text
    spec, text = wandb("optimizer: {values: [adamw, sgd]}\n  momentum: {min: 0.5, max: 0.9}")
    assert isinstance(spec.recipe.optimizer, AdamW)
    assert "left out: momentum (line 5): momentum belongs to" in text
    spec, text = wandb("optimizer: {values: [adamw, mine]}")
    assert (spec.one_of, "left out: optimizer (line 4): this space uses adamw" in text) == ({}, True)
    spec, _ = wandb("optimizer: {values: [adamw, sgd]}\n  x: {values: [a, b, c]}", "method: grid")
    assert spec.runs == 7


def test_a_guessed_optimizer_says_so() -> None:
    spec, text = wandb("momentum: {min: 0.5, max: 0.9}")
    assert isinstance(spec.recipe.optimizer, SGD)
    assert "# guessed: the file names no known optimizer" in text
    spec, text = imported(
        "optimizer: {_target_: torch.optim.SGD, lr: 0.1}\n"
        "hydra: {sweeper: {params: {optimizer.lr: 'interval(0.01, 0.1)'}}}"
    )
    assert isinstance(spec.recipe.optimizer, SGD)
    assert "names no known optimizer" not in text


def test_what_run_would_refuse_is_said() -> None:
    _, text = wandb("lr: {min: 1.0, max: 10.0}\n  optimizer: {value: adamw}")
    assert "# `sweeps run` refuses this space: optimizer.lr: " in text
    spec, text = wandb("x: {distribution: int_uniform, min: 0, max: 4294967295}", "method: bayes\nrun_cap: 9")
    assert (spec.sampler.kind, spec.runs) == ("tpe", 10)
    assert "gp needs at most 1,000,000 whole numbers" in text


@pytest.mark.parametrize(
    ("tagged", "expected"),
    [
        ("{min: !!float 1e-5, max: !!float 1}", {"uniform": [1e-5, 1.0]}),
        ("{values: [!!str 1, !!int 2, !!bool true]}", {"choice": ["1", 2, True]}),
    ],
)
def test_core_tags_are_read(tagged: str, expected: object) -> None:
    spec, _ = wandb(f"x: {tagged}")
    assert searched(spec) == {"custom.x": expected}


def test_a_wrong_or_foreign_tag_is_refused() -> None:
    with pytest.raises(UsageError, match="is not a value of !!int, found 'a'"):
        wandb("x: {value: !!int a}")
    with pytest.raises(UsageError, match="tags are not allowed"):
        wandb("x: {value: !mine a}")


HYDRA_FORMS = {
    "own section": """
hydra:
  sweeper:
    optuna_config: {study_name: s, direction: maximize, n_trials: 5}
    params:
      net.width: {type: int, low: 8, high: 64}
      train.rate: {type: float, low: 1e-4, high: 1e-2, log: true}
""",
    "package": """
# @package hydra.sweeper
direction: maximize
n_trials: 5
params: {net.width: "range(8, 64)", train.rate: "tag(log, interval(1e-4, 1e-2))"}
""",
    "W&B": """
hydra:
  sweeper:
    wandb_sweep_config: {name: s, method: bayes, budget: 5, metric: {name: val/f1, goal: maximize}}
    params: {net.width: "range(8, 64)", train.rate: "tag(log, interval(1e-4, 1e-2))"}
""",
}


@pytest.mark.parametrize("form", HYDRA_FORMS)
def test_the_forms_of_a_hydra_sweep(form: str) -> None:
    spec, text = imported(HYDRA_FORMS[form])
    assert searched(spec) == {"model.width": {"randint": [8, 64]}, "optimizer.lr": {"loguniform": [1e-4, 1e-2]}}
    assert (spec.metric.goal, spec.runs) == ("maximize", 6)
    assert ("a Hydra sweep with W&B" in text) == (form == "W&B") == (spec.metric.name == "val/f1")


@pytest.mark.parametrize(
    ("metric", "name", "note"),
    [
        ("val/f1_best", "val/f1_best", ""),
        ("${metric}", "val/nll", "guessed: the metric is '${metric}', which is not resolved"),
    ],
)
def test_the_optimized_metric_of_hydra(metric: str, name: str, note: str) -> None:
    spec, text = imported(f"optimized_metric: {metric}\nhydra: {{sweeper: {{params: {{x: 'choice(1, 2)'}}}}}}")
    assert spec.metric.name == name
    assert note in text


def test_a_rate_of_dropout_is_no_learning_rate() -> None:
    spec, _ = wandb("drop.rate: {min: 0.1, max: 0.5}\n  rate: {min: 0.001, max: 0.01}")
    assert set(spec.search) == {"custom.drop_rate", "optimizer.lr"}


def test_a_range_that_is_invalid_for_its_field_becomes_custom() -> None:
    spec, text = wandb(
        "dropout: {min: 0.5, max: 1.5}\n  lr: {min: 0.1, max: 0.2}\n  learning_rate: {min: 0.3, max: 0.4}"
    )
    assert set(spec.search) == {"custom.dropout", "optimizer.lr", "custom.learning_rate"}
    assert "invalid as regularization.dropout" in text
    assert "optimizer.lr is already set by another parameter" in text


def test_two_warmups_do_not_exclude_each_other() -> None:
    spec, _ = wandb("warmup_ratio: {min: 0.1, max: 0.2}\n  warmup_steps: {min: 10, max: 20}")
    assert set(spec.search) == {"schedule.warmup", "custom.warmup_steps"}


def test_floats_for_whole_numbers() -> None:
    spec, text = wandb("batch_size: {min: 16.0, max: 64.0}")
    assert searched(spec) == {"budget.batch_size": {"randint": [16, 64]}}
    assert "whole numbers" in text


@pytest.mark.parametrize(
    ("parameters", "budget", "custom"),
    [
        ("max_steps: {value: 900}", "900 steps", {}),
        ("max-steps: {value: -1}", "27 epochs", {"max_steps": -1}),  # no limit, for some Trainers
        ("epochs: {value: 9}\n  max_steps: {value: 900}", "9 epochs", {"max_steps": 900}),
        ("max_steps: {value: 900}\n  epochs: {value: 9}", "900 steps", {"epochs": 9}),
        ("max_steps: {values: [100, 900]}", "27 epochs", {"max_steps": 900}),
    ],
)
def test_a_fixed_number_of_steps_is_the_budget(parameters: str, budget: str, custom: dict[str, int]) -> None:
    rest = "method: random\nrun_cap: 9\nearly_terminate: {type: hyperband, min_iter: 3}"
    spec, _ = wandb(f"lr: {{min: 0.001, max: 0.1}}\n  {parameters}", rest)
    assert spec.recipe.budget.text == budget
    assert dict(spec.recipe.custom) == custom
    grace = "grace_steps" if "steps" in budget else "grace_epochs"
    assert getattr(spec.early_stopping, grace) == 3


def test_a_grid() -> None:
    spec, _ = wandb("lr: {values: [0.1, 0.2]}\n  x: {values: [a, b, c]}", "method: grid")
    assert (spec.sampler.kind, spec.runs) == ("grid", 7)
    spec, text = wandb("lr: {min: 0.1, max: 0.2}", "method: grid")
    assert spec.sampler.kind == "random"
    assert "a grid needs finitely many values" in text


@pytest.mark.parametrize(
    ("rule", "stopping"),
    [
        ("{type: hyperband, min_iter: 2}", Asha(grace_epochs=2, reduction_factor=3)),
        ("{type: hyperband, max_iter: 27, s: 2}", Asha(grace_epochs=3, reduction_factor=3)),
        ("{type: hyperband, max_iter: 27, s: 2, eta: 2}", Asha(grace_epochs=6, reduction_factor=2)),
        ("{type: hyperband}", NoStopping()),
        ("{type: envelope}", NoStopping()),
    ],
)
def test_early_terminate(rule: str, stopping: object) -> None:
    spec, _ = wandb("lr: {min: 0.1, max: 0.2}", f"method: random\nearly_terminate: {rule}")
    assert spec.early_stopping == stopping
    assert spec.runs == 32


@pytest.mark.parametrize(
    ("metric", "name", "goal"),
    [
        ("{name: val_acc, goal: maximize}", "val/accuracy", "maximize"),
        ("{name: accuracy, goal: maximize}", "val/accuracy", "maximize"),
        ("{name: val_loss}", "val/nll", "minimize"),
        ("{name: val/f1, goal: maximize}", "val/f1", "maximize"),
        ("{name: 'test f1 (macro)', goal: maximize}", "val/test f1 (macro)", "maximize"),
        ("{name: val/hits@10, goal: maximize}", "val/hits@10", "maximize"),
        ("{name: val/cls/f1, goal: maximize}", "val/cls/f1", "maximize"),
        ("{name: 5_recall, goal: maximize}", "val/5_recall", "maximize"),
        ("{name: val/точность, goal: maximize}", "val/точность", "maximize"),
        ('{name: "a\\tb", goal: maximize}', "val/a_b", "maximize"),
        (f"{{name: {'x' * 200}, goal: maximize}}", f"val/{'x' * 124}", "maximize"),
        ("{name: eval_bleu, goal: maximize}", "val/bleu", "maximize"),
    ],
)
def test_metrics(metric: str, name: str, goal: str) -> None:
    spec, _ = wandb("lr: {min: 0.1, max: 0.2}", f"method: random\nmetric: {metric}")
    assert (spec.metric.name, spec.metric.goal) == (name, goal)


@pytest.mark.parametrize("value", ["${oc.env:HOME}", "choice(${a}, 2)", "interval(0, ${high})"])
def test_an_interpolation_of_hydra_is_left_out(value: str) -> None:
    spec, text = hydra(f'lr: "choice(0.1, 0.2)"\n      n: "{value}"')
    assert ("custom.n" in flatten(spec.recipe), "custom.n" in spec.search) == (False, False)
    assert f"# left out: n (line 6): {value!r} is not resolved; write its value\n" in text


def test_what_is_left_out_is_named_with_its_line() -> None:
    _, text = wandb(
        "net:\n    parameters:\n      depth: {values: [1]}\n      inner:\n        parameters: {w: {min: 5}}"
    )
    assert "# left out: net.inner.w (line 8): " in text
    _, text = imported(
        "rate: 0.1\nhydra:\n  sweeper:\n    params:\n      lr: 0.1,0.2\n      train:\n        rate: 1,2\n"
        "      +g: glob(*)\n      rate: glob(*)\n"
    )
    assert "# left out: g (line 8): glob() has no counterpart\n" in text
    assert "# left out: rate (line 9): glob() has no counterpart\n" in text


def test_a_list_of_overrides_is_refused_as_what_it_is() -> None:
    with pytest.raises(
        UsageError, match=r"^sweep.yaml: hydra.sweeper.params: must be a section of .*, found \['lr=choice"
    ):
        imported("hydra: {sweeper: {params: ['lr=choice(1, 2)']}}")


def test_a_hydra_sweep() -> None:
    spec, text = imported("""
defaults:
  - override hydra/sweeper: optuna
  - override hydra/sweeper/sampler: tpe
hydra:
  sweeper:
    sampler: {_target_: optuna.samplers.TPESampler, seed: 123, n_startup_trials: 5}
    direction: maximize
    n_trials: 40
    n_jobs: 4
    params:
      optimizer.lr: tag(log, interval(1e-5, 1e-1))
      model: {width: "choice(64, 128, 256)", depth: "range(1, 4)"}
      regularization.dropout: range(0.0, 0.5, step=0.2)
      +trainer.max_epochs: 9
      train.batch_size: tag(log, int(interval(16, 256)))
      name: "choice('a b', 'c, d')"
optimizer: {lr: 0.002}
name: "c, d"
""")
    assert searched(spec) == {
        "optimizer.lr": {"loguniform": [1e-5, 0.1]},
        "model.width": {"choice": [64, 128, 256]},
        "model.depth": {"randint": [1, 4]},  # the sweeper passes the stop to Optuna, which includes it
        "regularization.dropout": {"quniform": [0.0, 0.4, 0.2]},
        "budget.batch_size": {"choice": [16, 32, 64, 128, 256]},
        "custom.name": {"choice": ["a b", "c, d"]},
    }
    assert (spec.metric.name, spec.metric.goal, spec.runs) == ("val/accuracy", "maximize", 41)
    assert (spec.sampler.kind, spec.sampler.seed, spec.sampler.startup) == ("tpe", 123, 5)
    values = flatten(spec.recipe)
    assert (values["optimizer.lr"], values["budget.epochs"], values["custom.name"]) == (0.002, 9, "c, d")
    assert "n_jobs has no counterpart" in text
    assert "below 0.5" in text


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("interval(1, 5)", {"uniform": [1.0, 5.0]}),
        ("int(interval(1, 5))", {"randint": [1, 5]}),
        ("interval(start=1, end=5)", {"uniform": [1.0, 5.0]}),
        ("tag(log, interval(0.1, 1))", {"loguniform": [0.1, 1.0]}),
        ("tag(a, log, sweep=interval(0.1, 1))", {"loguniform": [0.1, 1.0]}),
        ("tag(log, int(interval(1, 8)))", {"choice": [1, 2, 4, 8]}),
        ("int(tag(log, interval(1, 8)))", {"choice": [1, 2, 4, 8]}),
        ("range(1, 10)", {"randint": [1, 10]}),
        ("range(3)", {"randint": [0, 3]}),
        ("range(1, 10, 4)", {"choice": [1, 5, 9]}),
        ("range(1, 10, step=3)", {"choice": [1, 4, 7, 10]}),
        ("range(start=1, stop=2, step=0.5)", {"quniform": [1.0, 2.0, 0.5]}),
        ("float(range(1, 3))", {"quniform": [1.0, 3.0, 1.0]}),
        ("choice(a, b)", {"choice": ["a", "b"]}),
        ("choice([1, 2])", {"choice": [1, 2]}),
        ("shuffle(choice(1, 2))", {"choice": [1, 2]}),
        ("int(choice(1.0, 2.0))", {"choice": [1, 2]}),
        ("bool(choice(1, 0))", {"choice": [True, False]}),
        ("bool(choice('True', false))", {"choice": [True, False]}),
        ("1, 2, 3", {"choice": [1, 2, 3]}),
        ("choice(true, false)", {"choice": [True, False]}),
    ],
)
def test_hydra_overrides(override: str, expected: object) -> None:
    spec, text = hydra(f'x: "{override}"')
    assert searched(spec) == {"custom.x": expected}, text


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("glob(*)", "glob() has no counterpart"),
        ("interval(2, 1)", "low must be less than high"),
        ("interval(a, 1)", "'a' is not a number"),
        ("interval(1, 2", "cannot be read"),
        ("choice(1, 2))", "unexpected ')'"),
        ("range(5, 1)", "leave no value"),
        ("range(1, 5, 0)", "leave no value"),
        ("tag(log, int(interval(0, 4)))", "needs 0 < low"),
        ("choice({a: 1, b: 2}, {a: 3})", "a dictionary such as {a: 1} has no counterpart"),
        ("bool(choice(yes, 0))", "'yes' is neither true nor false"),
    ],
)
def test_hydra_overrides_that_cannot_be_mapped(override: str, words: str) -> None:
    spec, text = hydra(f'x: "{override}"')
    assert not spec.search
    assert words in text


def test_the_search_space_of_older_hydra() -> None:
    spec, _ = imported("""
hydra:
  sweeper:
    direction: [maximize, minimize]
    sampler: {_target_: optuna.samplers.CmaEsSampler}
    search_space:
      lr: {type: float, low: 1e-5, high: 0.1, log: true}
      x: {type: int, low: 1, high: 9, step: 4}
      y: {type: float, low: 0, high: 1, step: 0.25}
      z: {type: categorical, choices: [a, b]}
""")
    assert searched(spec) == {
        "optimizer.lr": {"loguniform": [1e-5, 0.1]},
        "custom.x": {"choice": [1, 5, 9]},
        "custom.y": {"quniform": [0.0, 1.0, 0.25]},
        "custom.z": {"choice": ["a", "b"]},
    }
    assert (spec.metric.goal, spec.sampler.kind, spec.runs) == ("maximize", "tpe", 21)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1]", "must be a section"),
        ("a: 1", "must be a W&B sweep"),
        ("kind: sweep\nparameters: {}", "must be a W&B sweep"),
        ("method: magic\nparameters: {x: {value: 1}}", "method: must be random, grid or bayes"),
        ("hydra: {sweeper: {n_trials: 3}}", "there is nothing to sweep over"),
        ("a: [", "not valid YAML"),
    ],
)
def test_a_file_that_is_no_sweep_is_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=r"sweep\.yaml") as found:
        import_sweep(text, "sweep.yaml")
    assert words in str(found.value)


def test_names_and_texts_are_quoted() -> None:
    spec, text = wandb('"a b: #c": {values: ["x # y", "}, z: 1", "\\"q\\"\\\\"]}\n  "9lives": {value: "no: [way"}')
    [distribution] = spec.search.values()
    assert list(distribution.edges()) == ["x # y", "}, z: 1", '"q"\\']
    assert spec.recipe.custom["_9lives"] == "no: [way"
    assert all(line.count("kind: sweep") <= 1 for line in text.splitlines())


def test_the_grammar() -> None:
    assert parse_override("tag(log, interval(1e-5, 1))") == Call("tag", ["log", Call("interval", [1e-5, 1])])
    assert parse_override("choice('a,b', \"c)\")") == Call("choice", ["a,b", "c)"])
    assert parse_override("f(a=[1, x], 2)") == Call("f", [2], {"a": [1, "x"]})
    assert parse_override("plain text") == "plain text"
    for text in ("", "f(", "f(a b c", ")", "f(,)", "[1", "a=1", "(" * 50):
        with pytest.raises(ValueError, match=r"expected|missing|cannot|brackets"):
            parse_override(text)


@given(
    st.dictionaries(
        st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=1, max_size=12),
        st.one_of(
            st.fixed_dictionaries(
                {"values": st.lists(st.one_of(st.integers(-9, 99), st.text("ab#:,{}' ", max_size=6)))}
            ),
            st.fixed_dictionaries({"min": st.floats(-9, 9), "max": st.floats(-9, 9)}),
            st.fixed_dictionaries({"min": st.integers(-9, 9), "max": st.integers(-9, 9), "q": st.integers(-1, 3)}),
        ),
        max_size=5,
    )
)
@settings(max_examples=60, deadline=None)
def test_every_imported_space_can_be_read(parameters) -> None:
    text = json.dumps({"method": "random", "parameters": parameters})
    assert imported(text)[0].runs == 32
