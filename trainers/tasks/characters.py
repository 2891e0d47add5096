"""Task ``characters``: a character-level language model of any text file.

An example is a window of the text, and its targets are the characters that follow each of its characters. So
``val/loss`` is the cross entropy per character in nats, over contexts of 1 character up to the whole window;
``val/bits_per_character`` is the same in bits, and ``val/accuracy`` the share of next characters that are predicted.
"""

import math
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from search_spaces.errors import UsageError
from search_spaces.recipe.recipe import Recipe
from search_spaces.recipe.reported import Goal
from trainers.models.build import Tokens, build_model
from trainers.task import Data, Split

_HELD_OUT = 0.1  # fraction of the text in val, and the same in test
_SCORED = 256  # windows at a time
_SMALLER = 8  # val and test have an eighth of the windows of train


class Characters:
    """The first 80 % of a text in train, the next 10 % in val, the rest in test: fixed splits without overlap.

    Args:
        file: Text file in UTF-8; if empty, the language reference of Python's ``help``.
        context: Number of characters in a window.
        windows: Number of windows in ``train``, evenly spaced; fewer if the text is short.

    Raises:
        UsageError: The file cannot be read, or the text is too short.
    """

    def __init__(self, file: str = "", context: int = 32, windows: int = 8000) -> None:
        if context < 1 or windows < _SMALLER:
            raise UsageError(f"task characters: context must be at least 1 and windows at least {_SMALLER}")
        self._file = file
        self._context = context
        self._windows = windows

    goals: Mapping[str, Goal] = {"bits_per_character": "minimize", "accuracy": "maximize"}

    @property
    def characters(self) -> int:
        """Number of different characters in the text."""
        return int(self._codes.max()) + 1

    def data(self, seed: int) -> Data:
        """Return the three splits, the same for every seed."""
        codes, few = self._codes, self._windows // _SMALLER
        test_from = int(len(codes) * (1 - _HELD_OUT))
        val_from = int(len(codes) * (1 - 2 * _HELD_OUT))
        return Data(
            self._cut(codes[:val_from], self._windows),
            self._cut(codes[val_from:test_from], few),
            self._cut(codes[test_from:], few),
        )

    def model(self, recipe: Recipe) -> nn.Module:
        """Return the model of the recipe; by default a causal transformer."""
        return build_model(recipe, Tokens(self.characters, self._context), self.characters, default="transformer")

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean cross entropy of each window, in nats per character: ``(n,)``."""
        return _surprise(outputs, targets).mean(1)

    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """Return the cross entropy in bits per character, and the share of characters that are predicted."""
        batches = zip(torch.split(outputs, _SCORED), torch.split(targets, _SCORED), strict=True)
        nats = torch.cat([_surprise(*batch).mean(1) for batch in batches]).double().mean().item()
        hits = (outputs.argmax(2) == targets).double().mean().item()
        return {"bits_per_character": nats / math.log(2.0), "accuracy": hits}

    @cached_property
    def _codes(self) -> Tensor:
        """Class of every character of the text, numbered in the order of Unicode: int64 ``(characters,)``."""
        text = _read(self._file) if self._file else _language_reference()
        if len(text) * _HELD_OUT <= self._context + 1:
            raise UsageError(f"task characters: {len(text)} characters are too few for a context of {self._context}")
        # A dictionary look-up for each of a million characters would take a second.
        points = torch.frombuffer(bytearray(text.encode("utf-32-le")), dtype=torch.int32)
        codes: Tensor = torch.unique(points, return_inverse=True)[1]
        return codes

    def _cut(self, codes: Tensor, windows: int) -> Split:
        last = len(codes) - self._context  # the last character of a window that starts here has no next one
        starts = torch.linspace(0, last - 1, min(windows, last)).long()
        offsets = torch.arange(self._context)
        places = starts.unsqueeze(1) + offsets
        return Split(codes[places], codes[places + 1])


def _surprise(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the cross entropy of every character in nats, ``(n, length)``."""
    return functional.cross_entropy(outputs.transpose(1, 2), targets, reduction="none")


def _read(file: str) -> str:
    try:
        return Path(file).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"task characters: cannot read {file}: {error}") from error


def _language_reference() -> str:
    from pydoc_data.topics import topics  # most of a megabyte of text

    return "\n".join(topics[name] for name in sorted(topics))
