from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from search_spaces import (
    Choice,
    LogUniform,
    RandInt,
    Recipe,
    SpaceSpec,
    Uniform,
    load_space,
    parse_space,
    shipped_spaces,
)
from search_spaces.lint.context import read_context
from search_spaces.lint.lint import lint, lint_arms, lint_lines
from search_spaces.lint.rules import LINT_RULES, LINT_SEVERITIES, LintCode, LintFinding
from search_spaces.recipe.optimizers import OPTIMIZERS
from search_spaces.recipe.typical_rates import rates
from search_spaces.search.distributions import Constant, Distribution
from search_spaces.specs.builtin_tasks import BUILTIN_TASKS
from search_spaces.specs.space_parts import Metric

TYPICAL_RATES = {kind: one.TYPICAL_RATES for kind, one in OPTIMIZERS.items()}

PAGE = Path(__file__).parents[3] / "docs" / "lint.md"
OWN = "my_package.my_module:MyTask"
ADAM_AND_DECAY: dict[str, Distribution] = {
    "optimizer.lr": LogUniform(1e-4, 3e-3),
    "optimizer.weight_decay": LogUniform(1e-3, 0.1),
}


def space(task: str, recipe: dict[str, Any], search: dict[str, Distribution] | None = None) -> SpaceSpec:
    metric = Metric(name={"cartpole": "val/return", "characters": "val/loss"}.get(task, "val/nll"), goal="minimize")
    return SpaceSpec(
        name="mine", task=task, metric=metric, recipe=Recipe.model_validate(recipe), search=search or {}, runs=2
    )


def found(
    task: str, recipe: dict[str, Any], search: dict[str, Distribution] | None = None
) -> dict[LintCode, LintFinding]:
    return {finding.code: finding for finding in lint(space(task, recipe, search))}


def codes(*case: Any) -> set[LintCode]:
    return set(found(*case))


CALM = {"schedule": {"kind": "cosine", "warmup": 0.1}, "regularization": {"clip_norm": 1.0}}
SGD = {"kind": "sgd", "lr": 0.1}


def text(lr: float = 3e-5, **sections: Any) -> dict[str, Any]:
    """Return a fine-tune without findings, with some sections changed."""
    return {**CALM, "optimizer": {"kind": "adamw", "lr": lr}, "groups": {"head_lr_scale": 10.0}, **sections}


# --- each rule, with violations of it ------------------------------------------------------------------------------

VIOLATIONS: list[tuple[LintCode, str, Any]] = [
    (LintCode.ADAM_WITH_DECAY, "optimizer.weight_decay", ("mnist1d", {"optimizer": {"kind": "adam_l2"}})),
    (
        LintCode.ADAM_WITH_DECAY,
        "optimizer.weight_decay",
        (
            OWN,
            {"optimizer": {"kind": "adam_l2", "weight_decay": 0.0}},
            {"optimizer.lr": LogUniform(1e-4, 1e-3), "optimizer.weight_decay": Uniform(0.0, 0.1)},
        ),
    ),
    (LintCode.ADAM_WITH_DECAY, "switch.to.weight_decay", ("mnist1d", {"switch": {"to": {"kind": "adam_l2"}}})),
    (LintCode.RATE_OUT_OF_RANGE, "optimizer.lr", ("mnist1d", {"optimizer": {"kind": "adamw", "lr": 0.1}})),
    (LintCode.RATE_OUT_OF_RANGE, "optimizer.lr", ("mnist1d", {"optimizer": {"kind": "sgd", "lr": 3e-4}})),
    (LintCode.RATE_OUT_OF_RANGE, "optimizer.lr", (OWN, {"optimizer": {"kind": "sgd", "lr": 3e-5}})),
    (LintCode.RATE_OUT_OF_RANGE, "optimizer.lr", ("mnist1d", {"optimizer": {"kind": "sophia", "lr": 6e-4}})),
    (LintCode.RATE_OUT_OF_RANGE, "optimizer.adamw_lr", (OWN, {"optimizer": {"kind": "muon", "adamw_lr": 0.1}})),
    (LintCode.RATE_OUT_OF_RANGE, "optimizer.lr", (OWN, {}, {**ADAM_AND_DECAY, "optimizer.lr": LogUniform(1e-3, 1e2)})),
    (LintCode.RATE_OUT_OF_RANGE, "switch.to.lr", ("mnist1d", {"switch": {"to": {"kind": "sgd", "lr": 5.0}}})),
    (LintCode.RATE_OUT_OF_RANGE, "averaging.lr", ("mnist1d", {"averaging": {"kind": "swa", "lr": 0.05}})),
    (LintCode.ADAM_FOR_TRANSFORMER, "optimizer.kind", ("characters", {"optimizer": {"kind": "adam"}})),
    (
        LintCode.ADAM_FOR_TRANSFORMER,
        "optimizer.kind",
        (OWN, {"optimizer": {"kind": "adam"}, "model": {"kind": "transformer"}}),
    ),
    (LintCode.NO_NESTEROV, "optimizer.nesterov", ("digits", {"optimizer": {**SGD, "nesterov": False}})),
    (LintCode.NO_WARMUP, "schedule.warmup", ("characters", {"schedule": {"kind": "cosine"}})),
    (
        LintCode.NO_WARMUP,
        "schedule.warmup",
        ("digits", {"model": {"kind": "transformer"}, "schedule": {"kind": "wsd"}}),
    ),
    (
        LintCode.NO_WARMUP,
        "schedule.warmup",
        ("characters", CALM, {**ADAM_AND_DECAY, "schedule.warmup": Constant(0.0)}),
    ),
    (LintCode.NO_CLIPPING, "regularization.clip_norm", ("characters", {"schedule": CALM["schedule"]})),
    (LintCode.NO_CLIPPING, "regularization.clip_norm", ("mnist1d", {"model": {"kind": "lstm"}})),
    (LintCode.CLIP_TOO_LOW, "regularization.clip_norm", (OWN, {"regularization": {"clip_norm": 0.1}})),
    (
        LintCode.CLIP_TOO_LOW,
        "regularization.clip_norm",
        (OWN, CALM, {**ADAM_AND_DECAY, "regularization.clip_norm": LogUniform(0.01, 1.0)}),
    ),
    (LintCode.DECAY_EVERYWHERE, "optimizer.decay", (OWN, {"optimizer": {"kind": "adamw", "decay": "all"}})),
    (LintCode.BATCH_WITHOUT_RATE, "budget.lr_scaling", (OWN, {}, {"budget.batch_size": Choice([32, 64, 256])})),
    (LintCode.BATCH_WITHOUT_RATE, "budget.lr_scaling", (OWN, {}, {"budget.accumulation": RandInt(1, 8)})),
    (LintCode.ONE_RATE, "groups.head_lr_scale", ("text", text(groups={}))),
    (LintCode.SCRATCH_RATE, "optimizer.lr", ("text", text(1e-3))),
    (LintCode.SCRATCH_RATE, "optimizer.lr", ("text", text(optimizer={"kind": "sgd", "lr": 0.1}))),
    (
        LintCode.STRONG_REGULARIZERS,
        "regularization",
        (OWN, {"optimizer": {"weight_decay": 0.1, "kind": "adamw"}, "regularization": {"dropout": 0.3, "mixup": 0.2}}),
    ),
    (LintCode.SMALL_BATCH_NORM, "model.norm", ("digits", {"model": {"norm": "batch"}, "budget": {"batch_size": 8}})),
    (
        LintCode.SMALL_BATCH_NORM,
        "model.norm",
        ("digits", {"model": {"norm": "batch"}, "budget": {"batch_size": 4, "accumulation": 16}}),
    ),
    (
        LintCode.DROPOUT_BATCH_NORM,
        "regularization.dropout",
        ("mnist1d", {"model": {"norm": "batch"}, "regularization": {"dropout": 0.2}}),
    ),
    (LintCode.TUNED_ALONE, "optimizer.lr", ("mnist1d", {}, {"optimizer.lr": LogUniform(1e-4, 1e-2)})),
    (LintCode.TUNED_ALONE, "schedule.warmup", ("mnist1d", {}, {"schedule.warmup": Uniform(0.0, 0.3)})),
    (LintCode.BETAS_MOVED, "optimizer.betas.1", ("mnist1d", {"optimizer": {"kind": "adamw", "betas": [0.9, 0.95]}})),
    (LintCode.BETAS_MOVED, "optimizer.betas.0", (OWN, {"optimizer": {"kind": "adamw", "betas": [0.5, 0.999]}})),
    (LintCode.EPS_MOVED, "optimizer.eps", (OWN, {"optimizer": {"kind": "adamw", "eps": 1e-3}})),
]

# Similar recipes that violate no rule.
VALID: list[tuple[LintCode, Any]] = [
    (LintCode.ADAM_WITH_DECAY, ("mnist1d", {"optimizer": {"kind": "adamw", "weight_decay": 0.1}})),
    (LintCode.ADAM_WITH_DECAY, ("mnist1d", {"optimizer": {"kind": "adam_l2", "weight_decay": 0.0}})),
    (LintCode.RATE_OUT_OF_RANGE, ("mnist1d", {"optimizer": {"kind": "adamw", "lr": 1e-2}})),
    (LintCode.RATE_OUT_OF_RANGE, (OWN, {"optimizer": {"kind": "sgd", "lr": 1e-3}})),
    (LintCode.RATE_OUT_OF_RANGE, ("mnist1d", {"optimizer": {"kind": "sgd", "lr": 5e-4}, "budget": {"batch_size": 16}})),
    (LintCode.RATE_OUT_OF_RANGE, (OWN, {"optimizer": {"kind": "sophia", "lr": 6e-4, "clip": 1.0}})),
    (LintCode.RATE_OUT_OF_RANGE, (OWN, {"optimizer": {"kind": "muon", "lr": 3e-4, "adjust_lr": "match_rms_adamw"}})),
    (LintCode.RATE_OUT_OF_RANGE, (OWN, {}, {**ADAM_AND_DECAY, "optimizer.lr": LogUniform(1e-5, 1e-1)})),
    (LintCode.ADAM_FOR_TRANSFORMER, ("mnist1d", {"optimizer": {"kind": "adam"}, "model": {"kind": "gru"}})),
    (LintCode.ADAM_FOR_TRANSFORMER, (OWN, {"optimizer": {"kind": "adam"}})),
    (LintCode.ADAM_FOR_TRANSFORMER, ("text", text(optimizer={"kind": "adam"}, model={"lora_rank": 8}))),
    (LintCode.NO_NESTEROV, ("digits", {"optimizer": {**SGD, "momentum": 0.0, "nesterov": False}})),
    (LintCode.NO_NESTEROV, ("digits", {"optimizer": {"kind": "lars"}})),
    (LintCode.NO_WARMUP, ("characters", {"schedule": {"kind": "cosine", "warmup_steps": 100}})),
    (LintCode.NO_WARMUP, ("characters", {"schedule": {"kind": "one_cycle"}})),
    (LintCode.NO_WARMUP, ("characters", {"optimizer": {"kind": "radam"}})),
    (LintCode.NO_WARMUP, ("characters", CALM, {**ADAM_AND_DECAY, "schedule.warmup": Uniform(0.0, 0.3)})),
    (LintCode.NO_WARMUP, (OWN, {})),
    (LintCode.NO_WARMUP, ("digits", {})),
    (LintCode.NO_CLIPPING, ("characters", {"regularization": {"clip_value": 0.5}})),
    (LintCode.NO_CLIPPING, ("characters", {"optimizer": {"kind": "lion"}})),
    (LintCode.NO_CLIPPING, (OWN, {})),
    (LintCode.CLIP_TOO_LOW, (OWN, CALM, {**ADAM_AND_DECAY, "regularization.clip_norm": LogUniform(0.5, 5.0)})),
    (LintCode.DECAY_EVERYWHERE, (OWN, {"optimizer": {"kind": "adamw", "decay": "all", "weight_decay": 0.0}})),
    (LintCode.BATCH_WITHOUT_RATE, (OWN, {}, {"budget.batch_size": Choice([32, 64, 96])})),
    (
        LintCode.BATCH_WITHOUT_RATE,
        (OWN, {}, {"budget.batch_size": Choice([16, 256]), "optimizer.lr": LogUniform(1e-4, 1e-2)}),
    ),
    (LintCode.BATCH_WITHOUT_RATE, (OWN, {"budget": {"lr_scaling": "sqrt"}}, {"budget.batch_size": Choice([16, 256])})),
    (LintCode.ONE_RATE, ("text", text())),
    (LintCode.ONE_RATE, ("text", text(groups={"frozen": ["backbone"]}))),
    (LintCode.ONE_RATE, ("text", text(groups={}), {"optimizer.lr": LogUniform(1e-5, 1e-4)})),
    (LintCode.ONE_RATE, ("text", text(groups={}, model={"lora_rank": 8}))),
    (LintCode.ONE_RATE, ("mnist1d_transfer", {})),  # its head is pretrained, too
    (LintCode.ONE_RATE, (OWN, {})),
    (LintCode.SCRATCH_RATE, ("text", text(5e-4))),
    (LintCode.SCRATCH_RATE, ("text", text(1e-3, model={"lora_rank": 8}))),
    (LintCode.SCRATCH_RATE, ("characters", {})),
    (LintCode.SCRATCH_RATE, ("mnist1d_transfer", {})),
    (LintCode.SCRATCH_RATE, (OWN, {})),
    (
        LintCode.STRONG_REGULARIZERS,
        (OWN, {"optimizer": {"kind": "adamw", "weight_decay": 0.1}, "regularization": {"dropout": 0.3}}),
    ),
    (LintCode.STRONG_REGULARIZERS, (OWN, {"regularization": {"mixup": 0.8, "cutmix": 1.0, "label_smoothing": 0.1}})),
    (LintCode.SMALL_BATCH_NORM, ("digits", {"model": {"norm": "batch"}, "budget": {"batch_size": 16}})),
    (LintCode.SMALL_BATCH_NORM, ("digits", {"model": {"norm": "group"}, "budget": {"batch_size": 8}})),
    (LintCode.DROPOUT_BATCH_NORM, ("digits", {"model": {"norm": "batch"}, "regularization": {"dropout": 0.2}})),
    (
        LintCode.DROPOUT_BATCH_NORM,
        (
            "mnist1d",
            {"regularization": {"dropout": 0.2}},
            {**ADAM_AND_DECAY, "model.norm": Choice(["none", "batch", "layer"])},
        ),
    ),
    (LintCode.TUNED_ALONE, ("mnist1d", {}, ADAM_AND_DECAY)),
    (LintCode.TUNED_ALONE, ("mnist1d", {}, {"regularization.dropout": Uniform(0.0, 0.3)})),
    (LintCode.TUNED_ALONE, ("mnist1d", {}, {"optimizer.lr": Constant(1e-3)})),
    (LintCode.TUNED_ALONE, (OWN, {"budget": {"lr_scaling": "linear"}}, {"budget.batch_size": Choice([16, 256])})),
    (LintCode.BETAS_MOVED, ("characters", {"optimizer": {"kind": "adamw", "betas": [0.9, 0.95]}})),
    (
        LintCode.BETAS_MOVED,
        (
            "mnist1d",
            {"optimizer": {"kind": "adamw", "betas": [0.9, 0.95]}},
            {"optimizer.betas.1": Choice([0.95, 0.999])},
        ),
    ),
    (
        LintCode.BETAS_MOVED,
        (
            "mnist1d",
            {"optimizer": {"kind": "adamw", "betas": [0.9, 0.95]}},
            {"optimizer.betas": Choice([(0.9, 0.95), (0.9, 0.999)])},
        ),
    ),
    (LintCode.BETAS_MOVED, ("mnist1d", {"optimizer": {"kind": "lion"}})),
    (LintCode.EPS_MOVED, (OWN, {"optimizer": {"kind": "adamw", "eps": 1e-6}, "precision": {"kind": "bf16"}})),
    (LintCode.EPS_MOVED, ("text", {"optimizer": {"kind": "adamw", "eps": 1e-6}})),
    (LintCode.EPS_MOVED, ("mnist1d", {"optimizer": {"kind": "shampoo"}})),
]


@pytest.mark.parametrize(("code", "field", "case"), VIOLATIONS)
def test_a_rule_finds_a_violation(code: LintCode, field: str, case: Any) -> None:
    finding = next(finding for finding in lint(space(*case)) if finding.code is code and finding.field == field)
    assert (finding.severity, bool(finding.evidence), bool(finding.fix)) == (LINT_RULES[code].severity, True, True)


@pytest.mark.parametrize(("code", "case"), VALID)
def test_a_rule_finds_nothing_in_a_similar_recipe(code: LintCode, case: Any) -> None:
    assert code not in codes(*case)


def test_every_rule_has_both_tests() -> None:
    assert {code for code, *_ in VIOLATIONS} | {LintCode.SHARED_RANGE} == set(LintCode)
    assert {code for code, *_ in VALID} | {LintCode.SHARED_RANGE} == set(LintCode)


@pytest.mark.parametrize("kind", [kind for kind in TYPICAL_RATES if kind != "sophia"])
def test_a_factor_of_exactly_ten_is_still_allowed(kind: str) -> None:
    usual = TYPICAL_RATES[kind]
    for lr, off in ((usual.gentle / 10, 0.99), (usual.high * 10, 1.01)):
        assert LintCode.RATE_OUT_OF_RANGE not in codes(OWN, {"optimizer": {"kind": kind, "lr": float(f"{lr:.6g}")}})
        assert LintCode.RATE_OUT_OF_RANGE in codes(OWN, {"optimizer": {"kind": kind, "lr": lr * off}})


# --- spaces --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", shipped_spaces())
def test_a_shipped_space_has_no_findings(name: str) -> None:
    assert lint(load_space(name)) == ()


PLANTED = """
kind: sweep
task: text
metric: {name: val/accuracy, goal: maximize}
recipe:
  optimizer: {kind: adam_l2, lr: 0.1, betas: [0.8, 0.999], eps: 1e-3, weight_decay: 0.1, decay: all}
  switch: {at: 0.5, to: {kind: sgd, nesterov: false}}
  schedule: {kind: cosine}
  regularization: {dropout: 0.5, label_smoothing: 0.1, mixup: 0.2, clip_norm: null}
  model: {norm: batch}
  budget: {batch_size: 8}
search:
  budget.batch_size: {choice: [4, 8, 16]}
runs: 8
"""


def test_all_planted_mistakes_of_one_space_are_found(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(PLANTED)
    findings = lint(load_space(str(path)))
    elsewhere = {LintCode.ADAM_FOR_TRANSFORMER, LintCode.CLIP_TOO_LOW, LintCode.SHARED_RANGE}
    assert {finding.code for finding in findings} == set(LintCode) - elsewhere
    severities = [LINT_SEVERITIES.index(finding.severity) for finding in findings]
    assert severities == sorted(severities)
    assert lint(load_space(str(path))) == findings


def test_run_0_alone_is_enough_for_a_finding_that_reports_the_share_of_the_search() -> None:
    recipe = {"optimizer": {"kind": "adamw", "lr": 0.5}}
    finding = found("mnist1d", recipe, ADAM_AND_DECAY)[LintCode.RATE_OUT_OF_RANGE]
    assert finding.evidence == "adamw at 0.5, typical rates are 0.0001 to 0.003; the baseline and 0 % of the search"


def test_most_of_a_range_is_enough_for_a_finding() -> None:
    search = {**ADAM_AND_DECAY, "optimizer.lr": LogUniform(1e-3, 1e3)}
    evidence = found("mnist1d", {}, search)[LintCode.RATE_OUT_OF_RANGE].evidence
    assert re.match(r"loguniform: \[0\.001, 1000\.0\], 75 % of it like adamw at [\d.e+]+, typical rates are", evidence)


def test_a_finding_about_a_fixed_value_reports_no_share() -> None:
    finding = found("digits", {"optimizer": {**SGD, "nesterov": False}}, {"optimizer.momentum": Uniform(0.5, 0.9)})
    assert finding[LintCode.NO_NESTEROV].evidence == "momentum 0.9 without Nesterov's look-ahead"


def test_invalid_points_are_left_out() -> None:
    clips: dict[str, Distribution] = {
        "regularization.clip_norm": Choice([None, 1.0]),
        "regularization.clip_value": Choice([0.5, None]),  # a recipe must not have both
    }
    assert lint(space(OWN, {}, clips)) == ()


# --- arms ----------------------------------------------------------------------------------------------------------


def arms(**optimizers: dict[str, Any]) -> dict[str, Recipe]:
    return {name: Recipe.model_validate({"optimizer": optimizer}) for name, optimizer in optimizers.items()}


SHARED: dict[str, Distribution] = {"optimizer.lr": LogUniform(1e-5, 1e-1)}
RIVALS = arms(adam={"kind": "adamw"}, momentum={"kind": "sgd"})


def test_optimizers_that_share_a_range() -> None:
    [finding] = lint_arms(RIVALS, {"adam": SHARED, "momentum": SHARED})
    assert (finding.code, finding.severity) == (LintCode.SHARED_RANGE, "warning")
    assert finding.evidence == "adam (adamw), momentum (sgd) share loguniform: [1e-05, 0.1]"
    assert finding.fix == "give each arm its own range: adamw 0.0001 to 0.003, sgd 0.01 to 0.1"


def test_optimizers_that_share_one_rate() -> None:
    [finding] = lint_arms(arms(a={"kind": "adamw", "lr": 0.01}, b={"kind": "sgd", "lr": 0.01}, c={"kind": "lion"}))
    assert finding.evidence == "a (adamw), b (sgd) share the rate 0.01"


def test_arms_with_ranges_of_their_own() -> None:
    assert lint_arms(RIVALS) == ()
    assert lint_arms(RIVALS, {"adam": SHARED, "momentum": {"optimizer.lr": LogUniform(1e-3, 1)}}) == ()
    alike = arms(adam={"kind": "adam"}, adamw={"kind": "adamw"})
    assert lint_arms(alike, {"adam": SHARED, "adamw": SHARED}) == ()
    assert lint_arms({}) == ()


# --- text and tables -----------------------------------------------------------------------------------------------


def test_the_lines_of_a_finding() -> None:
    lines = lint_lines(lint(space("characters", {"regularization": {"clip_norm": 1.0}})))
    assert lines == (
        "WARNING transformer-without-warmup  schedule.warmup: a transformer starts at the peak of its cosine schedule",
        "  fix: write schedule.warmup: 0.05 (Xiong et al., ICML 2020)",
    )
    assert lint_lines(()) == ()


@pytest.mark.parametrize("name", BUILTIN_TASKS)
def test_the_context_of_a_built_in_task_is_known(name: str) -> None:
    context = read_context(space(name, {}))
    assert (context.family, context.pretrained, context.new_head) == BUILTIN_TASKS[name][1:4]


@pytest.mark.parametrize("kind", OPTIMIZERS.values())
def test_every_optimizer_has_typical_rates_and_its_default_is_one_of_them(kind: type[Any]) -> None:
    for rate in rates(Recipe(optimizer=kind())):
        assert 0 < rate.typical.gentle <= rate.typical.low <= rate.value * 1.001
        assert rate.value <= rate.typical.high * 1.001


def test_the_page_has_a_row_for_every_rule() -> None:
    rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in PAGE.read_text().splitlines()]
    table = {cells[0]: cells[1:] for cells in rows if len(cells) == 5 and cells[0] in set(LintCode)}
    assert table.keys() == set(LintCode)
    for code, (severity, meaning, fix, source) in table.items():
        assert (severity, source) == LINT_RULES[LintCode(code)], code
        assert meaning
        assert fix


def test_the_page_has_the_typical_rates() -> None:
    rows = re.findall(r"^\| (`[^|]+`) \| ([\d.e-]+) to ([\d.e-]+)", PAGE.read_text(), re.MULTILINE)
    written = {kind: (float(low), float(high)) for kinds, low, high in rows for kind in re.findall(r"\w+", kinds)}
    assert written == {kind: (usual.low, usual.high) for kind, usual in TYPICAL_RATES.items()}
    assert all(usual.gentle == pytest.approx(usual.low / 10) for usual in TYPICAL_RATES.values())


# --- alternatives --------------------------------------------------------------------------------------------------

ONE_OF = """
kind: sweep
task: mnist1d
metric: {name: val/accuracy, goal: maximize}
recipe:
  optimizer: {kind: adamw, lr: 1e-3}
search:
  optimizer:
    one_of:
      - {kind: adamw, lr: {loguniform: [1e-4, 1e-2]}, weight_decay: {loguniform: [1e-3, 0.1]}}
      - SECOND
      - {kind: lion, lr: {loguniform: [1e-5, 1e-3]}, weight_decay: {loguniform: [1e-2, 1]}}
runs: 8
"""


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ("{kind: sgd, lr: {loguniform: [1e-2, 1]}, weight_decay: {loguniform: [1e-5, 1e-2]}}", []),
        # A third of all points, but every point of this alternative.
        (
            "{kind: sgd, nesterov: false, lr: {loguniform: [1e-2, 1]}, weight_decay: {uniform: [0, 0.1]}}",
            [LintCode.NO_NESTEROV],
        ),
        (
            "{kind: adam_l2, weight_decay: {loguniform: [1e-3, 0.1]}, lr: {loguniform: [1e-4, 1e-2]}}",
            [LintCode.ADAM_WITH_DECAY],
        ),
        ("{kind: sgd, lr: {loguniform: [3, 9]}, weight_decay: {uniform: [0, 0.1]}}", [LintCode.RATE_OUT_OF_RANGE]),
        ("{kind: sgd, lr: {loguniform: [1e-2, 1]}}", [LintCode.TUNED_ALONE]),
        ("{kind: sgd, nesterov: false}", [LintCode.NO_NESTEROV]),
        ("{kind: sgd, lr: {loguniform: [1e-4, 1e-2]}, weight_decay: {uniform: [0, 0.1]}}", [LintCode.SHARED_RANGE]),
    ],
)
def test_each_alternative_is_checked_separately(second: str, expected: list[LintCode]) -> None:
    spec = parse_space(ONE_OF.replace("SECOND", second), "f.yaml", "mine")
    assert [finding.code for finding in lint(spec)] == expected


def test_a_baseline_that_is_no_alternative_is_checked_too() -> None:
    text = ONE_OF.replace("      - SECOND\n", "").replace(
        "{kind: adamw, lr: 1e-3}", "{kind: adam_l2, weight_decay: 0.1}"
    )
    assert [finding.code for finding in lint(parse_space(text, "f.yaml", "mine"))] == [LintCode.ADAM_WITH_DECAY]


# --- training loops, which may read a part of the recipe only -------------------------------------------------------

LOOP_FILE = """
kind: sweep
task: {task}
metric: {{name: val/accuracy, goal: maximize}}
recipe: {{budget: {{epochs: 5}}{more}}}
search: {{optimizer.lr: {{loguniform: [1e-3, 10]}}}}
runs: 3
"""


@pytest.mark.parametrize("settings", [(), ("budget.epochs=3",)])
@pytest.mark.parametrize(
    ("task", "more", "checked"),
    [
        ("mine:train", "", False),
        ("mine:train", ", model: {kind: transformer}", False),
        ("mine:train", ", optimizer: {kind: adamw}", True),
        ("mine:Task", "", True),
        ("mnist1d", "", True),
    ],
)
def test_what_a_loop_leaves_out_has_no_findings(
    task: str, more: str, checked: bool, settings: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text(LOOP_FILE.format(task=task, more=more))
    findings = lint(load_space(str(tmp_path / "mine.yaml"), settings))
    assert (LintCode.RATE_OUT_OF_RANGE in {one.code for one in findings}) == checked
    assert bool(findings) == checked
