"""What a person sees in the Optuna dashboard over our database, in a real Chromium."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SWEEPS = str(Path(sys.executable).with_name("sweeps"))
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium"),
]

LOOP = '''
import math

def train(config, seed, state=None):
    """Best near lr 1e-2; too small a rate fails, too large a one diverges."""
    lr = config["optimizer"]["lr"]
    for epoch in range(1, config["budget"]["epochs"] + 1):
        if lr < 1e-4 and epoch == 2:
            raise ValueError("this learning rate is too small for me")
        plateau = math.exp(-((math.log10(lr) + 2) ** 2))
        loss = math.nan if lr > 0.05 and epoch == 2 else 1 - plateau
        yield {"val/accuracy": plateau * (1 - 0.6 ** epoch), "train/loss": loss}
'''
SPACE = """
kind: sweep
task: browser_loops:train
metric: {name: val/accuracy, goal: maximize}
recipe:
  optimizer: {kind: adamw, lr: 1e-3}
  budget: {epochs: 9}
search:
  optimizer.lr: {loguniform: [1e-6, 1]}
  schedule.warmup: {uniform: [0.0, 0.3]}
sampler: {kind: random, seed: 4}
early_stopping: {kind: asha, grace_epochs: 3, reduction_factor: 3}
runs: 16
"""
# Trial states as the dashboard writes them.
SHOWN = {"COMPLETE": "Complete", "STOPPED": "Pruned", "DIVERGED": "Pruned", "FAILED": "Fail"}


@dataclass
class Dashboard:
    """A served sweep.

    Attributes:
        url: Of its first page.
        runs: What `sweeps show --json` says of it.
    """

    url: str
    runs: list[dict]

    def first(self, state: str) -> dict:
        """The first run that ended so."""
        return next(run for run in sorted(self.runs, key=lambda run: run["run"]) if run["state"] == state)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    folder = tmp_path_factory.mktemp("dashboard")
    (folder / "browser_loops.py").write_text(LOOP)
    (folder / "browsed.yaml").write_text(SPACE)
    done = subprocess.run([SWEEPS, "run", "browsed.yaml", "--local"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    shown = subprocess.run([SWEEPS, "show", "browsed", "--json"], cwd=folder, capture_output=True, check=True)
    port = free_port()
    with (folder / "dashboard.log").open("w") as log:
        server = subprocess.Popen([SWEEPS, "dashboard", "--port", str(port)], cwd=folder, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}/dashboard/"
    try:
        wait_for(url, server)
        yield Dashboard(url, json.loads(shown.stdout))
    finally:
        server.terminate()
        server.wait(10)


def wait_for(url: str, server: subprocess.Popen) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert server.poll() is None
        with contextlib.suppress(urllib.error.URLError, ConnectionError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.1)
    pytest.fail("the dashboard does not answer")


@dataclass
class Browser:
    """A page, and what went wrong on it."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def text(self, *expected: str, timeout_s: float = 20) -> str:
        """The text of the page, as soon as it says all this."""
        deadline = time.monotonic() + timeout_s
        while True:
            text = self.page.inner_text("body")
            if all(part in text for part in expected):
                return text
            if time.monotonic() > deadline:
                missing = [part for part in expected if part not in text]
                pytest.fail(f"{self.page.url} does not say {missing}:\n{text[:3000]}")
            self.page.wait_for_timeout(100)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the extra dev")
    flags = (
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    )
    with playwright.sync_playwright() as engine:
        chromium = engine.chromium.launch(
            executable_path=CHROMIUM, headless=True, args=list(flags), env={**os.environ, "no_proxy": "127.0.0.1"}
        )
        page = chromium.new_page(viewport={"width": 1280, "height": 900})
        seen = Browser(page)
        page.on("pageerror", lambda error: seen.complaints.append(f"{page.url}: {error}"))
        page.on("console", lambda message: _complain(seen, message))
        page.on("response", lambda response: _refused(seen, response))
        yield seen
        chromium.close()


def _complain(seen: Browser, message: object) -> None:
    if message.type == "error":  # type: ignore[attr-defined]
        seen.complaints.append(f"{seen.page.url}: {message.text}")  # type: ignore[attr-defined]


def _refused(seen: Browser, response: object) -> None:
    if response.status >= 400 and "/api/" in response.url:  # type: ignore[attr-defined]
        seen.complaints.append(f"{response.status} {response.url}")  # type: ignore[attr-defined]


def test_the_sweep_ended_in_every_way(dashboard: Dashboard) -> None:
    assert {run["state"] for run in dashboard.runs} == set(SHOWN)


def test_the_study_is_listed(dashboard: Dashboard, browser: Browser) -> None:
    browser.page.goto(dashboard.url)
    browser.text("browsed")
    browser.page.get_by_text("browsed").first.click()
    browser.page.wait_for_url("**/studies/1**")
    assert "browsed" in browser.text("History", "optimizer.lr")


def test_trials_have_the_states_of_their_runs(dashboard: Dashboard, browser: Browser) -> None:
    browser.page.goto(f"{dashboard.url}studies/1/trials")
    text = browser.text("Trial 0", "Trial 15")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for run in dashboard.runs:
        name = f"Trial {run['run']}"
        # The list on the left: the name of a trial, then its state.
        states = {lines[at + 1] for at, line in enumerate(lines[:-1]) if line == name}
        assert SHOWN[run["state"]] in states, (name, run["state"], states)


def test_a_stopped_run_shows_its_curve_and_why(dashboard: Dashboard, browser: Browser) -> None:
    stopped = dashboard.first("STOPPED")
    browser.page.goto(f"{dashboard.url}studies/1/trials?numbers={stopped['run']}")
    text = browser.text("stopped by asha", str(stopped["seed"]), "optimizer.lr", "schedule.warmup", "Intermediate")
    for name in ("seed", "reason", "seconds"):
        assert name in text
    lr = stopped["searched"]["optimizer.lr"]
    assert f"{lr:.6g}"[:6] in text or repr(lr)[:6] in text
    # The last of its values, in the list of intermediate values and as the value of the trial.
    assert f"{stopped['value']:.10f}"[:6] in text
    assert stopped["epoch"] == 3


@pytest.mark.parametrize(("state", "reason"), [("DIVERGED", "diverged"), ("FAILED", "failed")])
def test_what_went_wrong_is_said(dashboard: Dashboard, browser: Browser, state: str, reason: str) -> None:
    run = dashboard.first(state)
    browser.page.goto(f"{dashboard.url}studies/1/trials?numbers={run['run']}")
    text = browser.text(reason, str(run["seed"]))
    if state == "FAILED":
        assert "this learning rate is too small for me" in text


def test_no_page_complained(browser: Browser) -> None:
    assert browser.complaints == []
