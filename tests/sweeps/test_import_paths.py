from __future__ import annotations

from pathlib import Path

import pytest

from search_spaces import Metric, SpaceSpec, UsageError
from sweeps.import_paths import check_names
from tests.command import in_this_process

SPACE = """
kind: sweep
task: {task}
metric: {{name: val/loss, goal: minimize}}
recipe: {{budget: {{epochs: 1}}}}
search: {{optimizer.lr: {{loguniform: [1e-3, 1]}}}}
sampler: {{kind: random}}
runs: 2
"""


def space_of(task: str) -> SpaceSpec:
    return SpaceSpec(name="x", task=task, metric=Metric(name="val/nll", goal="minimize"), runs=1)


def place(folder: Path, *files: str) -> None:
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("", encoding="utf-8")


@pytest.mark.parametrize(
    ("file", "task", "found"),
    [
        ("trainers/__init__.py", "mine:train", "trainers"),
        ("trainers/__init__.py", "digits", "trainers"),
        ("sweeps/__init__.py", "sweeps.loop:train", "sweeps"),
        ("search_spaces/__init__.py", "mine:train", "search_spaces"),
        ("analysis/__init__.py", "mine:train", "analysis"),
        ("trainers/loop.py", "trainers.loop:train", "trainers"),
        ("trainers.py", "mine:train", "trainers.py"),
    ],
)
def test_a_package_with_the_name_of_ours_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, task: str, found: str
) -> None:
    place(tmp_path, file)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as raised:
        check_names(space_of(task))
    assert str(raised.value) == f"{tmp_path / found}: has the name of a package that `sweeps` itself imports; rename it"


@pytest.mark.parametrize(
    ("file", "task"),
    [
        ("benchmarks/__init__.py", "benchmarks.loop:train"),
        ("sweeps/first.yaml", "mine:train"),  # a folder of space files
        ("analysis/plots.py", "mine:train"),
        ("analysis/__init__.py", "digits"),  # no worker loads either of the two
    ],
)
def test_other_folders_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, task: str) -> None:
    place(tmp_path, file)
    monkeypatch.chdir(tmp_path)
    check_names(space_of(task))


def test_our_own_folder_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    check_names(space_of("mine:train"))


@pytest.mark.parametrize("command", ["run s.yaml --local", "run s.yaml", "run s.yaml --dry-run", "check s.yaml"])
def test_every_command_that_trains_refuses_it_before_it_starts_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    place(tmp_path, "search_spaces/__init__.py")
    (tmp_path / "s.yaml").write_text(SPACE.format(task="search_spaces.loop:train"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    answer = in_this_process(monkeypatch, capsys)(*command.split())
    assert answer.code == 2
    assert answer.err.startswith(f"{tmp_path / 'search_spaces'}: has the name of a package")
    assert len(answer.err.splitlines()) == 1
    assert not (tmp_path / "runs").exists()
