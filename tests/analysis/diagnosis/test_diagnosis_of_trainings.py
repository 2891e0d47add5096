"""The rules on real trainings of a second or two, and the conversion of database rows to curves."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
import torch

from analysis.diagnosis.diagnose import curves_of, diagnose
from analysis.diagnosis.findings import Code, Finding
from analysis.report.sweep.appendix import MOST_FINDINGS
from search_spaces.recipe.recipe import Recipe
from trainers.factory import open_training
from trainers.loop.training import Training
from trainers.task import Data, Split
from trainers.tasks.digits import Digits


def codes(findings: Sequence[Finding]) -> set[Code]:
    return {one.code for one in findings}


class Shuffled:
    """Digits with shuffled labels."""

    classes = 10

    def data(self, seed: int) -> Data:
        given = Digits().data(seed)
        return Data(*(self._shuffled(split) for split in (given.train, given.val, given.test)))

    @staticmethod
    def _shuffled(split: Split) -> Split:
        order = torch.randperm(len(split), generator=torch.Generator().manual_seed(1))
        return Split(split.inputs, split.targets[order])

    def model(self, recipe: Recipe) -> torch.nn.Module:
        return Digits().model(recipe)


@pytest.fixture
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def trained(recipe: dict[str, Any], start: Callable[[Recipe], Any]) -> tuple[Finding, ...]:
    whole = Recipe.model_validate({"budget": {"epochs": 12}, **recipe})
    training, rows, state = start(whole), [], "COMPLETE"
    while not training.finished and state == "COMPLETE":
        report = training.run_epoch()
        rows += [{"epoch": report.epoch, "name": name, "value": value} for name, value in report.metrics.items()]
        if not all(math.isfinite(value) for value in report.metrics.values()):
            state = "DIVERGED"
    return diagnose(replace(curves_of(pd.DataFrame(rows), whole, state=state, classes=10), val_examples=287))


def digits(recipe: Recipe) -> Any:
    return open_training("digits", recipe, 0)


SANE = {"optimizer": {"kind": "adamw", "lr": 5e-3}, "schedule": {"kind": "cosine", "warmup": 0.1}}
BLOWN = {Code.NAN, Code.DIVERGED, Code.LR_TOO_HIGH}


@pytest.mark.usefixtures("_one_thread")
def test_a_healthy_training_has_no_alarm() -> None:
    assert [one for one in trained(SANE, digits) if one.alarm] == []


@pytest.mark.usefixtures("_one_thread")
@pytest.mark.parametrize("optimizer", [{"kind": "adamw", "lr": 1.5}, {"kind": "sgd", "lr": 30.0}])
def test_a_training_with_too_high_a_learning_rate(optimizer: dict[str, Any]) -> None:
    assert BLOWN & codes(trained({"optimizer": optimizer}, digits)[:MOST_FINDINGS])


@pytest.mark.usefixtures("_one_thread")
def test_a_training_on_shuffled_labels() -> None:
    found = trained({**SANE, "signals": {"train_rescored": True}}, lambda recipe: Training(recipe, Shuffled(), 0))
    assert {Code.CHANCE, Code.OVERFIT} & codes(found[:MOST_FINDINGS])


def test_a_warmup_is_read_from_the_recipe() -> None:
    rates = [0.1, 0.2, 0.3, 0.3]
    frame = pd.DataFrame({"epoch": [1, 2, 3, 4], "name": "train/lr", "value": rates})
    last = pd.DataFrame({"epoch": [4], "name": "test/nll", "value": [1.0]})

    def warmup(schedule: dict[str, Any], steps: int | None = None) -> float:
        recipe = Recipe.model_validate({"budget": {"epochs": 4}, "schedule": schedule})
        read = curves_of(pd.concat([frame, last]), recipe, state="COMPLETE", steps_per_epoch=steps)
        assert list(read.series) == ["train/lr"]
        assert read.series["train/lr"].tolist() == rates
        return read.warmup

    assert warmup({"kind": "linear", "warmup": 0.25}) == 1.0
    assert warmup({"kind": "linear", "warmup_steps": 30}, 20) == 1.5
    assert warmup({"kind": "linear", "warmup_steps": 30}) == 2.0
    assert warmup({"kind": "one_cycle", "rise": 0.5}) == 2.0
    assert warmup({"kind": "cyclical"}) == 0.0


def test_a_run_without_an_epoch() -> None:
    read = curves_of(pd.DataFrame(columns=["epoch", "name", "value"]), Recipe(), state="FAILED")
    assert codes(diagnose(read)) == {Code.TOO_SHORT}
