from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import get_args

import pytest

from search_spaces import SpaceSpec, UsageError, lookup, parse_space
from search_spaces.lint.lint import lint, lint_lines
from search_spaces.recommend.decisions import Approach, Architecture, Priority, Situation
from search_spaces.recommend.recommend import Recommendation, ask_situation, recommend_space
from search_spaces.search.distributions import Choice, LogUniform, Uniform
from search_spaces.specs.builtin_tasks import BUILTIN_TASKS
from trainers.task_checks import prepare

MODELS: tuple[Architecture, ...] = get_args(Architecture)


@cache
def spec(situation: Situation) -> SpaceSpec:
    return parse_space(recommend_space(situation).text, "space.yaml", "space")


def every(model: Architecture) -> Iterator[Situation]:
    sizes = itertools.product((16, 128, 16384), (500, 50_000), (None, 2))
    for task, wish, (batch, data, epochs) in itertools.product(get_args(Approach), get_args(Priority), sizes):
        yield Situation(model, task, batch, data, epochs, wish)


def body(space: Recommendation) -> str:
    """Return the lines that lint reads: without the title, comments, epochs and the end."""
    lines = [line for line in space.text.splitlines() if "#" not in line and "early_stopping" not in line]
    return re.sub(r"epochs: \d+", "", "\n".join(lines))


@pytest.mark.parametrize("model", MODELS)
def test_lint_finds_nothing_in_a_recommended_space(model: Architecture) -> None:
    linted = set()
    for situation in every(model):
        space = recommend_space(situation)
        assert spec(situation).task.partition("?")[0] == space.task
        if body(space) not in linted:
            assert lint_lines(lint(spec(situation))) == (), situation
            linted.add(body(space))


@pytest.mark.parametrize("model", MODELS)
def test_the_reasons_are_comments_of_the_space(model: Architecture) -> None:
    for situation in every(model):
        space = recommend_space(situation)
        comments = " ".join(re.findall(r"^ *# (.*)$", space.text, re.MULTILINE))
        assert all(reason in comments for reason in space.reasons)
        assert len(space.reasons) >= 6
        assert all(len(line) <= 120 for line in space.text.splitlines())
        assert f"task: {space.task}" in space.text.replace("{", "")
        assert "my_package.my_module:MyTask" in comments
        assert recommend_space(situation) == space


def test_the_example_task_can_be_replaced_by_the_user_s_own() -> None:
    text = recommend_space(Situation("cnn")).text.replace("task: digits", "task: my_package.my_module:MyTask")
    assert parse_space(text, "mine.yaml", "mine").task == "my_package.my_module:MyTask"


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("task", get_args(Approach))
def test_the_example_task_is_of_the_same_family(model: Architecture, task: Approach) -> None:
    found = spec(Situation(model, task))
    facts = BUILTIN_TASKS[found.task.partition("?")[0]]
    kinds = {"vit": "transformer", "rl": "mlp"}
    family = {"gru": "rnn"}.get(found.recipe.model.kind or "", found.recipe.model.kind) or facts.family
    assert family == kinds.get(model, model)
    assert facts.pretrained == (task != "scratch" and model in ("transformer", "vit", "cnn"))


@pytest.mark.slow
@pytest.mark.parallel
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("task", get_args(Approach))
def test_the_space_can_be_trained_without_changes(model: Architecture, task: Approach) -> None:
    found = spec(Situation(model, task))
    digests = prepare(found.task, found.recipe, found.sampler.seed)
    assert set(digests) == (set() if found.task == "cartpole" else {"train", "val", "test"})


# --- decisions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("situation", "kind", "lr", "decay"),
    [
        (Situation("transformer"), "adamw", 3e-4, 0.1),
        (Situation("vit"), "adamw", 5e-4, 0.05),
        (Situation("cnn"), "sgd", 0.1, 5e-4),
        (Situation("cnn", priority="fast"), "adamw", 1e-3, 0.01),
        (Situation("cnn", batch=16), "adamw", 1e-3, 0.01),
        (Situation("rnn"), "adam", 1e-3, None),
        (Situation("mlp"), "adamw", 1e-3, 0.01),
        (Situation("rl"), "adam", 3e-4, None),
        (Situation("rl", data=500), "adam", 3e-4, None),
        (Situation("transformer", "finetune"), "adamw", 3e-5, 0.01),
        (Situation("cnn", "finetune"), "adamw", 3e-5, 0.01),
        (Situation("transformer", "lora"), "adamw", 3e-4, 0.0),
        (Situation("transformer", "lora", data=500), "adamw", 3e-4, 0.0),
        (Situation("cnn", "lora"), "adamw", 3e-5, 0.01),
        (Situation("transformer", batch=16384, data=10**6), "lamb", 1e-3, 0.01),
        (Situation("cnn", batch=16384, data=10**6), "lars", 0.3, 1e-4),
        (Situation("cnn", batch=16384, data=5000), "sgd", 0.1, 5e-4),
        *((Situation(model, data=500), "adamw", None, 0.1) for model in MODELS if model != "rl"),
    ],
)
def test_the_optimizer(situation: Situation, kind: str, lr: float | None, decay: float | None) -> None:
    optimizer = spec(situation).recipe.optimizer
    assert optimizer.kind == kind
    assert getattr(optimizer, "weight_decay", None) == decay
    assert lr is None or optimizer.lr == lr


@pytest.mark.parametrize("model", MODELS)
def test_the_baseline_is_inside_every_range(model: Architecture) -> None:
    for situation in every(model):
        optimizer = spec(situation).recipe.optimizer
        search = spec(situation).search
        rates = search["optimizer.lr"]
        assert isinstance(rates, LogUniform)
        assert rates.low <= optimizer.lr <= rates.high
        assert ("optimizer.weight_decay" in search) == hasattr(optimizer, "weight_decay")
        decays = search.get("optimizer.weight_decay")
        if isinstance(decays, LogUniform | Uniform):
            assert decays.low <= lookup(spec(situation).recipe, "optimizer.weight_decay") <= decays.high  # type: ignore[operator]


def test_little_data_needs_much_decay() -> None:
    assert spec(Situation("mlp", data=500)).search["optimizer.weight_decay"] == LogUniform(0.1, 1.0)
    assert spec(Situation("cnn", "finetune", data=999)).search["optimizer.weight_decay"] == LogUniform(0.1, 1.0)
    assert spec(Situation("mlp", data=1000)).search["optimizer.weight_decay"] != LogUniform(0.1, 1.0)


def test_the_warmup_of_a_fine_tune_is_counted_in_steps_when_there_are_enough() -> None:
    long = spec(Situation("transformer", "finetune", batch=16, data=50_000))
    assert long.recipe.schedule == long.recipe.schedule.model_copy(update={"warmup": 0.0, "warmup_steps": 500})
    assert long.search["schedule.warmup_steps"] == Choice([500, 1000])
    short = spec(Situation("transformer", "finetune", batch=16, data=5000))
    assert short.search["schedule.warmup"] == Uniform(0.05, 0.2)


@pytest.mark.parametrize(
    ("situation", "batch", "scaling", "base"),
    [
        (Situation("cnn", batch=128), 128, "none", 256),
        (Situation("cnn", batch=1024), 1024, "linear", 256),
        (Situation("transformer", batch=1024), 1024, "sqrt", 256),
        (Situation("cnn", batch=16384, data=10**6), 16384, "linear", 256),
        (Situation("transformer", batch=16384, data=10**6), 16384, "sqrt", 8192),
        (Situation("mlp", batch=64, data=50), 50, "none", 256),
        (Situation("rl", batch=4096), 8, "none", 256),
    ],
)
def test_the_learning_rate_follows_large_batches(situation: Situation, batch: int, scaling: str, base: int) -> None:
    budget = spec(situation).recipe.budget
    assert (budget.batch_size, budget.lr_scaling, budget.base_batch_size) == (batch, scaling, base)


def test_fast_searches_less_than_best() -> None:
    for model, task in itertools.product(MODELS, get_args(Approach)):
        best = Situation(model, task, batch=16)
        fast = replace(best, priority="fast")
        assert spec(fast).runs < spec(best).runs
        assert spec(fast).search.keys() <= spec(best).search.keys()
        assert len(spec(fast).search) >= 2


def test_epochs() -> None:
    assert spec(Situation("mlp", epochs=5)).recipe.budget.epochs == 5
    assert spec(Situation("mlp", epochs=1)).early_stopping.kind == "none"
    assert spec(Situation("transformer", "finetune")).recipe.budget.epochs == 3


@pytest.mark.parametrize(("field", "value"), [("batch", 0), ("data", -1), ("epochs", 0)])
def test_numbers_below_one_are_refused(field: str, value: int) -> None:
    with pytest.raises(UsageError, match=f"{field} must be at least 1, found {value}"):
        replace(Situation("cnn"), **{field: value})  # type: ignore[arg-type]


# --- questions -----------------------------------------------------------------------------------------------------


class Person:
    """Gives prepared answers, and records the questions."""

    def __init__(self, *answers: str) -> None:
        self._answers = iter(answers)
        self.asked: list[tuple[str, tuple[str, ...]]] = []

    def __call__(self, question: str, answers: Sequence[str]) -> str:
        self.asked.append((question, tuple(answers)))
        return next(self._answers)


def test_the_questions_in_their_order() -> None:
    person = Person("transformer", "finetune", "32", "12,000", "4", "fast")
    assert ask_situation(person) == Situation("transformer", "finetune", 32, 12_000, 4, "fast")
    assert [answers[0] for _, answers in person.asked] == ["cnn", "scratch", "64", "5000", "0", "best"]
    assert person.asked[0][1] == MODELS


def test_an_empty_answer_is_the_default() -> None:
    assert ask_situation(Person(*[""] * 6)) == Situation("cnn", "scratch", 64, 5000, None, "best")


def test_an_invalid_answer_is_asked_for_again() -> None:
    person = Person("gan", " RNN ", "scratch", "0", "many", "8", "", "-3", "2", "best")
    assert ask_situation(person) == Situation("rnn", "scratch", 8, 5000, 2, "best")
    assert person.asked[1][0] == "Which model architecture? Enter one of cnn, transformer, vit, rnn, mlp, rl."
    assert person.asked[4][0] == "How many examples per batch? Enter a whole number of at least 1."
