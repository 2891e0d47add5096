"""A report as files: the page, the Markdown and the pictures, whatever it is about. The same parts, the same bytes."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from analysis.figures import plotly_js, write_pngs
from analysis.report.blocks import Section, drawings
from analysis.report.markdown import escaped, fenced

_TEMPLATES = Path(__file__).with_name("templates")


@dataclass(frozen=True)
class Headline:
    """One answer at the top of a report.

    Attributes:
        tone: `good`, `bad` or `even`: its colour.
        symbol: What tells it apart without colour.
        word: The verdict.
        sentence: The answer.
        wider: What it does not say; empty for nothing.
    """

    tone: str
    symbol: str
    word: str
    sentence: str
    wider: str = ""


@dataclass(frozen=True)
class Page:
    """Everything that the page and the Markdown of a report show.

    Attributes:
        kind: `Ablation` or `Sweep`.
        name: Of it.
        question: What it was run for.
        headlines: The answers.
        facts: `(label, value)`, a line of them.
        sections: The rest, in order.
    """

    kind: str
    name: str
    question: str
    headlines: tuple[Headline, ...]
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]

    @property
    def verdict(self) -> str:
        """The words of its headlines, each once."""
        return ", ".join(dict.fromkeys(one.word for one in self.headlines))


@dataclass(frozen=True)
class Report:
    """A report that was written.

    Attributes:
        folder: Where it lies.
        files: The page, the Markdown, and whatever lies beside them.
        pictures: The figures of the Markdown; none where no browser could draw them.
    """

    folder: Path
    files: tuple[Path, ...]
    pictures: tuple[Path, ...]

    @property
    def page(self) -> Path:
        """What a person opens first."""
        return self.files[0]


def write_page(page: Page, beside: Mapping[str, str], folder: Path, png: bool = True) -> Report:
    """Write ``index.html``, ``report.md`` and what lies beside them.

    Args:
        page: What to say.
        beside: Name -> text of the other files.
        folder: Made when missing; files of these names are replaced.
        png: Whether the Markdown has its figures, as files in ``figures``, where a browser can draw them.
    """
    pictures = drawings(page.sections)
    folder.mkdir(parents=True, exist_ok=True)
    missing = write_pngs(pictures, folder / "figures") if png else "they were not asked for"
    texts = {"index.html": html_page(page), "report.md": markdown_page(page, missing), **beside}
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    drawn = () if missing else tuple(folder / "figures" / f"{one.name}.png" for one in pictures)
    return Report(folder, tuple(folder / name for name in texts), drawn)


def html_page(page: Page) -> str:
    """Return the page: one file that loads nothing, and that no text of the report can make do anything."""
    plotly, boot = plotly_js(), (_TEMPLATES / "report.js").read_text(encoding="utf-8")
    figures = ",".join(f'"{one.name}":{one.json}' for one in drawings(page.sections))
    template = _environment(html=True).get_template("report.html")
    return template.render(
        page=page,
        hashes=[_csp_hash(plotly), _csp_hash(boot)],
        # Markup: these three are scripts, and made safe for where they stand.
        plotly=Markup(plotly),  # noqa: S704
        boot=Markup(boot),  # noqa: S704
        figures=Markup(f"{{{figures}}}"),  # noqa: S704
    )


def markdown_page(page: Page, no_pictures: str | None) -> str:
    """Return the report as Markdown.

    Args:
        page: What to say.
        no_pictures: Why the figures are left out; None if they lie in ``figures``.
    """
    text = _environment(html=False).get_template("report.md").render(page=page, no_pictures=no_pictures)
    lines = (line.rstrip() for line in text.splitlines())
    return _single_blank_lines("\n".join(lines))


@lru_cache(maxsize=2)
def _environment(html: bool) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=html,  # noqa: S701  Markdown has filters of its own; HTML is escaped
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    filters: dict[str, Any] = {"md": escaped, "fenced": fenced}
    environment.filters |= filters
    return environment


def _csp_hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _single_blank_lines(text: str) -> str:
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    return text.rstrip() + "\n"
