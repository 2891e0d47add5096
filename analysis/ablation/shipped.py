"""Where the ablations lie that come with the package."""

from pathlib import Path

LIBRARY = Path(__file__).parents[1] / "ablations"
