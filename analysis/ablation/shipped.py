"""Path of the shipped ablations."""

from __future__ import annotations

from pathlib import Path

LIBRARY = Path(__file__).parents[1] / "ablations"
