"""What the documentation shows is what happens: its YAML parses, its examples train, its commands run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from search_spaces import parse_space, shipped_spaces
from tests.command import in_this_process

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
SWEEPS = str(Path(sys.executable).with_name("sweeps"))


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, cwd=folder, capture_output=True, text=True, timeout=300)


SPACES = [
    (page, text)
    for page in PAGES
    for text in blocks(page, "yaml")
    if "kind: sweep" in text and not text.startswith("# bad.yaml")
]


@pytest.mark.parametrize(("page", "text"), SPACES, ids=lambda value: value.name if isinstance(value, Path) else "")
def test_every_space_file_shown_is_one(page: Path, text: str) -> None:
    assert parse_space(text, page.name, "shown").runs > 1


def test_there_are_space_files_to_check() -> None:
    assert len(SPACES) >= 3


@pytest.mark.parametrize("name", ["stripes", "prices", "line"])
def test_the_examples_of_own_tasks_and_loops_train(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = ROOT / "docs/tasks.md"
    for language in ("python", "yaml"):
        for text in blocks(page, language):
            first = text.splitlines()[0].removeprefix("# ")
            (tmp_path / first).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    done = in_this_process(monkeypatch, capsys)("run", f"{name}.yaml", "--local")
    assert done.code == 0, done.text
    assert "6 of 6" in done.out
    assert "failed" not in done.out


def test_the_bad_file_that_is_shown_has_the_mistakes_that_are_shown(tmp_path: Path) -> None:
    page = ROOT / "docs/spaces.md"
    (tmp_path / "bad.yaml").write_text(next(text for text in blocks(page, "yaml") if text.startswith("# bad.yaml")))
    shown = next(text for text in blocks(page, "console") if text.startswith("$ sweeps run bad.yaml"))
    done = run([SWEEPS, "run", "bad.yaml"], tmp_path)
    assert done.returncode == 2
    assert done.stderr == shown.partition("\n")[2]


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_readme_names_every_shipped_space_and_every_make_target() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for space in shipped_spaces():
        assert f"`{space}`" in readme
    for target in re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE):
        if target != "help":
            assert f"make {target}" in readme, target


def commands(page: Path) -> list[list[str]]:
    lines = [line for text in blocks(page, "console") for line in text.splitlines() if line.startswith("$ sweeps ")]
    return [[SWEEPS, *shlex.split(line.removeprefix("$ sweeps "), comments=True)] for line in lines]


@pytest.mark.slow
@pytest.mark.timeout(600)  # several sweeps and an ablation, one after the other
def test_the_commands_of_the_readme_run_in_their_order(tmp_path: Path) -> None:
    found = [command for command in commands(ROOT / "README.md") if "dashboard" not in command]
    assert len(found) >= 5
    for command in found:
        done = run(command, tmp_path)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"


def test_make_alone_prints_the_targets_with_one_line_each(tmp_path: Path) -> None:
    done = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}
    )
    assert done.returncode == 0
    shown = {line.split()[1] for line in done.stdout.splitlines()}
    assert shown >= {"sweep", "status", "dashboard", "export", "check", "test", "clean"}
