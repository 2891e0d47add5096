import multiprocessing
import os
import time
from pathlib import Path

import numpy as np
import pytest

from search_spaces.errors import UsageError
from trainers.storage.cache import cache_directory, cached_arrays


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SWEEPS_CACHE", str(tmp_path / "cache"))


def never():
    raise AssertionError("built again")


def test_built_once_then_read():
    made = {"x": np.arange(3.0), "y": np.array([[1, 2]])}
    assert cached_arrays("a", {"n": 1}, lambda: made)["x"].tolist() == [0, 1, 2]
    again = cached_arrays("a", {"n": 1}, never)
    assert {name: (array.dtype, array.tolist()) for name, array in again.items()} == {
        name: (array.dtype, array.tolist()) for name, array in made.items()
    }
    assert cached_arrays("a", {"n": 2}, lambda: {"x": np.zeros(1)})["x"].tolist() == [0]


@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b[: len(b) // 2], lambda b: b[:-1] + b"\xff"])
def test_a_damaged_entry_is_built_again(damage):
    cached_arrays("a", {}, lambda: {"x": np.arange(3)})
    (entry,) = cache_directory().glob("*.sealed")
    entry.write_bytes(damage(entry.read_bytes()))
    assert cached_arrays("a", {}, lambda: {"x": np.arange(4)})["x"].tolist() == [0, 1, 2, 3]
    cached_arrays("a", {}, never)


def test_objects_are_refused():
    with pytest.raises(ValueError, match="Object arrays"):
        cached_arrays("a", {}, lambda: {"x": np.array([object()])})
    assert not list(cache_directory().glob("*.sealed"))


def test_directory_by_environment(monkeypatch):
    monkeypatch.setenv("SWEEPS_CACHE", "~/somewhere")
    assert cache_directory() == Path.home() / "somewhere"
    monkeypatch.delenv("SWEEPS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_directory() == Path("/xdg/sweeps")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_directory() == Path.home() / ".cache" / "sweeps"


def test_an_unwritable_cache_is_one_line(monkeypatch):
    def denied(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", denied)
    with pytest.raises(UsageError, match="SWEEPS_CACHE"):
        cached_arrays("a", {}, never)


def _slow_build(directory: str) -> None:
    os.environ["SWEEPS_CACHE"] = directory

    def build():
        Path(directory, f"built-by-{os.getpid()}").touch()
        time.sleep(0.3)
        return {"x": np.arange(3)}

    assert cached_arrays("a", {}, build)["x"].tolist() == [0, 1, 2]


def test_one_process_builds_and_the_others_wait(tmp_path):
    (tmp_path / "cache").mkdir()
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_slow_build, args=(str(tmp_path / "cache"),)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert len(list((tmp_path / "cache").glob("built-by-*"))) == 1
