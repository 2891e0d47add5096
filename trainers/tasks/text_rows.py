"""Where the text task gets its texts and labels from: a table in a file, or Python's own language reference."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor

from search_spaces.errors import UsageError

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
