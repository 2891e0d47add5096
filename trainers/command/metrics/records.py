"""The numbers of one record: a JSON object, a dict that Python printed, or a row of a table.

Nested records are flattened: ``{"val": {"loss": 1}}`` has ``val/loss``. Numbers in quotes are numbers, since newer
versions of the Hugging Face Trainer print them so. ``null`` and ``None`` are NaN. Truth values, lists and other text
are left out.

``global_step``, ``iteration``, ``step``, ``iter`` and ``it`` count steps, and the first of these counts; ``epoch``
counts epochs; in upper or lower case. Whole numbers are steps, ``100.0`` too. An epoch written with a decimal point, as
the Hugging Face Trainer does, is a fraction of the training and not a count: it stays a value.
"""

import ast
import json
import math
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Final

from trainers.command.metrics.reading import Unit

STEP_NAMES: Final = ("global_step", "iteration", "step", "iter", "it")
NUMBER: Final = r"[+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?"  # `++` never backtracks
NOT_FINITE: Final = r"[+-]?(?:nan|infinity|inf)"

_MOST_NESTED = 20
_TEXT = re.compile(rf"\s*(?:{NUMBER}|{NOT_FINITE})\s*", re.IGNORECASE)
_BARE = re.compile(r"(?<=[:\s,+-])(nan|inf)(?=\s*[,}])")  # as Python prints them; no literals


def parse_record(text: str) -> dict[object, object] | None:
    """Return a JSON object or a printed dict, or ``None`` if the text is neither."""
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        record = _parse_dict(text)
    return record if isinstance(record, dict) else None


def _parse_dict(text: str) -> object:
    literals = _BARE.sub(lambda found: "1e999" if found[1] == "inf" else "None", text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd literals in a program's text
            return ast.literal_eval(literals)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None


def numbers(record: Mapping[object, object]) -> dict[str, int | float]:
    """Return the numbers of a record by flattened name."""
    return dict(_flat(record, "", 0))


def _flat(record: Mapping[object, object], prefix: str, depth: int) -> Iterator[tuple[str, int | float]]:
    for key, value in record.items():
        if not isinstance(key, str):
            continue
        if isinstance(value, Mapping):
            if depth < _MOST_NESTED:
                yield from _flat(value, f"{prefix}{key}/", depth + 1)
        elif (number := to_number(value)) is not None:
            yield prefix + key, number


def to_number(value: object) -> int | float | None:
    """Return the number that a value is or spells; NaN for ``None``; and ``None`` if it is no number."""
    if value is None:
        return math.nan
    if isinstance(value, str) and _TEXT.fullmatch(value):
        digits = value.strip()
        return int(digits) if len(digits) < 19 and digits.isdecimal() else float(digits)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int) and abs(value) >= 2**63:
        return None  # neither a step nor a float without loss
    return value


def take_progress(values: dict[str, int | float], unit: Unit | None) -> tuple[int | None, Unit]:
    """Remove the progress from the values of a record and return it with its unit.

    Args:
        values: Numbers by name; the step or epoch is removed.
        unit: What counts if there are both; a step if ``None``. The other stays a value.
    """
    written = {name.lower(): name for name in reversed(values)}
    for kind in ("epoch", "step") if unit == "epoch" else ("step", "epoch"):
        for counter in STEP_NAMES if kind == "step" else ("epoch",):
            name = written.get(counter)
            if name is not None and _whole(values[name], kind):
                return int(values.pop(name)), kind
    return None, "step"


def _whole(value: int | float, unit: Unit) -> bool:
    if isinstance(value, float):
        return unit == "step" and value.is_integer() and 0 <= value < 2**53
    return value >= 0
