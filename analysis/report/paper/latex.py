"""Escape text for LaTeX, and write tables in the style of booktabs."""

import unicodedata
from collections.abc import Sequence
from typing import Final

_MARKS: Final = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "[": "{[}",  # after \\, it would start an argument, as * would
    "]": "{]}",
    "*": "{*}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    # By code, since many of these look like others.
    **{
        chr(code): text
        for code, text in {
            0x2014: "---",
            0x2013: "--",
            0x00B1: r"$\pm$",
            0x00D7: r"$\times$",
            0x2212: "$-$",
            0x2264: r"$\leq$",
            0x2265: r"$\geq$",
            0x2248: r"$\approx$",
            0x2192: r"$\rightarrow$",
            0x03B1: r"$\alpha$",
            0x03B2: r"$\beta$",
            0x03B3: r"$\gamma$",
            0x03B5: r"$\varepsilon$",
            0x03BB: r"$\lambda$",
            0x03BC: r"$\mu$",
            0x03C3: r"$\sigma$",
            0x03C4: r"$\tau$",
        }.items()
    },
}
_LATIN_1, _EXTENDED_A = 0xFF, 0x17F
_WITHOUT_ACCENT: Final = {chr(code) for code in (0x110, 0x111, 0x141, 0x142, 0x152, 0x153)}  # of the latter, in T1


def escaped(text: str) -> str:
    """Return text that pdfLaTeX prints as it is. A character that its fonts lack becomes its code: ``U+4E2D``."""
    return "".join(_escaped(one) for one in " ".join(text.split()))


def _escaped(one: str) -> str:
    if one in _MARKS:
        return _MARKS[one]
    code = ord(one)
    accented = one in _WITHOUT_ACCENT or unicodedata.decomposition(one)[:1].isalnum()
    letter = one.isalpha() and (code <= _LATIN_1 or (code <= _EXTENDED_A and accented))
    return one if one.isascii() or letter else f"U+{code:04X}"


def booktabs(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str, label: str) -> str:
    r"""Return a table with a caption; its first column holds words, in lines as long as a third of the text.

    Args:
        head: Column names.
        rows: Cells of each row, as many as `head`.
        caption: Text above the table.
        label: Label for ``\ref``.
    """
    columns = r"p{0.3\linewidth}" + "r" * (len(head) - 1)
    lines = [
        r"\begin{table}[htbp]",
        r"\centering\footnotesize\setlength{\tabcolsep}{4pt}",
        rf"\caption{{{escaped(caption)}}}",
        rf"\label{{{label}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        rf"{' & '.join(map(escaped, head))} \\",
        r"\midrule",
        *(rf"{' & '.join(map(_cell, row))} \\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines)


def _cell(text: str) -> str:
    """Return a cell in which the sign of a number is a minus, not a hyphen."""
    return f"$-${escaped(text[1:])}" if text[:1] == "-" and text[1:2].isdigit() else escaped(text)
