"""What one run gives to the program that trains it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search_spaces.values import Scalar

Argument = Scalar | Sequence["Argument"] | Mapping[str, "Argument"]
"""The value of an argument: finite numbers, texts, true, false, null, and lists and sections of these."""

SETTINGS = ("config", "epochs", "out", "run", "seed", "steps")


@dataclass(frozen=True)
class RunInputs:
    """The arguments and settings of one run.

    Attributes:
        args: Argument values by name, in the order of the file.
        seed: Seed of the run.
        out: Folder for the files of the run.
        run: Number of the run.
        epochs: Budget in epochs, or None if it is in steps.
        steps: Budget in steps, or None if it is in epochs.
        config: Path of the run's copy of the config file, or None without a config file.
        resume: Whether the run continues from what an earlier process left in `out`.
    """

    args: Mapping[str, Argument]
    seed: int
    out: str
    run: int
    epochs: int | None = None
    steps: int | None = None
    config: str | None = None
    resume: bool = False

    def settings(self) -> dict[str, str]:
        """Return the text of each setting that has a value."""
        found = {name: getattr(self, name) for name in SETTINGS}
        return {name: str(value) for name, value in found.items() if value is not None}
