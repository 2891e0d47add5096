"""Building blocks of a report: text, tables and drawings, which the page and the Markdown each render."""

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
        title: Title above the table.
        head: Column names.
        rows: Cells of each row, as many as `head`.
        words: Number of columns, from the left, that hold words and are aligned left; the others hold numbers.
    """

    kind: ClassVar[str] = "table"
    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int = 1


@dataclass(frozen=True)
class Pictures:
    """Drawings, side by side if the page is wide enough."""

    kind: ClassVar[str] = "pictures"
    drawings: tuple[Drawing, ...]


@dataclass(frozen=True)
class CodeBlock:
    """Lines to copy, shown verbatim."""

    kind: ClassVar[str] = "code"
    text: str


@dataclass(frozen=True)
class Note:
    """A judgement with its evidence.

    Attributes:
        tone: `good`, `bad` or `even`; sets the colour.
        symbol: Symbol that distinguishes it without colour.
        word: The judgement, such as `PASS`.
        title: What is judged.
        text: The evidence with its numbers.
        next: The next step; empty if there is none.
    """

    tone: str
    symbol: str
    word: str
    title: str
    text: str
    next: str = ""


@dataclass(frozen=True)
class Notes:
    """A list of judgements."""

    kind: ClassVar[str] = "notes"
    items: tuple[Note, ...]


Block = Text | Bullets | Table | Pictures | CodeBlock | Notes


@dataclass(frozen=True)
class Section:
    """A numbered part of a report.

    Attributes:
        number: Number of the section, from 0.
        title: Title of the section.
        blocks: Content; empty if there is none.
        why: Sentence shown if there is no content.
    """

    number: int
    title: str
    blocks: tuple[Block, ...]
    why: str = ""


def section(number: int, title: str, *blocks: Block | None, why: str = "") -> Section:
    """Make a section of the blocks that are not None."""
    return Section(number, title, tuple(block for block in blocks if block is not None), why)


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1) -> Table | None:
    """Make a table; return None without rows."""
    return Table(title, tuple(head), tuple(tuple(row) for row in rows), words) if rows else None


def text(words: str) -> Text | None:
    """Make a paragraph; return None without words."""
    return Text(words) if words else None


def pictures(*drawings: Drawing | None) -> Pictures | None:
    """Make a block of the drawings that are not None; return None without drawings."""
    found = tuple(drawing for drawing in drawings if drawing is not None)
    return Pictures(found) if found else None


def notes(items: Sequence[Note]) -> Notes | None:
    """Make a block of judgements; return None without judgements."""
    return Notes(tuple(items)) if items else None


def drawings(report: Sequence[Section]) -> tuple[Drawing, ...]:
    """Return all drawings of a report, in order."""
    return tuple(
        one for part in report for block in part.blocks if isinstance(block, Pictures) for one in block.drawings
    )


def with_own_names(report: Sequence[Section]) -> tuple[Section, ...]:
    """Make the names of all drawings unique: names that differ only in punctuation give the same id."""
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
