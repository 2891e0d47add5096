from __future__ import annotations

import json
import os
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from sweeps.driver.provenance import provenance


def git(folder: Path, *arguments: str) -> str:
    name = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org"]
    done = subprocess.run(["git", *name, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


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


@pytest.mark.parametrize("path", [None, "/nowhere"])
def test_without_a_repository_or_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str | None) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    if path is not None:
        monkeypatch.setenv("PATH", path)
    found = provenance()
    assert (found["git_commit"], found["git_dirty"]) == (None, False)


def test_nothing_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "s3cret")
    assert "s3cret" not in json.dumps(provenance())
