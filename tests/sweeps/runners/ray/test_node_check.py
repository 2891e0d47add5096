"""The problems that are found on a node."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from search_spaces import UsageError
from sweeps.runners.ray.node_check import MARKER, Expectation, expectation, lacks, versions
from tests.fakes import space
from trainers.storage.local import LocalFolder


def test_a_node_like_the_driver_lacks_nothing(tmp_path: Path) -> None:
    with expectation(space(), LocalFolder(tmp_path / "shared"), ()) as expected:
        assert set(expected.versions) == {"Python", "sweeps", "ray", "torch", "numpy"}
        assert lacks(expected) == ()
        assert (tmp_path / "shared" / MARKER).exists()
    assert not (tmp_path / "shared" / MARKER).exists()


def test_other_versions_are_both_named() -> None:
    [line] = lacks(Expectation(versions() | {"torch": "1.2.3"}))
    assert line.startswith("it has torch 2.")
    assert line.endswith("the driver has 1.2.3: install the same version on both")


def test_builds_of_torch_for_cpus_and_gpus_are_one_version() -> None:
    ours = versions()["torch"].partition("+")[0]
    for build in ("", "+cpu", "+cu126", "+rocm6.4"):
        assert lacks(Expectation({"torch": ours + build})) == ()


def test_another_checkout_of_this_project_is_another_version() -> None:
    ours = versions()["sweeps"]
    assert "(code " in ours
    [line] = lacks(Expectation({"sweeps": ours.replace("code ", "code 0")}))
    assert ours in line


def test_a_folder_that_is_another_one_on_the_node(tmp_path: Path) -> None:
    (tmp_path / MARKER).write_text("of another driver")
    for folder in (tmp_path, tmp_path / "none"):
        [line] = lacks(Expectation(folder=str(folder), token="ours"))
        assert line.startswith(f"it cannot read the checkpoints in {folder}: ")
        assert "--checkpoints" in line


def test_a_task_that_is_not_on_the_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "loops_for_nodes.py").write_text("def train(config, seed, state=None):\n    yield {}\n")
    assert lacks(Expectation(task="loops_for_nodes:train", import_paths=[str(tmp_path)])) == ()
    [line] = lacks(Expectation(task="nowhere_to_be_found:train"))
    assert line.startswith("the task cannot be used there: ")
    assert "nowhere_to_be_found" in line


def test_a_folder_that_is_not_writable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UsageError, match=r"--checkpoints: .*/file/x is not writable: Not a directory"),
        expectation(space(), LocalFolder(tmp_path / "file" / "x"), ()),
    ):
        pass
