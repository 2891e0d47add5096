"""Skips the tests of this folder where torch finds no GPU, unless TEST_DEVICE=cpu asks for a trial of their logic."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if torch.cuda.is_available() or os.environ.get("TEST_DEVICE") == "cpu":
        return
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.skip(reason="torch finds no CUDA device; TEST_DEVICE=cpu tries their logic"))
