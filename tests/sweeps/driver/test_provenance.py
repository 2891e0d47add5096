from __future__ import annotations

import json
import os
from importlib.metadata import version
from pathlib import Path

import pytest

from sweeps.changes import CodeState
from sweeps.driver.provenance import LONGEST_DIFF, MOST_UNTRACKED, code_state, provenance
from tests.repository import git


def test_names_versions_and_machine() -> None:
    found = provenance()
    assert found["packages"]["torch"] == version("torch")
    assert found["packages"]["sweeps"] == version("sweeps")
    assert found["cpus"] == os.cpu_count()
    assert found["memory_gib"] > 0
    assert found["python"].startswith("3.")
    assert json.loads(json.dumps(found)) == found


def test_names_the_commit_and_whether_it_is_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    git(tmp_path, "init", "--quiet")
    (tmp_path / "a").touch()
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "--quiet", "-m", "first")
    found = provenance()
    assert (found["git_commit"], found["git_dirty"]) == (git(tmp_path, "rev-parse", "HEAD"), False)
    (tmp_path / "a").write_text("changed")
    assert provenance()["git_dirty"] is True


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a repository with a commit; the current folder is one of its folders."""
    git(tmp_path, "init", "--quiet")
    (tmp_path / "sub").mkdir()
    for name in ("a.py", "sub/b.py"):
        (tmp_path / name).write_text("one\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "first")
    git(tmp_path, "config", "diff.noprefix", "true")
    monkeypatch.chdir(tmp_path / "sub")
    return tmp_path


def state() -> CodeState:
    found = code_state("2026-01-02T03:04:05+00:00", 2)
    assert found is not None
    return found


def test_uncommitted_changes_of_the_whole_repository_can_be_applied(repository: Path) -> None:
    assert state().clean
    (repository / "a.py").write_text("two \n\n")
    (repository / "sub" / "b.py").write_text("é\n")
    (repository / "new file.py").touch()
    found = state()
    assert (found.commit, found.untracked) == (git(repository, "rev-parse", "HEAD"), ("new file.py",))
    assert found.text.splitlines()[:2] == [
        f"# commit {found.commit}, 2026-01-02 03:04 UTC, after 2 runs",
        "# untracked, not recorded: new file.py",
    ]
    git(repository, "checkout", "--quiet", "--", ".")
    (repository / "changes.diff").write_text(found.text)
    git(repository, "apply", "changes.diff")
    assert [(repository / name).read_text() for name in ("a.py", "sub/b.py")] == ["two \n\n", "é\n"]


def test_large_changes_are_cut(repository: Path) -> None:
    (repository / "a.py").write_text("x" * 2 * LONGEST_DIFF)
    for number in range(MOST_UNTRACKED + 2):
        (repository / f"{number}").touch()
    found = state()
    assert len(found.diff) < LONGEST_DIFF + 100
    assert "# cut: " in found.diff.splitlines()[-1]
    assert found.untracked[-1] == "... (2 more)"


@pytest.mark.parametrize("path", [None, "/nowhere"])
def test_without_a_repository_or_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str | None) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    if path is not None:
        monkeypatch.setenv("PATH", path)
    found = provenance()
    assert (found["git_commit"], found["git_dirty"]) == (None, False)
    assert code_state("", 0) is None


def test_nothing_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "s3cret")
    assert "s3cret" not in json.dumps(provenance())
