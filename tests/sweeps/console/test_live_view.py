from __future__ import annotations

import io
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console

from search_spaces import Recipe
from sweeps.console import live_view
from sweeps.console.live_view import LiveView
from sweeps.console.output import open_console
from sweeps.engine.conductor import Conductor
from sweeps.engine.progress import sweep_progress
from sweeps.store.store import Store
from tests.fakes import CurveRunner, analytic, conductor_of, run_sweep, space, writer_of

SPEC = space(runs=6)


def slow(recipe: Recipe, epoch: int) -> Mapping[str, float]:
    time.sleep(0.01)
    return analytic(recipe, epoch)


@contextmanager
def viewed(url: str, folder: Path, console: Console, monkeypatch: pytest.MonkeyPatch) -> Iterator[Conductor]:
    """A sweep that is watched by a live view that looks often; at the end, its thread must have ended by itself."""
    monkeypatch.setattr(live_view, "PLAIN_EVERY_S", 0.01)
    monkeypatch.setattr(live_view, "LIVE_PER_S", 100)
    with Store(url) as store:
        writer = writer_of(store, SPEC, folder)
        conductor = conductor_of(SPEC, store, folder, writer)
        view = LiveView(conductor, console, lambda one, eta_s: sweep_progress(SPEC, list(one.runs), eta_s), writer)
        view.sweep_begins(SPEC, [])
        yield conductor
        view._thread.join(5)
        assert not view._thread.is_alive()
        view.sweep_ends()


def test_lines_of_text_where_there_is_no_terminal(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.StringIO()
    with viewed(sqlite_url, tmp_path / "c", open_console(out, width=40), monkeypatch) as conductor:
        time.sleep(0.05)
        assert out.getvalue() == ""  # nothing before the first epoch
        CurveRunner(slow).run(conductor)
    lines = out.getvalue().splitlines()
    assert len(lines) > 2
    assert len(set(lines)) == len(lines)
    assert all(line.startswith("toy: ") and " epochs, " in line for line in lines)


def test_a_panel_in_a_terminal_from_the_first_run_to_the_last(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.StringIO()
    console = open_console(out, width=100, terminal=True)
    with viewed(sqlite_url, tmp_path / "c", console, monkeypatch) as conductor:
        time.sleep(0.05)
        assert out.getvalue() == ""
        CurveRunner(slow).run(conductor)
    text = out.getvalue()
    assert "of 6 finished" in text
    assert "promoted" in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1  # the cursor was hidden and shown again


@pytest.mark.parametrize("terminal", [True, False])
def test_nothing_for_a_sweep_that_is_complete(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    run_sweep(SPEC, sqlite_url, tmp_path / "c")
    out = io.StringIO()
    with viewed(sqlite_url, tmp_path / "c", open_console(out, terminal=terminal), monkeypatch):
        pass
    assert out.getvalue() == ""


def test_it_ends_when_the_sweep_drains(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with viewed(sqlite_url, tmp_path / "c", open_console(io.StringIO()), monkeypatch) as conductor:
        CurveRunner(slow, drain_after=3).run(conductor)
        assert not conductor.finished
