from __future__ import annotations

import subprocess
import sys

import search_spaces


def test_all_names_exist_and_are_sorted() -> None:
    assert sorted(search_spaces.__all__) == sorted(set(search_spaces.__all__))
    for name in search_spaces.__all__:
        assert hasattr(search_spaces, name)


def test_importing_is_cheap() -> None:
    code = "import search_spaces, sys; print({'scipy', 'numpy', 'torch', 'optuna', 'ray'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
