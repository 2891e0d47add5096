"""Write a report as HTML page, Markdown and pictures. The same content gives the same bytes."""

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
    """One result at the top of a report.

    Attributes:
        tone: `good`, `bad` or `even`; sets the colour.
        symbol: Symbol that distinguishes it without colour.
        word: The verdict.
        sentence: The result in one sentence.
        wider: Sentence about its scope or limits; may be empty.
    """

    tone: str
    symbol: str
    word: str
    sentence: str
    wider: str = ""


@dataclass(frozen=True)
class Page:
    """Content of the page and the Markdown of a report.

    Attributes:
        kind: `Ablation` or `Sweep`.
        name: Name of the ablation or sweep.
        question: The question it answers.
        headlines: Results at the top.
        facts: `(label, value)` pairs, shown in one line.
        sections: Sections in order.
    """

    kind: str
    name: str
    question: str
    headlines: tuple[Headline, ...]
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]

    @property
    def verdict(self) -> str:
        """Return the distinct verdicts of the headlines."""
        return ", ".join(dict.fromkeys(one.word for one in self.headlines))


@dataclass(frozen=True)
class Report:
    """Paths of a written report.

    Attributes:
        folder: Folder of the report.
        files: The page, the Markdown and the other files.
        pictures: The figures of the Markdown; empty if no browser could draw them.
    """

    folder: Path
    files: tuple[Path, ...]
    pictures: tuple[Path, ...]

    @property
    def page(self) -> Path:
        """Path of the HTML page."""
        return self.files[0]


def write_page(page: Page, beside: Mapping[str, str], folder: Path, png: bool = True) -> Report:
    """Write ``index.html``, ``report.md`` and the other files of a report.

    Args:
        page: Content of the report.
        beside: File name -> text of the other files.
        folder: Target folder, created if missing; existing files are replaced.
        png: Whether to write the figures of the Markdown as PNG files to ``figures``, if a browser is available.
    """
    pictures = drawings(page.sections)
    folder.mkdir(parents=True, exist_ok=True)
    missing = write_pngs(pictures, folder / "figures") if png else "they were not requested"
    texts = {"index.html": html_page(page), "report.md": markdown_page(page, missing), **beside}
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    drawn = () if missing else tuple(folder / "figures" / f"{one.name}.png" for one in pictures)
    return Report(folder, tuple(folder / name for name in texts), drawn)


def html_page(page: Page) -> str:
    """Return the page: one file that loads nothing and runs no text of the report as code."""
    plotly, boot = plotly_js(), (_TEMPLATES / "report.js").read_text(encoding="utf-8")
    figures = ",".join(f'"{one.name}":{one.json}' for one in drawings(page.sections))
    template = _environment(html=True).get_template("report.html")
    return template.render(
        page=page,
        hashes=[_csp_hash(plotly), _csp_hash(boot)],
        # These three are scripts, already escaped for script elements.
        plotly=Markup(plotly),  # noqa: S704
        boot=Markup(boot),  # noqa: S704
        figures=Markup(f"{{{figures}}}"),  # noqa: S704
    )


def markdown_page(page: Page, no_pictures: str | None) -> str:
    """Return the report as Markdown.

    Args:
        page: Content of the report.
        no_pictures: Reason why the figures are omitted; None if they are in ``figures``.
    """
    text = _environment(html=False).get_template("report.md").render(page=page, no_pictures=no_pictures)
    lines = (line.rstrip() for line in text.splitlines())
    return _single_blank_lines("\n".join(lines))


@lru_cache(maxsize=2)
def _environment(html: bool) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=html,  # noqa: S701  HTML is escaped; the Markdown template uses filters
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
