"""Alternatives, conditions, constraints, priors and starts in files: what they mean, and each error message."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from search_spaces import (
    Choice,
    LogUniform,
    Problem,
    Recipe,
    SpaceSpec,
    SpecError,
    Uniform,
    Value,
    diff_specs,
    dump_space,
    load_space,
    parse_space,
    recipe_hash,
)
from search_spaces.recipe.fields import KINDS
from search_spaces.search import field_checks
from search_spaces.search.constraints import Constraint
from search_spaces.search.parameters import Alternative

VALID = """\
kind: sweep
task: mnist1d
metric: {name: val/accuracy, goal: maximize}
recipe:
  optimizer: {kind: adamw, lr: 1e-3}
  schedule: {kind: cosine}
search:
  optimizer:
    one_of:
      - {kind: adamw, lr: {loguniform: [1e-4, 1e-2], prior: 1e-3}, weight_decay: {loguniform: [1e-3, 1]}}
      - {kind: sgd, lr: {loguniform: [1e-2, 1]}, momentum: {choice: [0.9, 0.95]}, nesterov: true}
  regularization.clip_norm: {choice: [0.5, 1.0], when: {optimizer.kind: sgd}}
  schedule.warmup: {uniform: [0.0, 0.2]}
constraints:
  - budget.batch_size * budget.accumulation <= 128
starts:
  - {optimizer.lr: 3e-4}
  - {optimizer.kind: sgd, optimizer.lr: 0.1, regularization.clip_norm: 0.5}
runs: 8
"""


def parsed(text: str = VALID) -> SpaceSpec:
    return parse_space(text, "f.yaml", "mine")


def without_clip_start(text: str, removed: str) -> str:
    """Return the text of a space whose starts do not set a range that was removed."""
    return text.replace(", regularization.clip_norm: 0.5", "") if removed.startswith("regularization.clip") else text


def problems(text: str) -> list[str]:
    with pytest.raises(SpecError) as raised:
        parsed(text)
    return [str(problem) for problem in raised.value.problems]


def changed(old: str, new: str) -> str:
    assert old in VALID
    return VALID.replace(old, new, 1)


def test_what_a_file_means() -> None:
    spec = parsed()
    assert spec.search == {"regularization.clip_norm": Choice([0.5, 1.0]), "schedule.warmup": Uniform(0.0, 0.2)}
    assert spec.when == {"regularization.clip_norm": {"optimizer.kind": ("sgd",)}}
    adamw = {"lr": LogUniform(1e-4, 1e-2, prior=1e-3), "weight_decay": LogUniform(1e-3, 1)}
    sgd = {"lr": LogUniform(1e-2, 1), "momentum": Choice([0.9, 0.95])}
    assert spec.one_of == {"optimizer": (Alternative("adamw", {}, adamw), Alternative("sgd", {"nesterov": True}, sgd))}
    assert spec.constraints == (Constraint("budget.batch_size * budget.accumulation <= 128"),)
    assert spec.starts[0] == {"optimizer.lr": 3e-4}


def test_parameters_have_distinct_names_and_share_fields() -> None:
    found = {one.name: one.field for one in parsed().parameters.every}
    assert found == {
        "optimizer.kind": "optimizer.kind",
        "schedule.warmup": "schedule.warmup",
        "optimizer[adamw].lr": "optimizer.lr",
        "optimizer[adamw].weight_decay": "optimizer.weight_decay",
        "optimizer[sgd].lr": "optimizer.lr",
        "optimizer[sgd].momentum": "optimizer.momentum",
        "regularization.clip_norm": "regularization.clip_norm",
    }


def test_a_point_and_its_recipe() -> None:
    parameters = parsed().parameters
    point = {"optimizer.kind": "sgd", "optimizer[sgd].lr": 0.1, "optimizer[sgd].momentum": 0.95}
    point |= {"regularization.clip_norm": 0.5, "schedule.warmup": 0.1}
    recipe = parameters.resolved(point)
    assert recipe.optimizer.model_dump()["momentum"] == 0.95
    assert recipe.optimizer.lr == 0.1
    assert parameters.read(recipe) == point


def test_an_inactive_field_keeps_the_recipes_value() -> None:
    spec = parsed()
    assert "regularization.clip_norm" not in spec.parameters.read(spec.recipe)
    point = spec.parameters.read(spec.recipe)
    assert recipe_hash(spec.parameters.resolved(point)) == recipe_hash(spec.recipe)


def test_values_of_an_alternative_of_the_recipes_own_kind_begin_with_the_recipe() -> None:
    spec = parsed(changed("{kind: adamw, lr: 1e-3}", "{kind: adamw, lr: 1e-3, eps: 1e-7}"))
    for kind, eps in (("adamw", 1e-7), ("sgd", None)):
        recipe = spec.parameters.with_kinds({"optimizer.kind": kind})
        assert recipe.optimizer.model_dump().get("eps") == eps


def test_the_canonical_form_gives_the_spec_back() -> None:
    spec = parsed()
    text = dump_space(spec)
    assert parse_space(text, "dump", "mine") == spec
    assert dump_space(parse_space(text, "dump", "mine")) == text
    assert (
        "  regularization.clip_norm: {choice: [0.5, 1.0], when: {optimizer.kind: [sgd]}}\n"
        "  schedule.warmup: {uniform: [0.0, 0.2]}\n"
        'constraints: ["budget.batch_size * budget.accumulation <= 128"]\n'
    ) in text
    assert "{kind: sgd, lr: {loguniform: [0.01, 1.0]}, momentum: {choice: [0.9, 0.95]}, nesterov: true}]}\n" in text


def test_an_alternative_without_anything_of_its_own() -> None:
    old = "  regularization.clip_norm: {choice: [0.5, 1.0], when: {optimizer.kind: sgd}}\n  schedule.warmup: "
    text = VALID.replace(old, "  schedule:\n    one_of: [{kind: constant}, {kind: linear}]\n  regularization.dropout: ")
    spec = parsed(text.replace(", regularization.clip_norm: 0.5}", "}"))
    assert "schedule: {one_of: [{kind: constant}, {kind: linear}]}" in dump_space(spec)
    assert parse_space(dump_space(spec), "dump", "mine") == spec
    assert len(list(spec.parameters.scenarios())) == 4


def test_differences() -> None:
    text = changed("momentum: {choice: [0.9, 0.95]}, ", "").replace(
        "when: {optimizer.kind: sgd}", "when: {budget.epochs: 27}"
    )
    lines = diff_specs(parsed(), parsed(text.replace("<= 128", "<= 256").replace("  - {optimizer.lr: 3e-4}\n", "")))
    assert [line.partition(":")[0] for line in lines] == [
        "search.optimizer",
        "search.regularization.clip_norm",
        "constraints",
        "starts",
    ]
    assert lines[1].endswith("when: {budget.epochs: [27]}}")


# --- problems ---------------------------------------------------------------------------------------------------

SGD = "{kind: sgd, lr: {loguniform: [1e-2, 1]}, momentum: {choice: [0.9, 0.95]}, nesterov: true}"
CLIP = "regularization.clip_norm: {choice: [0.5, 1.0], when: {optimizer.kind: sgd}}"


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (SGD, "sgd", "f.yaml:11: search.optimizer.one_of.1: must be a section such as {kind: sgd, lr: {loguniform"),
        (SGD, "{lr: 0.1}", "f.yaml:11: search.optimizer.one_of.1: must have a kind, found none"),
        (SGD, "{kind: 3}", "f.yaml:11: search.optimizer.one_of.1: must have a kind, found 3"),
        (SGD, "{kind: sdg}", "f.yaml:11: search.optimizer.one_of.1.kind: unknown kind 'sdg'; did you mean sgd?"),
        (SGD, "{kind: adamw}", "f.yaml:11: search.optimizer.one_of.1.kind: adamw is already an alternative;"),
        (SGD, "{kind: sgd, lr: 0}", "f.yaml:11: search.optimizer.one_of.1.lr: must be greater than 0, found 0"),
        (SGD, "{kind: sgd, eps: 1}", "f.yaml:11: search.optimizer.one_of.1.eps: eps belongs to"),
        (
            SGD,
            "{kind: sgd, lrr: 1}",
            "f.yaml:11: search.optimizer.one_of.1.lrr: unknown field of sgd; did you mean lr?",
        ),
        (
            SGD,
            "{kind: sgd, lr: {uniform: [0, 1]}}",
            "f.yaml:11: search.optimizer.one_of.1.lr: the value 0.0 of uniform",
        ),
        (SGD, "{kind: sgd, lr: {unifrm: [0, 1]}}", "f.yaml:11: search.optimizer.one_of.1.lr: unknown distribution"),
        (
            SGD,
            "{kind: sgd, lr: {uniform: [1]}}",
            "f.yaml:11: search.optimizer.one_of.1.lr: must be written uniform:",
        ),
        (SGD, "{kind: sgd, lr: [[1]]}", "f.yaml:11: search.optimizer.one_of.1.lr: a value must be a number"),
        (
            SGD,
            "{kind: sgd, lr: {uniform: [1, 2], when: {a: 1}}}",
            "f.yaml:11: search.optimizer.one_of.1.lr: a range in an alternative must not have when; remove when",
        ),
        (
            SGD,
            "{kind: sgd, momentum: {choice: [0, 0.9]}}",
            "f.yaml:11: search.optimizer.one_of.1.momentum: the value 0 of choice nesterov needs momentum > 0",
        ),
        (
            SGD,
            "{kind: lion, betas: {choice: [[0.9, 0.99]]}, betas.1: {uniform: [0.9, 0.99]}}",
            "f.yaml:11: search.optimizer.one_of.1.betas.1: optimizer.betas is searched as a whole, too",
        ),
        (f"\n      - {SGD}", "", "f.yaml:9: search.optimizer.one_of: must have at least 2 alternatives, found 1;"),
        ("    one_of:", "    prior: 1\n    one_of:", "f.yaml:9: search.optimizer.prior: must not be beside one_of;"),
        (CLIP, "budget: {one_of: [{kind: a}]}", "f.yaml:12: search.budget: one_of needs a section with kinds: optim"),
        (CLIP, "averaging: {one_of: 3}", "f.yaml:12: search.averaging.one_of: must be a list of alternatives, such as"),
        (
            CLIP,
            "optimizer.lr: {uniform: [1, 2]}",
            "f.yaml:12: search.optimizer.lr: is also in the alternative adamw",
        ),
        (CLIP, "optimizer.kind: {choice: [sgd]}", "f.yaml:12: search.optimizer.kind: is also in the alternative"),
        (
            CLIP,
            "averaging.kind: {choice: [ema]}",
            "f.yaml:12: search.averaging.kind: a kind cannot be searched as a field, since each kind has its own "
            "fields; write averaging: {one_of: [{kind: none, ...}, ...]}",
        ),
        (
            CLIP,
            "optimizer.eps: {uniform: [1e-9, 1e-8]}",
            "f.yaml:12: search.optimizer.eps: eps belongs to",
        ),
        (
            CLIP,
            "optimizer.nesterov: {choice: [true]}",
            "f.yaml:12: search.optimizer.nesterov: is also in the alternative sgd",
        ),
        (
            "when: {optimizer.kind: sgd}",
            "when: sgd",
            "f.yaml:12: search.regularization.clip_norm.when: must be `field: v",
        ),
        (
            "when: {optimizer.kind: sgd}",
            "when: {}",
            "f.yaml:12: search.regularization.clip_norm.when: must be `field: v",
        ),
        (
            "when: {optimizer.kind: sgd}",
            "when: {optimizer.kind: {a: b}}",
            "f.yaml:12: search.regularization.clip_norm.when.optimizer.kind: must be a value or a list of values",
        ),
        (
            "when: {optimizer.kind: sgd}",
            "when: {optimizer.kind: [sgd, sdg]}",
            "f.yaml:12: search.regularization.clip_norm.when.optimizer.kind: never holds: the field is never 'sdg'; "
            "valid: 'adamw', 'sgd'",
        ),
        (
            "when: {optimizer.kind: sgd}",
            "when: {budget.epochs: 9}",
            "f.yaml:12: search.regularization.clip_norm.when.budget.epochs: never holds: the field is never 9; valid:",
        ),
        (
            "when: {optimizer.kind: sgd}",
            "when: {budget.epoch: 9}",
            "f.yaml:12: search.regularization.clip_norm.when.budget.epoch: unknown field of a recipe; did you mean",
        ),
        (
            "when: {optimizer.kind: sgd}",
            "when: {schedule.warmup: 0}",
            "f.yaml:12: search.regularization.clip_norm.when.schedule.warmup: a condition needs a field that is",
        ),
        (
            "when: {optimizer.kind: sgd}",
            "when: {regularization.clip_norm: 1.0}",
            "f.yaml:12: search.regularization.clip_norm.when.regularization.clip_norm: must not depend on",
        ),
        (
            CLIP,
            "optimizer.momentum: {uniform: [0.5, 1.0], when: {optimizer.kind: sgd}}",
            "f.yaml:12: search.optimizer.momentum: is also in the alternative sgd",
        ),
        (
            CLIP,
            "optimizer.decay_embedding: {choice: [true], when: {optimizer.kind: sgd}}",
            "f.yaml:12: search.optimizer.decay_embedding: unknown field of sgd; did you mean decay_embeddings?",
        ),
        (
            CLIP,
            "regularization.clip_norm: {uniform: [0, 1], when: {optimizer.kind: sgd}}",
            "f.yaml:12: search.regularization.clip_norm: the value 0.0 of uniform must be greater than 0",
        ),
        ("prior: 1e-3", "prior: 1", "f.yaml:10: search.optimizer.one_of.0.lr: prior must be within [0.0001, 0.01], fo"),
        ("prior: 1e-3", "prior: a", "f.yaml:10: search.optimizer.one_of.0.lr: prior must be a number, found 'a'"),
        ("[0.0, 0.2]", "[0.0, 0.2], prior: 3", "f.yaml:13: search.schedule.warmup: prior must be within [0.0, 0.2]"),
        (
            "[0.5, 1.0],",
            "[0.5, 1.0], prior: 1,",
            "f.yaml:12: search.regularization.clip_norm: a prior needs uniform",
        ),
        (
            "<= 128",
            "<=",
            "f.yaml:15: constraints.0: column 43: expected a number, a field, min, max or (, found the end",
        ),
        (
            "<= 128",
            "<= 32",
            "f.yaml:15: constraints.0: the baseline breaks budget.batch_size * budget.accumulation <= 32",
        ),
        (
            "budget.accumulation",
            "budget.steps",
            "f.yaml:15: constraints.0: budget.steps is null in every run, so the constraint would never apply; use"
            " budget.epochs, or remove the constraint",
        ),
        (
            "budget.accumulation",
            "patience.epochs",
            "f.yaml:15: constraints.0: patience.epochs is null in every run, so the constraint would never apply; set"
            " or search it, or remove the constraint",
        ),
        ("budget.accumulation", "budget.acc", "f.yaml:15: constraints.0: unknown field of a recipe; did you mean"),
        (
            "budget.accumulation",
            "schedule.kind",
            "f.yaml:15: constraints.0: a constraint needs numbers, but schedule.",
        ),
        (
            "budget.accumulation",
            "optimizer.betas",
            "f.yaml:15: constraints.0: optimizer.betas is a list; use an item of",
        ),
        ("  - budget.batch", "  budget.batch", "f.yaml:14: constraints: must be a list, found"),
        (
            "budget.batch_size * budget.accumulation <= 128",
            "schedule.warmup <= 0 and optimizer.lr == 0.001",
            "f.yaml:14: constraints: at least 10 of 1000 random points of the search must satisfy all constraints,",
        ),
        ("{optimizer.lr: 3e-4}", "{}", "f.yaml:17: starts.0: must set at least one field; remove it"),
        ("{optimizer.lr: 3e-4}", "3", "f.yaml:17: starts.0: must be a section of `name: value` lines, found 3"),
        (
            "{optimizer.lr: 3e-4}",
            "{optimizer.lr: {a: 1}}",
            "f.yaml:17: starts.0.optimizer.lr: a value must be a number",
        ),
        (
            "{optimizer.lr: 3e-4}",
            "{optimizer.eps: 1}",
            "f.yaml:17: starts.0.optimizer.eps: is not searched; a start sets",
        ),
        (
            "{optimizer.lr: 3e-4}",
            "{optimizer.momentum: 0.9}",
            "f.yaml:17: starts.0.optimizer.momentum: is not searched; it has no effect in this start",
        ),
        (
            "{optimizer.lr: 3e-4}",
            "{optimizer.kind: adamw, regularization.clip_norm: 0.5}",
            "f.yaml:17: starts.0.regularization.clip_norm: is not searched when optimizer.kind is 'adamw'; it has no",
        ),
        (
            "{optimizer.lr: 3e-4}",
            "{optimizer.lr: 0.1}",
            "f.yaml:17: starts.0.optimizer.lr: must be in the search, loguniform: [0.0001, 0.01], found 0.1",
        ),
        (
            "<= 128\nstarts:\n  - {optimizer.lr: 3e-4}",
            "<= 128\n  - optimizer.lr < 2e-3 or optimizer.lr > 0.05\nstarts:\n  - {optimizer.lr: 3e-3}",
            "f.yaml:18: starts.0: breaks optimizer.lr < 2e-3 or optimizer.lr > 0.05",
        ),
        (
            "runs: 8",
            "sampler: {kind: gp}\nruns: 8",
            "f.yaml:19: sampler.kind: gp needs the same fields in every run; with one_of or when, use tpe, random",
        ),
    ],
)
def test_one_mistake_is_one_line(old: str, new: str, line: str) -> None:
    [found] = problems(without_clip_start(changed(old, new), old))
    assert found.startswith(line)


def test_a_grid_names_the_alternative_with_an_interval() -> None:
    text = changed("{uniform: [0.0, 0.2]}", "{choice: [0.0, 0.2]}").replace("runs: 8", "sampler: {kind: grid}\nruns: 8")
    [found] = problems(text)
    assert found.startswith("f.yaml:8: search.optimizer: adamw.lr: a grid needs finitely many values, found loguniform")


def test_every_mistake_of_a_file_is_reported_at_once() -> None:
    text = (
        VALID.replace("lr: 1e-3}", "lr: 0}", 1)
        .replace("prior: 1e-3", "prior: 1")
        .replace("kind: sgd, lr", "kind: sdg, lr")
        .replace("when: {optimizer.kind: sgd}", "when: 3")
        .replace("<= 128", "<=")
        .replace("{optimizer.lr: 3e-4}", "3")
    )
    assert [line.split(":")[1] for line in problems(text)] == ["5", "10", "12", "15", "17"]


def test_alternatives_that_do_not_go_with_the_rest_of_the_recipe() -> None:
    text = changed("  schedule: {kind: cosine}", "  schedule: {kind: cosine}\n  precision: {kind: fp16}")
    [found] = problems(text.replace(SGD, "{kind: sophia}").replace("optimizer.kind: sgd", "optimizer.kind: sophia"))
    assert found.startswith("f.yaml:12: search.optimizer.one_of.1: sophia measures curvature")


def test_alternatives_of_two_sections_that_do_not_go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    def reject(recipe: Recipe, values: Mapping[str, Value]) -> Problem | None:
        met = values.get("optimizer.kind") == "sgd" and values.get("schedule.kind") == "linear"
        return Problem("", "", "no sgd with linear") if met else None

    monkeypatch.setattr(field_checks, "rejection", reject)  # no recipe has such a rule yet
    text = changed("schedule.warmup: {uniform: [0.0, 0.2]}", "schedule: {one_of: [{kind: cosine}, {kind: linear}]}")
    rule = "its alternative is invalid with the others: no sgd with linear (optimizer.kind sgd, schedule.kind linear)"
    assert problems(text) == [f"f.yaml:8: search.optimizer: {rule}"]


def test_too_many_combinations() -> None:
    kinds = ["adamw", "adam", "sgd", "nadam", "radam", "rmsprop", "adagrad", "lion", "lars"]
    optimizers = ", ".join(f"{{kind: {kind}}}" for kind in kinds)
    schedules = ", ".join(f"{{kind: {kind}}}" for kind in list(KINDS["schedule"])[:8])
    text = f"search:\n  optimizer: {{one_of: [{optimizers}]}}\n  schedule: {{one_of: [{schedules}]}}\nruns: 8\n"
    [found] = problems(VALID.partition("search:")[0] + text)
    assert found == "f.yaml:7: search: must have at most 64 combinations of alternatives, found more"


def test_fields_that_exclude_each_other_within_an_alternative() -> None:
    alternatives = (
        "schedule: {one_of: [{kind: constant}, {kind: linear, warmup: {uniform: [0.1, 0.2]}, warmup_steps: 5}]}"
    )
    [found] = problems(changed("schedule.warmup: {uniform: [0.0, 0.2]}", alternatives))
    where = "f.yaml:13: search.schedule.one_of.1.warmup"
    assert found.startswith(f"{where}: the value 0.1 of uniform must not have both warmup and warmup_steps")


def test_a_plain_field_that_one_alternative_lacks() -> None:
    [found] = problems(without_clip_start(changed(CLIP, "optimizer.eps: {uniform: [1e-9, 1e-8]}"), CLIP))
    assert found.endswith("(optimizer.kind sgd)")
    assert parsed(
        changed(CLIP, "optimizer.eps: {uniform: [1e-9, 1e-8], when: {optimizer.kind: adamw}}").replace(
            ", regularization.clip_norm: 0.5}", "}"
        )
    )


def test_a_condition_on_a_field_that_has_a_condition() -> None:
    chain = "regularization.drop_path: {uniform: [0.1, 0.2], when: {regularization.clip_norm: 0.5}}"
    spec = parsed(changed(CLIP, f"{chain}\n  {CLIP}"))
    names = [one.name for one in spec.parameters.every]
    assert names.index("regularization.clip_norm") < names.index("regularization.drop_path")
    recipe = spec.parameters.with_kinds({"optimizer.kind": "sgd"})
    assert "regularization.drop_path" not in spec.parameters.read(recipe)


# --- options and extends ----------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "mine.yaml"
    path.write_text(VALID)
    return str(path)


def test_a_fixed_kind_leaves_its_alternative(file: str) -> None:
    spec = load_space(file, ["optimizer.kind=sgd"])
    assert spec.one_of == {}
    assert spec.when == {}
    assert spec.search == {
        "optimizer.lr": LogUniform(1e-2, 1),
        "optimizer.momentum": Choice([0.9, 0.95]),
        "regularization.clip_norm": Choice([0.5, 1.0]),
        "schedule.warmup": Uniform(0.0, 0.2),
    }
    assert spec.recipe.optimizer.model_dump()["nesterov"] is True
    assert spec.starts == ({"optimizer.lr": 0.1, "regularization.clip_norm": 0.5},)


def test_a_fixed_kind_that_is_no_alternative(file: str) -> None:
    spec = load_space(file, ["optimizer.kind=lion"])
    assert (spec.recipe.optimizer.kind, spec.one_of, spec.starts) == ("lion", {}, ())
    assert spec.search.keys() == {"schedule.warmup"}


def test_a_fixed_field_leaves_every_alternative(file: str) -> None:
    spec = load_space(file, ["optimizer.lr=0.02"])
    adamw, sgd = spec.one_of["optimizer"]
    assert (adamw.settings, sgd.settings) == ({"lr": 0.02}, {"nesterov": True, "lr": 0.02})
    assert (adamw.search.keys(), sgd.search.keys()) == ({"weight_decay"}, {"momentum"})
    assert spec.starts == ({"optimizer.kind": "sgd", "regularization.clip_norm": 0.5},)
    eps = load_space(file, ["optimizer.eps=1e-7"]).one_of["optimizer"]
    assert [one.settings.get("eps") for one in eps] == [1e-7, None]


def test_a_fixed_field_that_the_baseline_lacks(file: str) -> None:
    with pytest.raises(SpecError, match=r"--set optimizer.momentum=0.9: optimizer.momentum: momentum belongs to sgd"):
        load_space(file, ["optimizer.momentum=0.9"])


def extended(tmp_path: Path, file: str, text: str) -> SpaceSpec:
    path = tmp_path / "more.yaml"
    path.write_text(f"extends: {file}\n{text}")
    return load_space(str(path))


def test_extends_replaces_and_removes_the_new_forms(tmp_path: Path, file: str) -> None:
    more = extended(
        tmp_path,
        file,
        "search:\n  optimizer: {one_of: [{kind: adamw}, {kind: lion}]}\n"
        "  regularization.clip_norm: null\nconstraints: []\nstarts: [{optimizer.kind: lion}]\n",
    )
    assert [one.kind for one in more.one_of["optimizer"]] == ["adamw", "lion"]
    assert (more.when, more.constraints, more.starts) == ({}, (), ({"optimizer.kind": "lion"},))
    text = "search:\n  optimizer: null\n  optimizer.lr: {uniform: [0.1, 0.2]}\n  regularization.clip_norm: null\n"
    plain = extended(tmp_path, file, f"{text}starts: []\n")
    assert plain.one_of == {}
    assert plain.search.keys() == {"optimizer.lr", "schedule.warmup"}


def test_the_shipped_space_of_optimizers() -> None:
    spec = load_space("optimizers")
    kinds: Mapping[str, int] = {one.kind: len(one.search) for one in spec.one_of["optimizer"]}
    assert kinds == {"adamw": 2, "sgd": 3, "lion": 2}
    one = load_space("optimizers", ["optimizer.kind=lion"])
    assert one.search.keys() == {"optimizer.lr", "optimizer.weight_decay", "schedule.warmup"}
