"""Path of the shipped ablations."""

from pathlib import Path

LIBRARY = Path(__file__).parents[1] / "ablations"
