"""The character language model: windows of a text and their next characters."""

from __future__ import annotations

import pytest

from search_spaces.errors import UsageError
from search_spaces.recipe.model import Model
from search_spaces.recipe.optimizers import AdamW
from search_spaces.recipe.recipe import Budget, Recipe
from trainers.loop.training import Training
from trainers.tasks.characters import Characters

ALPHABET = "abcdefghij"


@pytest.fixture
def alphabet(tmp_path):
    path = tmp_path / "alphabet.txt"
    path.write_text(ALPHABET * 100)
    return str(path)


def test_the_class_is_the_character_that_follows(alphabet):
    task = Characters(alphabet, context=4, windows=40)
    assert task.classes == 10
    for split in (task.data(0).train, task.data(0).val, task.data(0).test):
        follows = (split.inputs[:, :1] + split.inputs.new_tensor([0, 1, 2, 3, 4])) % 10
        assert follows[:, :4].equal(split.inputs)
        assert follows[:, 4].equal(split.targets)


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
