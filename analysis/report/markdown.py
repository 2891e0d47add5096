"""Escape text for Markdown, and write tables and code blocks."""

import re
from collections.abc import Sequence

_LIVE = re.compile(r"([\\`*_{}\[\]<>#|~$&!])")
_ADDRESS = re.compile(r"(?i)\b(https?|ftp|mailto|xmpp|javascript|data|vbscript)(:)|\b(www)(\.)|(@)")
_START = re.compile(r"^(\d+(?=[.)](?:\s|$))|(?=[-+=](?![\d.])))")  # starts a list, a rule or an underline


def escaped(text: str) -> str:
    """Escape everything that Markdown (CommonMark and GitHub's) would interpret.

    Marks are shown verbatim, addresses do not become links, and line breaks become spaces, so the text fits a table
    cell.
    """
    flat = " ".join(text.split())
    marked = _LIVE.sub(r"\\\1", flat)
    return _START.sub(r"\1\\", _ADDRESS.sub(_defused, marked))


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table with escaped cells."""
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    return lines + [f"| {' | '.join(escaped(cell) for cell in row)} |" for row in rows]


def fenced(text: str) -> str:
    """Return the text as a code block, with a fence longer than any in the text."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"


def _defused(found: re.Match[str]) -> str:
    word = found.group(1) or found.group(3) or ""
    return f"{word}\\{found.group(0)[len(word) :]}"
