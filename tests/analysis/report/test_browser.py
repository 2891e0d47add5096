"""Open reports whose texts are all attacks in Chromium and in the dashboard."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from analysis.ablation.evidence import read_evidence
from analysis.ablation.findings import ablation_findings
from analysis.report.ablation.files import publish, write_report
from analysis.report.page import Report
from analysis.report.sweep.files import write_sweep_report
from analysis.sweep.evidence import read_sweep
from analysis.sweep.findings import sweep_findings
from tests.analysis.report_cases import ATTACKS, HOSTILE
from tests.analysis.sweep_cases import SWEEPS as MADE
from tests.fakes import run_sweep

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SWEEPS = str(Path(sys.executable).with_name("sweeps"))
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium"),
]


@dataclass
class Trained:
    """A database with one ablation, and its report."""

    url: str
    report: Report


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("trained")
    (folder / "hostile.yaml").write_text(HOSTILE)
    command = [SWEEPS, "ablate", "hostile.yaml", "--local"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    url = f"sqlite:///{folder / 'runs' / 'sweeps.db'}"
    return Trained(url, write_report(ablation_findings(read_evidence(url, "hostile")), folder / "page", png=False))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the extra dev")
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(
            executable_path=CHROMIUM, headless=True, args=FLAGS, env={**os.environ, "no_proxy": "127.0.0.1"}
        )
        yield browser
        browser.close()


@dataclass
class Watched:
    """A page and the errors, messages, dialogs and requests it caused."""

    page: Page
    complaints: list[str] = field(default_factory=list)


def opened(chromium: Browser, width: int, scheme: str = "light") -> Watched:
    page = chromium.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)  # type: ignore[arg-type]
    seen = Watched(page)
    page.on("pageerror", lambda error: seen.complaints.append(f"error: {error}"))
    page.on("console", lambda message: seen.complaints.append(f"console: {message.text}"))
    page.on("dialog", lambda dialog: (seen.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda request: _requested(seen, request.url))
    return seen


def _requested(seen: Watched, url: str) -> None:
    if not url.startswith(("file:", "data:", "blob:")):
        seen.complaints.append(f"request: {url}")


def all_drawn(page: Page) -> int:
    """Wait until every figure is drawn and return their number."""
    count = page.locator(".plot").count()
    deadline = time.monotonic() + 30
    while page.locator(".plot.js-plotly-plot .main-svg").count() < count:
        assert time.monotonic() < deadline
        page.wait_for_timeout(50)
    return count


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (375, "light"), (1280, "dark")])
def test_nothing_of_the_attacks_is_live(trained: Trained, chromium: Browser, width: int, scheme: str) -> None:
    seen = opened(chromium, width, scheme)
    seen.page.goto(trained.report.page.as_uri())
    assert all_drawn(seen.page) > 10
    assert seen.page.evaluate("window.__pwned === undefined && document.images.length === 0")
    assert seen.page.evaluate("[...document.querySelectorAll('a')].every(a => a.getAttribute('href').startsWith('#'))")
    for attack in ATTACKS:  # they are shown verbatim
        assert attack in seen.page.inner_text("#s0")
    shown = " ".join(seen.page.locator("#forest .ytick text").all_text_contents())
    assert "<script>" in shown
    assert "$x$" in shown
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    assert seen.complaints == []
    seen.page.close()


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = tmp_path_factory.mktemp("swept")
    url = f"sqlite:///{folder / 'sweeps.db'}"
    spec, runner = MADE["hostile"]
    run_sweep(spec, url, folder / "c", runner)
    return write_sweep_report(url, sweep_findings(read_sweep(url, "toy"), repeats=3), folder / "page")


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (375, "light"), (1280, "dark")])
def test_the_report_of_a_sweep_opens(swept: Report, chromium: Browser, width: int, scheme: str) -> None:
    seen = opened(chromium, width, scheme)
    seen.page.goto(swept.page.as_uri())
    assert all_drawn(seen.page) >= 12
    captions = seen.page.locator("figcaption").all_inner_texts()
    assert all(text.count("\n") >= 1 and text.endswith(".") for text in captions)  # a title and a reading
    assert seen.page.evaluate("window.__pwned === undefined && document.images.length === 0")
    assert seen.page.evaluate("[...document.querySelectorAll('a')].every(a => a.getAttribute('href').startsWith('#'))")
    assert "<script>window.__pwned=1" in seen.page.inner_text("#s10")
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    assert seen.page.evaluate("performance.getEntriesByType('resource').length") == 0
    assert swept.page.stat().st_size < 8_000_000
    assert seen.complaints == []
    seen.page.close()


def test_the_figures_of_a_sweep_are_drawn_for_its_markdown(swept: Report) -> None:
    markdown = (swept.folder / "report.md").read_text(encoding="utf-8")
    if swept.pictures:
        assert all(f"(figures/{path.name})" in markdown and path.stat().st_size > 5_000 for path in swept.pictures)
    else:
        assert "The figures are omitted here" in markdown


def test_figures_below_the_visible_part_are_drawn_after_the_page_has_opened(
    trained: Trained, chromium: Browser
) -> None:
    seen = opened(chromium, 1280)
    drawn = "document.querySelectorAll('.js-plotly-plot').length"
    seen.page.add_init_script(f"addEventListener('load', () => {{ window.drawnAtLoad = {drawn}; }})")
    seen.page.goto(trained.report.page.as_uri())
    assert seen.page.evaluate("window.drawnAtLoad") < all_drawn(seen.page) / 2
    seen.page.close()


def test_wide_tables_scroll_in_their_own_box(trained: Trained, chromium: Browser) -> None:
    seen = opened(chromium, 375)
    seen.page.goto(trained.report.page.as_uri())
    boxes = seen.page.evaluate("[...document.querySelectorAll('.table')].map(e => [e.scrollWidth, e.clientWidth])")
    assert any(inner > outer for inner, outer in boxes)
    assert all(outer <= 375 for _, outer in boxes)
    seen.page.close()


def test_the_report_is_written_from_the_database_alone(trained: Trained, tmp_path: Path) -> None:
    written = write_report(ablation_findings(read_evidence(trained.url, "hostile")), tmp_path)
    paths = (*written.files, *written.pictures)
    for old, new in zip(trained.report.files, paths, strict=False):
        if old.name != "report.md":  # it has figures here if a browser is available
            assert old.read_bytes() == new.read_bytes(), old.name
    markdown = (tmp_path / "report.md").read_text()
    for path in paths[len(trained.report.files) :]:
        assert f"(figures/{path.name})" in markdown


@pytest.fixture(scope="module")
def dashboard(trained: Trained) -> Iterator[str]:
    findings = ablation_findings(read_evidence(trained.url, "hostile"))
    publish(trained.url, findings, trained.report)
    publish(trained.url, findings, trained.report)  # publishing twice is the same as once
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [SWEEPS, "dashboard", "--port", str(port), "--storage", trained.url]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}/dashboard/"
    try:
        deadline = time.monotonic() + 60
        while True:
            assert server.poll() is None
            assert time.monotonic() < deadline
            with suppress(urllib.error.URLError, ConnectionError), urllib.request.urlopen(url, timeout=5):
                break
            time.sleep(0.1)
        yield url
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:  # wsgiref ignores an interrupt during a request
            server.kill()
            server.wait(10)


def says(page: Page, *parts: str) -> str:
    deadline = time.monotonic() + 20
    while True:
        text = page.inner_text("body")
        missing = [part for part in parts if part not in text]
        if not missing:
            return text
        assert time.monotonic() < deadline, f"{page.url} does not say {missing}:\n{text[:2000]}"
        page.wait_for_timeout(100)


def test_the_dashboard_shows_the_verdicts_and_the_forest(dashboard: str, chromium: Browser) -> None:
    page = chromium.new_page(viewport={"width": 1280, "height": 1600})
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page.goto(f"{dashboard}studies/1/note")
    says(page, "CONFOUNDED BY INSTABILITY", "pairs won", ATTACKS[1])
    page.goto(f"{dashboard}studies/1")
    says(page, "Every effect with its interval")
    page.goto(f"{dashboard}artifacts")
    assert dialogs == []
    assert page.evaluate("window.__pwned === undefined")
    page.close()


def test_each_file_is_an_artifact_once(trained: Trained, dashboard: str, chromium: Browser) -> None:
    with urllib.request.urlopen(dashboard.replace("/dashboard/", "/api/studies/1")) as answer:
        body = answer.read().decode()
    for path in trained.report.files:
        assert body.count(f'"{path.name}"') == 1, path.name
    stored = list((trained.report.folder.parent / "runs" / "artifacts").iterdir())
    assert len(stored) == len(trained.report.files)
