r"""The grammar of printed lines: which numbers of a line are metrics.

A line is read after its terminal colours are removed. It is one of the following.

1.  *A record*: a JSON object or a dict that Python printed, such as ``{"loss": 0.3, "step": 100}``, to the end of the
    line. Other text may come before it, such as the prefix of a logger; a step or epoch there counts for a record
    without one. See ``records.py``.

2.  *Pairs* among other words: ``name=value``, ``name = value`` and ``name: value``. Directly after a colon only a value
    with a point or an exponent counts (``loss:0.3``), because ``main.py:42`` and ``host:8080`` are no metrics.

    - A name starts with a letter or ``_`` and continues with letters, digits and ``_ . / @ -``. A split before it
      belongs to it (``train loss=0.3``), other words do not (``best loss=0.3`` is ``loss``).
    - A value is a decimal number with an optional exponent, or ``nan``, ``inf``, ``infinity`` with an optional sign. A
      percent sign is dropped: ``91.2%`` is 91.2. The end of the line, a space, one of ``, ; | ) ] }``, a quote, or a
      full stop at the end of a word follows it. So ``1.2.3``, ``10.0.0.1``, ``12:30``, ``2026-01-01``, ``3/10``,
      ``1,234``, ``0x1f``, ``5ms`` and ``3GB`` are no values.
    - A number with a unit after a space is no value either: see ``_UNITS``.

3.  *Fields* ``name value``, only on a line with a step or an epoch: ``step 100: train loss 1.2, lr 1e-3``. A field is
    all the text between two of ``, ; | :``, `` - ``, tabs, brackets and pairs. An average in parentheses may follow the
    value: ``Loss 0.5 (0.6)``.

Of two values with one name the first counts.

*The step or epoch* of a line is a whole number after ``global_step``, ``iteration``, ``step``, ``iter``, ``it`` or
``epoch``, in upper or lower case, with ``:``, ``=``, spaces or ``[`` between them; a total may follow: ``Epoch 3/10``,
``[epoch 2]``, ``step=100``, ``Epoch: [0][10/500]``. ``it`` needs a colon or an equals sign. On a line with both, the
step counts unless the reader is told otherwise, and the epoch is a value. A line with an epoch alone is a heading for
the lines that follow; it is returned without values.

*A progress bar* counts when it is complete (``100%|...|``, ``938/938 [...]``). An unfinished one is removed from the
line, because the clock decides which of its values are printed. Its percentage is no value.
"""

import re
from typing import Final

from trainers.command.metrics.names import SPLITS
from trainers.command.metrics.reading import Unit
from trainers.command.metrics.records import NOT_FINITE, NUMBER, numbers, parse_record, take_progress

_UNITS: Final = (
    r"ns|us|µs|ms|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|days?"
    r"|[kmgt]?i?b|bytes?|[kmgt]?hz|[km]?w|watts?|(?:it|steps?|samples?|tokens?|images?|img|[kmg]i?b)/s(?:ec)?"
)
_AFTER: Final = rf"""%?(?=$|[\s;|)\]}}"']|,(?![0-9])|\.(?:\s|$))(?!\s+(?:{_UNITS})(?![\w/]|\s*[:=]))"""
_NAME: Final = rf"(?<![\w./@%-])(?P<name>(?:(?:{SPLITS})[ ]++)?[^\W\d][\w./@-]*)"
_VALUE: Final = rf"(?P<value>{NUMBER}|{NOT_FINITE})"

# Quantifiers are possessive (`++`) where a long run of one character would otherwise be tried over and over.
_PAIR = re.compile(
    rf"{_NAME}(?:\s*+=\s*+|\s*+:\s++|:(?=[+-]?[0-9]*\.[0-9]|[+-]?[0-9]++[eE]|{NOT_FINITE})){_VALUE}{_AFTER}",
    re.IGNORECASE,
)
_FIELD = re.compile(rf"\s*+{_NAME}\s++{_VALUE}%?(?:\s++\(\s*+{NUMBER}%?\s*+\))?\s*+", re.IGNORECASE)
_BETWEEN = re.compile(r"[,;|\t\[\]]|:(?=\s|$)|\s-\s")
_PROGRESS = re.compile(
    r"(?<![\w./-])(?P<name>global_step|iteration|step|iter|it(?=\s*[:=])|epoch)"
    r"(?:\s*+[:=])?\s*+\[?\s*+(?<![a-z])(?P<value>[0-9]{1,18})(?:\s*+/\s*+[0-9]++)?(?![\w%/-]|[.,:][0-9])\]?",
    re.IGNORECASE,
)
_COLOURS = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])|[\x00-\x08\x0b-\x1f\x7f]")
_BAR = re.compile(r"(?<!\d)(\d{1,3})%\|[^|]*\|[^\[\]]*(?:\[[^\]]*\])?")
_COUNT_BAR = re.compile(r"^\s*(\d+)/(\d+)\s*(?:\[[=>.]|[━─]).*")


def parse_line(line: str, unit: Unit | None) -> tuple[int | None, Unit, dict[str, float]] | None:
    """Return the progress, its unit and the values of a printed line, or ``None`` if it reports nothing.

    Args:
        line: Text of one line.
        unit: What counts on a line with both a step and an epoch; a step if ``None``.
    """
    line = _without_bars(line if line.isprintable() else _COLOURS.sub("", line))
    start = line.find("{")
    record = parse_record(line[start:].strip()) if start >= 0 and line.endswith("}") else None
    if record is None:
        progress, kind, values = _parse_text(line, unit)
    else:
        found = numbers(record)
        progress, kind = take_progress(found, unit)
        values = {name: float(value) for name, value in found.items()}
        if progress is None and start > 0:
            progress, kind, _ = _parse_text(line[:start], unit)
    heading = progress is not None and kind == "epoch"
    return (progress, kind, values) if values or heading else None


def _without_bars(line: str) -> str:
    if "%|" in line:
        line = _BAR.sub(lambda bar: bar[0].removeprefix("100%") if bar[1] == "100" else " ", line)
    counts = _COUNT_BAR.match(line)
    return "" if counts and int(counts[1]) < int(counts[2]) else line


def _parse_text(line: str, unit: Unit | None) -> tuple[int | None, Unit, dict[str, float]]:
    first = {found["name"].lower(): found for found in reversed(list(_PROGRESS.finditer(line)))}
    counters: dict[str, int | float] = {found["name"]: int(found["value"]) for found in first.values()}
    progress, kind = take_progress(counters, unit)
    values = {name: float(value) for name, value in counters.items()}
    line = _PROGRESS.sub("|", line) if progress is not None else line
    pairs = list(_PAIR.finditer(line))
    if progress is not None:
        pairs += filter(None, map(_FIELD.fullmatch, _BETWEEN.split(_PAIR.sub("|", line) if pairs else line)))
    for pair in pairs:
        values.setdefault(" ".join(pair["name"].split()), float(pair["value"]))
    return progress, kind, values
