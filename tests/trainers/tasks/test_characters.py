"""The character language model: windows of a text and their next characters."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from search_spaces.errors import UsageError
from search_spaces.recipe.model import Model
from search_spaces.recipe.optimizers import AdamW
from search_spaces.recipe.recipe import Budget, Recipe
from search_spaces.specs.builtin_tasks import BUILTIN_TASKS
from trainers.loop.training import Training
from trainers.objective import objective_of
from trainers.tasks.characters import Characters

ALPHABET = "abcdefghij"


@pytest.fixture
def alphabet(tmp_path):
    path = tmp_path / "alphabet.txt"
    path.write_text(ALPHABET * 100)
    return str(path)


def test_the_targets_are_the_characters_that_follow(alphabet):
    task = Characters(alphabet, context=4, windows=40)
    assert task.characters == 10
    for split in task.data(0).splits.values():
        follows = (split.inputs[:, :1] + split.inputs.new_tensor([0, 1, 2, 3, 4])) % 10
        assert follows[:, :4].equal(split.inputs)
        assert follows[:, 1:].equal(split.targets)


@pytest.mark.parametrize("kind", [None, "gru", "lstm"])
def test_a_position_does_not_see_the_characters_after_it(alphabet, kind):
    task = Characters(alphabet, context=6, windows=40)
    model = task.model(Recipe(model=Model(kind=kind, width=16, depth=2))).eval()
    inputs = task.data(0).val.inputs[:3]
    changed = inputs.clone()
    changed[:, 4:] = (changed[:, 4:] + 1) % 10
    torch.testing.assert_close(model(inputs)[:, :4], model(changed)[:, :4])
    assert not torch.allclose(model(inputs)[:, 4:], model(changed)[:, 4:])


def test_the_loss_is_torchs_over_all_characters(alphabet):
    task = Characters(alphabet, context=4, windows=40)
    recipe = Recipe(model=Model(width=16, depth=1), budget=Budget(epochs=1, batch_size=16))
    training = Training(recipe, task, 0)
    metrics = training.run_epoch().metrics
    for name in ("val", "test"):
        split = task.data(0).splits[name]
        logits = training.model.eval()(split.inputs)
        nats = functional.cross_entropy(logits.flatten(0, 1), split.targets.flatten()).item()
        assert metrics[f"{name}/loss"] == pytest.approx(nats, rel=1e-6)
        assert metrics[f"{name}/bits_per_character"] == pytest.approx(nats / math.log(2), rel=1e-6)
        assert metrics[f"{name}/accuracy"] == (logits.argmax(2) == split.targets).double().mean().item()
    assert not any("nll" in name or "temperature" in name for name in metrics)


def test_what_is_known_without_loading_it_is_what_it_reports(alphabet):
    assert objective_of(Characters(alphabet)).reports(test=True) == BUILTIN_TASKS["characters"].metrics


def test_a_short_text_has_fewer_windows(alphabet):
    data = Characters(alphabet, context=4, windows=5000).data(0)
    assert (len(data.train), len(data.val), len(data.test)) == (796, 96, 96)


@pytest.mark.parametrize("kind", [None, "gru", "lstm"])
def test_the_alphabet_is_learned(alphabet, kind):
    recipe = Recipe(
        optimizer=AdamW(lr=1e-2), model=Model(kind=kind, width=16, depth=1), budget=Budget(epochs=2, batch_size=16)
    )
    training = Training(recipe, Characters(alphabet, context=4, windows=800), 0)
    training.run_epoch()
    assert training.run_epoch().metrics["test/accuracy"] > 0.95


def test_what_cannot_be_read_is_one_line(tmp_path):
    with pytest.raises(UsageError, match=r"cannot read .*nothing.txt: .*No such file"):
        Characters(str(tmp_path / "nothing.txt")).data(0)
    (tmp_path / "short.txt").write_text("too short")
    with pytest.raises(UsageError, match="9 characters are too few for a context of 32"):
        Characters(str(tmp_path / "short.txt")).data(0)
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(UsageError, match=r"cannot read .*binary.txt"):
        Characters(str(tmp_path / "binary.txt")).data(0)
