"""Each rule on synthetic curves: what it finds, what it does not find, and its error rates."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.diagnosis.curves import Curves
from analysis.diagnosis.diagnose import RULES, curves_of, diagnose
from analysis.diagnosis.findings import Code, Finding, Severity
from analysis.report.sweep.appendix import MOST_FINDINGS
from search_spaces import Budget, Recipe
from tests.analysis.diagnosis.planted_problems import planted
from tests.analysis.diagnosis.synthetic_curves import healthy

N = 20
FALL = 0.3 + 2.0 * np.exp(-np.arange(N) / 4)


def plain(**series: Any) -> dict[str, Any]:
    """Return series of N epochs by names with `_` for the slash; a number is a constant series."""
    return {name.replace("_", "/", 1): np.broadcast_to(np.asarray(v, float), (N,)) for name, v in series.items()}


def curves(facts: dict[str, Any] | None = None, **series: Any) -> Curves:
    """Return curves with ten classes and both losses falling to 0.3, unless a series is given."""
    recorded = plain(train_loss=FALL, val_nll=FALL, val_accuracy=np.linspace(0.2, 0.9, N)) | plain(**series)
    return Curves(np.arange(1, N + 1), recorded, budget=N, **{"classes": 10, "lr": 0.01, **(facts or {})})


def codes(findings: Sequence[Finding], alarms: bool = False) -> list[Code]:
    return [one.code for one in findings if one.alarm or not alarms]


def has(code: Code, of: Curves) -> bool:
    return code in codes(diagnose(of))


def test_at_most_one_healthy_run_in_twenty_has_an_alarm() -> None:
    rng = np.random.default_rng(20)
    assert sum(any(one.alarm for one in diagnose(healthy(rng))) for _ in range(200)) <= 10


@pytest.mark.parametrize("code", Code)
def test_nine_of_ten_planted_problems_are_found(code: Code) -> None:
    rng = np.random.default_rng(21)
    runs = [diagnose(planted(code, rng)) for _ in range(100)]
    assert sum(code in codes(found) for found in runs) >= 90
    assert sum(code in codes(found[:MOST_FINDINGS]) for found in runs) >= 90
    assert all(one.evidence.endswith(".") and one.next_step.endswith(".") for found in runs for one in found)


def test_no_rule_has_many_findings_on_healthy_runs() -> None:
    rng = np.random.default_rng(22)
    counts = Counter(code for _ in range(200) for code in codes(diagnose(healthy(rng))))
    assert all(count <= 4 for code, count in counts.items() if code not in (Code.UNDERTRAINED, Code.PLATEAU)), counts


def changed(at: int, to: Sequence[float]) -> np.ndarray[Any, Any]:
    values = FALL.copy()
    values[at : at + len(to)] = to
    return values


SWING = np.where(np.arange(N) % 2, 1.0, -1.0)
UP = np.concatenate([FALL[:8], FALL[7] * np.linspace(1.02, 1.5, N - 8)])

RARE: dict[str, Any] = {"classes": 2, "shares": (0.95, 0.05)}
"""Facts of two classes with an entropy of .199 nats; predicting both with equal probability has a loss of ln 2."""

POSITIVE: list[tuple[Code, Severity, dict[str, Any], dict[str, Any]]] = [
    (Code.DIVERGED, Severity.ERROR, {}, {"train_loss": changed(12, [0.9] * 8)}),
    (Code.DIVERGED, Severity.ERROR, {}, {"train_loss": changed(18, [3.6, 9.0])}),
    (Code.DIVERGED, Severity.ERROR, {}, {"train_loss": [50.0] + [2.31] * (N - 1)}),
    (Code.SPIKES, Severity.WARNING, {}, {"train_loss": changed(12, [1.5])}),
    (Code.LR_TOO_HIGH, Severity.WARNING, {}, {"train_loss": changed(10, [1.5, 0.4, 1.5, 0.4, 1.5])}),
    (Code.LR_TOO_HIGH, Severity.WARNING, {"warmup": 3.0}, {"train_loss": changed(3, [1.8])}),
    (Code.OSCILLATING, Severity.WARNING, {}, {"val_nll": FALL + 0.3 * SWING}),
    (Code.OSCILLATING, Severity.WARNING, {}, {"val_nll": 0.8 + 0.2 * SWING}),
    (Code.GRAD_VANISH, Severity.ERROR, {}, {"train_grad_norm": 1e-8}),
    (
        Code.GRAD_VANISH,
        Severity.ERROR,
        {},
        {"train_grad_norm": 1, "train_grad_norm_layer_min": 0, "train_grad_norm_layer_max": 1},
    ),
    (
        Code.GRAD_EXPLODE,
        Severity.ERROR,
        {},
        {"train_grad_norm": 90, "train_grad_norm_layer_min": 0.9, "train_grad_norm_layer_max": 80},
    ),
    (Code.CHANCE, Severity.ERROR, {"val_examples": 400}, {"val_accuracy": 0.129}),
    (Code.CHANCE, Severity.ERROR, {"shares": (0.4, *[0.6 / 9] * 9), "val_examples": 400}, {"val_accuracy": 0.4}),
    (Code.INIT_LOSS, Severity.WARNING, {"initial_loss": 2.9}, {}),
    (Code.INIT_LOSS, Severity.WARNING, {"initial_loss": 1.7}, {}),
    (Code.INIT_LOSS, Severity.WARNING, {}, {"train_loss": changed(0, [2.9])}),
    (Code.UNDERFIT, Severity.WARNING, {}, {"train_loss": 2.2, "val_nll": 2.25}),
    (Code.UNDERFIT, Severity.WARNING, RARE, {"train_loss": 0.197, "val_nll": 0.2}),
    (Code.INIT_LOSS, Severity.WARNING, RARE | {"initial_loss": 1.4}, {}),
    (Code.INIT_LOSS, Severity.WARNING, RARE | {"initial_loss": 0.03}, {}),
    (Code.CHANCE, Severity.ERROR, RARE | {"val_examples": 400}, {"val_accuracy": 0.95}),
    (Code.DIVERGED, Severity.ERROR, RARE, {"train_loss": changed(12, [1.9] * 4 + [0.2] * 4)}),
    (Code.CLIP_HIGH, Severity.WARNING, {"clips": True}, {"train_clip_rate": 0.21}),
    (Code.CLIP_HIGH, Severity.ERROR, {"clips": True}, {"train_clip_rate": 0.51}),
    (Code.CLIP_HIGH, Severity.INFO, {"clips": True}, {"train_clip_rate": 0.0}),
    (Code.UPDATE_RATIO, Severity.WARNING, {}, {"train_update_ratio": 0.2}),
    (Code.UPDATE_RATIO, Severity.WARNING, {}, {"train_update_ratio": 5e-5}),
    (Code.OVERFIT, Severity.WARNING, {}, {"val_nll": UP, "val_accuracy": np.linspace(0.9, 0.6, N)}),
    (Code.OVERFIT_CONFIDENCE, Severity.WARNING, {}, {"val_nll": UP}),
    (Code.VAL_BETTER, Severity.WARNING, {}, {"train_nll_eval": FALL, "val_nll": FALL * 0.6}),
    (Code.TOO_LONG, Severity.WARNING, {}, {"val_nll": np.linspace(0.5, 0.6, N)}),
    (Code.TOO_LONG, Severity.WARNING, {"metric": "val/accuracy", "maximize": True}, {"val_accuracy": 1.0}),
    (Code.UNDERTRAINED, Severity.INFO, {}, {"val_nll": np.linspace(2.3, 0.8, N)}),
    (Code.PLATEAU, Severity.INFO, {}, {"val_nll": changed(12, [0.5, 0.51] * 4)}),
]


@pytest.mark.parametrize(("code", "severity", "facts", "series"), POSITIVE)
def test_it_is_found(code: Code, severity: Severity, facts: dict[str, Any], series: dict[str, Any]) -> None:
    assert (code, severity) in [(one.code, one.severity) for one in diagnose(curves(facts, **series))]


NEGATIVE: list[tuple[str, Code, dict[str, Any], dict[str, Any]]] = [
    ("a healthy run", Code.NAN, {}, {}),
    ("twice a tiny loss", Code.DIVERGED, {}, {"train_loss": changed(10, [0.01] * 3 + [0.03] * 7)}),
    ("four epochs, then back", Code.DIVERGED, {}, {"train_loss": changed(12, [2.0] * 4)}),
    ("a bad first epoch", Code.DIVERGED, {}, {"train_loss": changed(0, [20.0])}),
    ("one spike above 1.5 ln K", Code.DIVERGED, {}, {"train_loss": changed(12, [4.0])}),
    ("high in the warmup only", Code.DIVERGED, {"warmup": 2.0}, {"train_loss": [9.0, 9.0] + [2.31] * (N - 2)}),
    ("a spike before something is learnt", Code.DIVERGED, RARE, {"train_loss": [0.7] * 12 + [1.9] * 4 + [0.15] * 4}),
    ("a bias of the class shares", Code.INIT_LOSS, {**RARE, "initial_loss": 0.199}, {}),
    ("an equal probability of both classes", Code.INIT_LOSS, {**RARE, "initial_loss": 0.693}, {}),
    ("outputs that lean to the rare class", Code.INIT_LOSS, {**RARE, "initial_loss": 1.1}, {}),
    ("better than the class shares", Code.UNDERFIT, RARE, {"train_loss": 0.15, "val_nll": 0.16}),
    ("no classes", Code.DIVERGED, {"classes": None}, {"train_loss": 99.0}),
    ("below twice", Code.SPIKES, {}, {"train_loss": changed(12, [0.6])}),
    ("noise without a trend", Code.SPIKES, {}, {"train_loss": 1.0 + 0.45 * SWING}),
    ("two spikes", Code.LR_TOO_HIGH, {}, {"train_loss": changed(10, [1.5, 0.4, 1.5])}),
    ("a rise in the warmup", Code.LR_TOO_HIGH, {"warmup": 5.0}, {"train_loss": changed(1, [3.0])}),
    ("noise of a flat end", Code.OSCILLATING, {}, {"val_nll": FALL + 0.02 * SWING}),
    ("noise after one good epoch", Code.OSCILLATING, {}, {"val_nll": 0.3 + 0.01 * SWING}),
    ("noise at chance", Code.OSCILLATING, {}, {"val_nll": 2.3 + 0.01 * SWING}),
    (
        "an exploding gradient does not vanish",
        Code.GRAD_VANISH,
        {},
        {"train_grad_norm": 90, "train_grad_norm_layer_min": 0, "train_grad_norm_layer_max": 80},
    ),
    (
        "layers of one order of magnitude",
        Code.GRAD_VANISH,
        {},
        {"train_grad_norm": 1, "train_grad_norm_layer_min": 0.01, "train_grad_norm_layer_max": 1},
    ),
    (
        "a weak layer of a small gradient",
        Code.GRAD_EXPLODE,
        {},
        {"train_grad_norm": 1, "train_grad_norm_layer_min": 0.01, "train_grad_norm_layer_max": 1},
    ),
    ("3 standard errors above", Code.CHANCE, {"val_examples": 400}, {"val_accuracy": 0.145}),
    ("no classes", Code.CHANCE, {"classes": None}, {"val_accuracy": 0.0}),
    ("within 20 %", Code.INIT_LOSS, {"initial_loss": 2.6}, {}),
    ("measured and right", Code.INIT_LOSS, {"initial_loss": 2.3}, {"train_loss": changed(0, [9.0])}),
    ("mixup holds the training loss up", Code.UNDERFIT, {}, {"train_loss": 2.2}),
    ("less than a fifth", Code.CLIP_HIGH, {"clips": True}, {"train_clip_rate": 0.19}),
    ("no clipping at all", Code.CLIP_HIGH, {}, {"train_clip_rate": 0.0}),
    (
        "clipped in the warmup",
        Code.CLIP_HIGH,
        {"clips": True, "warmup": 4.0},
        {"train_clip_rate": [1.0] * 4 + [0.1] * 16},
    ),
    ("a decayed rate", Code.UPDATE_RATIO, {}, {"train_update_ratio": [1e-3] * 15 + [1e-6] * 5}),
    ("accuracy holds", Code.OVERFIT, {}, {"val_nll": UP}),
    (
        "training rises too",
        Code.OVERFIT,
        {},
        {"val_nll": UP, "train_loss": UP, "val_accuracy": np.linspace(0.9, 0.6, N)},
    ),
    ("accuracy falls", Code.OVERFIT_CONFIDENCE, {}, {"val_nll": UP, "val_accuracy": np.linspace(0.9, 0.6, N)}),
    ("by 1 %", Code.OVERFIT_CONFIDENCE, {}, {"val_nll": changed(13, [FALL[12] * 1.01] * 7)}),
    ("it came down again", Code.OVERFIT_CONFIDENCE, {}, {"val_nll": changed(8, [0.9] * 5)}),
    ("no training loss in eval mode", Code.VAL_BETTER, {}, {"val_nll": FALL * 0.6}),
    ("sampling noise", Code.VAL_BETTER, {"val_examples": 300}, {"train_nll_eval": FALL, "val_nll": FALL * 0.9}),
    ("the third epoch", Code.TOO_LONG, {}, {"val_nll": [0.5, 0.5, 0.4] + [0.6] * 17}),
    ("stopped at a rung", Code.UNDERTRAINED, {"state": "STOPPED"}, {"val_nll": np.linspace(2.3, 0.8, N)}),
    ("by very little", Code.UNDERTRAINED, {}, {"val_nll": np.linspace(0.31, 0.3, N)}),
    ("still falling", Code.PLATEAU, {}, {"val_nll": np.linspace(2.3, 0.8, N)}),
]


@pytest.mark.parametrize(("why", "code", "facts", "series"), NEGATIVE)
def test_it_is_not_found(why: str, code: Code, facts: dict[str, Any], series: dict[str, Any]) -> None:
    assert not has(code, curves(facts, **series)), why


def test_patience_ends_with_the_best_weights_restored() -> None:
    restored = UP.copy()
    restored[-1] = restored[:-1].min()
    assert has(Code.OVERFIT_CONFIDENCE, curves(val_nll=restored))


def test_nan_names_epoch_rate_and_gradient() -> None:
    bad = curves(train_loss=changed(6, [math.nan]), train_grad_norm=np.arange(N), train_lr=0.5)
    [first] = [one for one in diagnose(bad) if one.code is Code.NAN]
    assert first == diagnose(bad)[0]
    assert (first.epoch, first.severity) == (7, Severity.ERROR)
    assert first.evidence == "train/loss: not finite at epoch 7 (lr 0.5); the last finite gradient norm was 5."


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_another_metric_that_is_not_finite_is_a_warning_that_names_all(value: float) -> None:
    healthy = curves()
    bad = curves(val_auc=changed(6, [value]), val_f1=changed(4, [value]))
    [found] = [one for one in diagnose(bad) if one.code is Code.NAN]
    assert (found.epoch, found.severity) == (5, Severity.WARNING)
    assert found.evidence.startswith("val/auc, val/f1: not finite in some epochs, first at epoch 5")
    assert [one for one in diagnose(bad) if one is not found and one.code is not Code.NAN] == list(diagnose(healthy))


def test_a_vanished_gradient_is_distinguished_from_a_detached_layer() -> None:
    def advice(first: float) -> str:
        layers = {"train_grad_norm_layer_min": [first] + [0.0] * (N - 1), "train_grad_norm_layer_max": 1.0}
        [found] = [one for one in diagnose(curves(train_grad_norm=1.0, **layers)) if one.code is Code.GRAD_VANISH]
        return found.next_step

    assert "divide the learning rate" in advice(0.2)
    assert "detached layer" in advice(0.0)


def test_a_run_in_the_state_diverged_has_the_finding_nan() -> None:
    assert has(Code.NAN, replace(curves(), state="DIVERGED"))
    empty = Curves(np.arange(0), {}, budget=N, state="DIVERGED")
    assert codes(diagnose(empty)) == [Code.NAN, Code.TOO_SHORT]


def cut(of: Curves, n: int, **facts: Any) -> Curves:
    return replace(of, epochs=of.epochs[:n], series={name: v[:n] for name, v in of.series.items()}, **facts)


def test_short_runs() -> None:
    wild = curves({"clips": True}, train_loss=[1.0] + [99.0] * (N - 1), train_clip_rate=1.0, val_accuracy=0.1)
    assert codes(diagnose(cut(wild, 7))) == [Code.TOO_SHORT]
    assert Code.TOO_SHORT not in codes(diagnose(cut(wild, 8)))
    # 200 steps are enough for the rules about steps.
    assert codes(diagnose(cut(wild, 4, steps_per_epoch=50))) == [Code.CLIP_HIGH, Code.TOO_SHORT]
    assert codes(diagnose(cut(wild, 4, steps_per_epoch=49))) == [Code.TOO_SHORT]


def test_close_to_learning_rates_that_diverged() -> None:
    def at(lr: float, state: str = "COMPLETE") -> Curves:
        return replace(curves(), lr=lr, state=state)

    higher = [at(0.02, "DIVERGED"), at(0.05, "DIVERGED")]
    found = [one for one in diagnose(curves(), higher) if one.code is Code.LR_TOO_HIGH]
    assert [one.severity for one in found] == [Severity.INFO]
    for neighbours in ([], higher[:1], [*higher, at(0.03)], [at(0.001, "DIVERGED"), at(0.5, "DIVERGED"), higher[0]]):
        assert Code.LR_TOO_HIGH not in codes(diagnose(curves(), neighbours))


def test_alarms_come_first() -> None:
    wild = curves(
        {"clips": True},
        train_loss=[50.0] + [2.31] * (N - 1),
        val_nll=2.31,
        val_accuracy=0.1,
        train_clip_rate=0.0,
        train_update_ratio=1.0,
    )
    found = diagnose(wild)
    assert codes(found) == [
        Code.DIVERGED,
        Code.CHANCE,
        Code.INIT_LOSS,
        Code.UNDERFIT,
        Code.UPDATE_RATIO,
        Code.TOO_LONG,
        Code.CLIP_HIGH,
        Code.PLATEAU,
    ]


def test_every_code_has_its_rule_in_order() -> None:
    assert [Code.NAN, *(rule.code for rule in RULES), Code.TOO_SHORT] == list(Code)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_a_custom_loop_may_record_few_metrics(rule: Any) -> None:
    for series in ({}, {"val/mse": FALL}, {"val/return": -FALL}):
        of = Curves(np.arange(1, N + 1), series, budget=N, metric="val/return", maximize=True)
        assert rule.check(of) is None or rule.code in (Code.UNDERTRAINED, Code.PLATEAU)


def test_curves_are_checked() -> None:
    with pytest.raises(ValueError, match="epochs must be one-dimensional and increasing"):
        Curves(np.array([2, 1]), {}, budget=2)
    with pytest.raises(ValueError, match=r"shape \(2,\), found \{'a': \(3,\)\}"):
        Curves(np.array([1, 2]), {"a": np.zeros(3)}, budget=2)


def test_a_program_has_names_and_units_of_its_own() -> None:
    """Eval loss rises while the training loss falls, and the accuracy is in percent."""
    steps = range(1, 41)
    values = {
        "train/loss": [2.0 / step for step in steps],
        "eval/loss": [1.0 / step if step < 15 else 0.02 * step for step in steps],
        "eval/acc": [90.0 for _ in steps],
    }
    rows = [(100 * step, name, found[step - 1]) for name, found in values.items() for step in steps]
    frame = pd.DataFrame(rows, columns=["epoch", "name", "value"])
    recipe = Recipe(args={"lr": 0.1}, budget=Budget(steps=4000))
    curves = curves_of(frame, recipe, state="COMPLETE", metric="eval/reward", maximize=True, command=True)
    assert (curves.lr, curves.warmup, curves.clips, curves.unit) == (None, 0.0, False, "step")
    [overfit] = [one for one in diagnose(curves) if one.code is Code.OVERFIT]
    assert "at step 1300" in overfit.evidence
    assert overfit.next_step.endswith("or let the program keep its best checkpoint.")
    for one in diagnose(curves):
        assert "epoch" not in one.evidence + one.next_step


def test_a_warmup_in_steps_leaves_out_the_reports_that_begin_in_it():
    in_steps = replace(curves({"warmup": 100.0}), epochs=50 * np.arange(1, N + 1), unit="step")
    assert in_steps.after_warmup.tolist() == [False, False, *[True] * (N - 2)]
    assert curves({"warmup": 2.0}).after_warmup.tolist() == in_steps.after_warmup.tolist()


def test_a_short_curve_over_many_steps_has_its_steps_examined():
    few = Curves(np.array([100, 200]), {"train/update_ratio": np.array([0.5, 0.5])}, budget=300, unit="step")
    assert (few.steps, few.record) == (200, "report")
    assert codes(diagnose(few)) == [Code.UPDATE_RATIO, Code.TOO_SHORT]
    assert diagnose(few)[-1].evidence.startswith("The run has 2 reports; ")


def test_a_slope_is_per_report_if_the_budget_is_in_steps():
    flat = replace(curves(val_nll=0.3), epochs=50 * np.arange(1, N + 1), unit="step")
    [found] = [one for one in diagnose(flat) if one.code is Code.PLATEAU]
    assert "its improvement per report is" in found.evidence
    assert "from step" in found.evidence
