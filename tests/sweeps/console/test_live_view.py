from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from search_spaces import Recipe
from sweeps.console import live_view
from sweeps.console.live_view import LiveView, Pace, Printed, next_line
from sweeps.console.output import open_console
from sweeps.engine.conductor import Conductor
from sweeps.engine.progress import sweep_progress
from sweeps.run_state import RunState
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
    assert all(re.match(r"toy: .* (1 epoch|\d+ epochs), ", line) for line in lines)


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


def test_a_line_for_news_and_fewer_and_fewer_without() -> None:
    """A sweep in which nothing ends for two hours, looked at every 2 s."""
    last, at = Printed(), []
    for now in range(0, 7200, 2):
        news = ("one run ended",) if now >= 100 else ("started",)
        if (following := next_line(last, news, now)) is not None:
            last = following
            at.append(now)
    assert at[:8] == [0, 10, 20, 30, 40, 50, 60, 100]  # the seventh pause, of a minute, is cut short by news
    assert at[8:14] == [110, 120, 130, 140, 150, 160]
    assert at[14:] == list(range(220, 7200, 60))


class Runs:
    """A conductor of ten runs, of which the first ones have ended."""

    first_report_at = 0.0
    plan = SimpleNamespace(total=10)

    def __init__(self, finished: int = 0) -> None:
        self.runs = [SimpleNamespace(state=RunState.COMPLETE)] * finished


def test_the_time_left_counts_down_between_two_ends_of_runs() -> None:
    now, runs = [5.0], Runs()
    pace = Pace(runs, lambda: now[0])  # type: ignore[arg-type]
    assert pace.eta_s() is None
    now[0], runs.runs = 10.0, Runs(1).runs
    assert pace.eta_s() == 90.0
    now[0] = 14.0
    assert pace.eta_s() == 86.0
    now[0] = 200.0
    assert pace.eta_s() == 0.0  # later than estimated, but it never counts up
    runs.runs = Runs(2).runs
    assert pace.eta_s() == 800.0


def test_runs_that_an_earlier_driver_finished_do_not_count() -> None:
    now, runs = [0.0], Runs(5)
    pace = Pace(runs, lambda: now[0])  # type: ignore[arg-type]
    now[0], runs.runs = 10.0, Runs(6).runs
    assert pace.eta_s() == 40.0
