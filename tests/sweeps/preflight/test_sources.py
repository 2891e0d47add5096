from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from sweeps.preflight.sources import user_sources

NAMES = {"sources_task", "sources_tools", "sources_tools.deep", "sources_lazy"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "sources_task.py").write_text("import sources_tools.deep\n")
    (tmp_path / "sources_tools").mkdir()
    (tmp_path / "sources_tools" / "__init__.py").write_text("")
    (tmp_path / "sources_tools" / "deep.py").write_text("ONE = 1\n")
    (tmp_path / "sources_lazy.py").write_text("raise RuntimeError('not to be imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.import_module("sources_task")
    yield tmp_path
    for name in NAMES:
        sys.modules.pop(name, None)


def found(*known: str, task: str = "sources_task:train") -> dict[str, str]:
    """The modules of this test only: its own process has imported pytest's conftest, too."""
    return {name: digest for name, digest in user_sources(task, known).items() if name.startswith("sources_")}


def test_the_task_and_what_it_imports(folder: Path) -> None:
    first = found()
    assert set(first) == {"sources_task", "sources_tools", "sources_tools.deep"}
    assert found() == first
    (folder / "sources_tools" / "deep.py").write_text("ONE = 2\n")
    second = found()
    assert {name for name in first if first[name] != second[name]} == {"sources_tools.deep"}


def test_neither_libraries_nor_this_project(folder: Path) -> None:
    import numpy  # noqa: F401

    tops = {name.partition(".")[0] for name in user_sources("sources_task:train", ())}
    assert tops.isdisjoint({"numpy", "pytest", "json", "sweeps", "trainers", "search_spaces", "analysis", "__main__"})


def test_an_installed_package_is_the_users_if_it_has_the_task() -> None:
    assert "pytest" in user_sources("pytest:Task", ())
    assert not any(name.startswith("trainers") for name in user_sources("trainers.tasks:Data", ()))


def test_a_known_module_is_read_without_importing_it(folder: Path) -> None:
    assert "sources_lazy" in found("sources_lazy")
    assert "sources_lazy" not in sys.modules
    (folder / "sources_lazy.py").unlink()
    assert found("sources_lazy", "sources_lazy.none", "sources_nowhere.x") == found()


def test_modules_that_are_imported_only_inside_functions(folder: Path) -> None:
    lazily = "def train(config, seed):\n    import sources_lazy\n    from sources_tools import inner, absent\n"
    (folder / "sources_task.py").write_text(f"import sources_tools.deep\n{lazily}    import json, numpy, no_such\n")
    (folder / "sources_tools" / "inner.py").write_text(
        "from ... import beyond\ndef f():\n    from . import last\n    from .deep import ONE\n"
    )
    (folder / "sources_tools" / "last.py").write_text("ONE = 1\n")
    (folder / "sources_lazy.py").write_text("raise RuntimeError('not to be imported')\nthis is no Python\n")
    before = found()
    lazy = {"sources_lazy", "sources_tools.inner", "sources_tools.last"}
    assert set(before) == {"sources_task", "sources_tools", "sources_tools.deep", *lazy}
    assert lazy.isdisjoint(sys.modules)
    (folder / "sources_tools" / "last.py").write_text("TWO = 2\n")
    after = found()
    assert {name for name in before if before[name] != after[name]} == {"sources_tools.last"}


def test_a_module_beside_the_task_that_nothing_imports_is_not_compared(folder: Path) -> None:
    (folder / "sources_other.py").write_text("import sources_lazy\n")
    assert {"sources_other", "sources_lazy"}.isdisjoint(found())
