"""Texts of users are printed as they are, and no print fails for its stream."""

from __future__ import annotations

import ast
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.markup import render
from typer.main import get_command

from search_spaces import AdamW, Budget, Choice, Metric, Recipe
from search_spaces.specs.space_parts import NoStopping
from sweeps.cli.app import app
from sweeps.console.cluster_table import NodeRow, print_nodes
from sweeps.console.live_view import line, panel
from sweeps.console.output import forgive_streams, open_console, print_document, short
from sweeps.console.tables import print_json
from sweeps.engine.progress import sweep_progress
from tests.command import Command, in_this_process
from tests.fakes import CurveRunner, run_sweep, space

ROOT = Path(__file__).resolve().parents[3]
HOSTILE = ("[INST] {q} [/INST]", "[/b]", ":smile:", "[bold]x[/bold] %s \\[y]", "[link=file:///x]z[/link]")
METRIC = "val/[bold]:100:"


def test_only_one_place_makes_consoles() -> None:
    """A console that is made elsewhere, or a call that asks for markup, would interpret the texts of users."""
    found = _calls(_interprets)
    assert [place for place in found if not place.startswith("sweeps/console/output.py:")] == []
    assert len(found) == 1


def _calls(which: Callable[[ast.Call], bool]) -> list[str]:
    """Return the places of such calls in the four packages, as ``path:line``."""
    return [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for package in ("search_spaces", "trainers", "sweeps", "analysis")
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and which(node)
    ]


def _interprets(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    return name in ("Console", "from_markup", "get_console") or any(
        keyword.arg in ("markup", "emoji", "highlight") for keyword in call.keywords
    )


def _curve(recipe: Recipe, epoch: int) -> dict[str, float]:
    if recipe.custom["prompt"] == HOSTILE[1]:
        raise ValueError(f"their mistake: {' '.join(HOSTILE)}")
    return {"val/loss": 1.0 / epoch, METRIC: 1.0, "train/loss": 1.0}


@pytest.fixture
def sweeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Store a sweep over hostile texts in the current folder, and return the command."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("analysis.report.page.write_pngs", lambda *arguments: "they were not requested")
    monkeypatch.setattr("analysis.report.present.publish_sweep", lambda *arguments: None)  # there is no study
    (tmp_path / "runs").mkdir()
    spec = space(
        recipe=Recipe(optimizer=AdamW(), budget=Budget(epochs=2), custom={"prompt": HOSTILE[0]}),
        search={"custom.prompt": Choice(list(HOSTILE))},
        task="mine:Task",
        metric=Metric(name="val/loss", goal="minimize"),
        early_stopping=NoStopping(),
    )
    run_sweep(spec, "sqlite:///runs/sweeps.db", tmp_path / "c", CurveRunner(_curve))
    return in_this_process(monkeypatch, capsys, columns=400)


def test_every_command_that_reads_prints_texts_as_they_are(sweeps: Command) -> None:
    runs = sweeps("show", "toy").out
    assert all(text in runs for text in HOSTILE)
    assert METRIC in sweeps("show", "toy", "0").out
    failed = next(row for row in runs.splitlines() if "failed" in row).split()[0]
    shown = sweeps("show", "toy", failed).out
    assert f"ValueError: their mistake: {' '.join(HOSTILE)}" in shown
    assert f"custom.prompt {HOSTILE[1]}" in shown
    for command in (
        "list",
        "status",
        "diagnose toy",
        f"diagnose toy {failed}",
        "report toy",
        "apply toy",
        "export toy",
    ):
        answer = sweeps(*command.split())
        assert answer.code == 0, (command, answer.text)
    assert sweeps("show", "[/b]:smile:").err.startswith("no sweep '[/b]:smile:' in the database")


def test_the_live_view_and_the_table_of_nodes_print_texts_as_they_are() -> None:
    out = io.StringIO()
    console = open_console(out, width=400, terminal=True)
    now = sweep_progress(space(name="x", task="mine:Task", metric=Metric(name="val/loss", goal="minimize")), [])
    console.print(panel(now, HOSTILE))
    console.print(line(now, HOSTILE))
    print_nodes([NodeRow(name, True, labels={"l": name}, training=(name,)) for name in HOSTILE], console)
    for text in HOSTILE:
        assert out.getvalue().count(text) == 5


def test_help_texts_hold_no_markup() -> None:
    """Typer reads help texts as markup, so that text in brackets would vanish from them."""
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        texts = [command.help, command.epilog, *(getattr(option, "help", None) for option in command.params)]
        for text in filter(None, texts):
            assert render(text).plain == text, name


# --- streams ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_what_a_stream_cannot_encode_is_replaced(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, encoding))
    forgive_streams()
    open_console().print("▲ BETTER größe")
    print_document("größe: 1\n")
    sys.stdout.flush()
    first, second = written.getvalue().splitlines()
    assert first == "▲ BETTER größe".encode(encoding, "replace")
    assert second.decode() == "größe: 1"  # a document is for a file, and files are UTF-8


def test_json_is_whole_where_only_ascii_can_be_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, "ascii"))
    forgive_streams()
    print_json({"name": "größe ▲"})
    sys.stdout.flush()
    assert json.loads(written.getvalue()) == {"name": "größe ▲"}


MANY_LINES = """
import sys
from sweeps.console.output import forgive_streams, open_console
forgive_streams()
for number in range(5_000):
    open_console().print(number)
    print(number)
sys.stderr.write("went on to the end")
"""


def test_a_reader_that_goes_away_ends_no_command() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", MANY_LINES], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"0\n"
        process.stdout.close()
        assert process.stderr.read() == b"went on to the end"
    assert process.returncode == 0


def test_every_command_begins_with_these_streams(sweeps: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, "ascii"))
    assert sweeps("report", "toy").code == 0
    sys.stdout.flush()
    assert b"next     sweeps " in written.getvalue()


def test_files_are_opened_with_an_encoding() -> None:
    """Without one, a file would depend on the locale of the machine."""
    assert _calls(_is_text_without_encoding) == []


def _is_text_without_encoding(call: ast.Call) -> bool:
    named = {keyword.arg for keyword in call.keywords}
    if not isinstance(call.func, ast.Attribute):
        return isinstance(call.func, ast.Name) and call.func.id == "open" and "encoding" not in named
    modes = [value.value for value in call.args if isinstance(value, ast.Constant) and isinstance(value.value, str)]
    owner = getattr(call.func.value, "id", "")
    opens = call.func.attr in ("open", "fdopen") and (owner != "os" or call.func.attr == "fdopen")
    text = call.func.attr in ("write_text", "read_text") or (opens and not any("b" in mode for mode in modes))
    return (text and "encoding" not in named) or ("text" in named and "encoding" not in named and owner == "subprocess")


def test_values_that_could_be_taken_for_others_have_quotes() -> None:
    values = [1, "1", True, "true", "True", None, "null", "", 2.5, "2.5", "1e-3", "None", "[b]", "a,b", (0.9, 0.95)]
    texts = [
        "1",
        "'1'",
        "true",
        "'true'",
        "'True'",
        "null",
        "'null'",
        "''",
        "2.5",
        "'2.5'",
        "'1e-3'",
        "None",
        "[b]",
        "a,b",
    ]
    assert [short(value) for value in values] == [*texts, "(0.9, 0.95)"]
