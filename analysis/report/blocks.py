"""What a report is made of: plain text, tables and drawings, which each format renders in its own way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from analysis.figures import Drawing


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar[str] = "text"
    text: str


@dataclass(frozen=True)
class Bullets:
    """A list."""

    kind: ClassVar[str] = "bullets"
    items: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        title: What it shows.
        head: Of each column.
        rows: Each as long as `head`.
        words: How many columns from the left hold words; the others hold numbers, to be read down the column.
    """

    kind: ClassVar[str] = "table"
    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int = 1


@dataclass(frozen=True)
class Pictures:
    """Drawings, side by side where there is room."""

    kind: ClassVar[str] = "pictures"
    drawings: tuple[Drawing, ...]


@dataclass(frozen=True)
class CodeBlock:
    """Lines to be typed or copied, letter by letter."""

    kind: ClassVar[str] = "code"
    text: str


@dataclass(frozen=True)
class Note:
    """A judgement with its reasons.

    Attributes:
        tone: `good`, `bad` or `even`: its colour.
        symbol: What tells it apart without colour.
        word: The judgement.
        title: Of what.
        text: The numbers.
        next: What to do; empty for nothing.
    """

    tone: str
    symbol: str
    word: str
    title: str
    text: str
    next: str = ""


@dataclass(frozen=True)
class Notes:
    """Judgements, one below the other."""

    kind: ClassVar[str] = "notes"
    items: tuple[Note, ...]


Block = Text | Bullets | Table | Pictures | CodeBlock | Notes


@dataclass(frozen=True)
class Section:
    """A numbered part of a report.

    Attributes:
        number: From 0.
        title: A few words.
        blocks: What it says; empty where it has nothing to say.
        why: Why it has nothing to say.
    """

    number: int
    title: str
    blocks: tuple[Block, ...]
    why: str = ""


def section(number: int, title: str, *blocks: Block | None, why: str = "") -> Section:
    """Make a section of the blocks that there are."""
    return Section(number, title, tuple(block for block in blocks if block is not None), why)


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1) -> Table | None:
    """Make a table; None without rows."""
    return Table(title, tuple(head), tuple(tuple(row) for row in rows), words) if rows else None


def pictures(drawings: Sequence[Drawing]) -> Pictures | None:
    """Make a block of drawings; None without any."""
    return Pictures(tuple(drawings)) if drawings else None


def notes(items: Sequence[Note]) -> Notes | None:
    """Make a block of judgements; None without any."""
    return Notes(tuple(items)) if items else None


def drawings(report: Sequence[Section]) -> tuple[Drawing, ...]:
    """Every drawing of a report, in order."""
    return tuple(
        one for part in report for block in part.blocks if isinstance(block, Pictures) for one in block.drawings
    )


def with_own_names(report: Sequence[Section]) -> tuple[Section, ...]:
    """Give every drawing a name of its own: arms or fields that differ by punctuation alone would share one."""
    taken: set[str] = set()

    def own(drawing: Drawing) -> Drawing:
        name, count = drawing.name[:60], 1
        while name in taken:
            count += 1
            name = f"{drawing.name[:60]}-{count}"
        taken.add(name)
        return replace(drawing, name=name)

    def renamed(block: Block) -> Block:
        return Pictures(tuple(own(one) for one in block.drawings)) if isinstance(block, Pictures) else block

    return tuple(replace(part, blocks=tuple(renamed(block) for block in part.blocks)) for part in report)
