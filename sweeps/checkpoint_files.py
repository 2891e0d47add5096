"""Where the checkpoints of a sweep lie, and which of them are still wanted. Loads no torch."""

from __future__ import annotations

import shutil
from collections.abc import Container
from pathlib import Path


class CheckpointFiles:
    """The folder of one sweep: one folder a run, ``000007/``.

    Args:
        root: The sweep's folder; workers must be able to reach it.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    def folder(self, number: int) -> Path:
        """The folder of one run; it need not exist."""
        return self._root / f"{number:06d}"

    def final(self, number: int) -> str | None:
        """The path of the trained weights of one run, or None where there are none."""
        path = self.folder(number) / "final.ckpt"
        return str(path) if path.exists() else None

    def keep_final(self, number: int) -> None:
        """Drop all but the trained weights."""
        for path in self.folder(number).glob("*"):
            if path.name != "final.ckpt":
                path.unlink(missing_ok=True)

    def remove(self, number: int) -> None:
        """Drop everything of one run."""
        shutil.rmtree(self.folder(number), ignore_errors=True)

    def tidy(self, wanted: Container[int]) -> None:
        """Drop what a driver that died left of runs that need nothing any more."""
        for folder in self._root.glob("[0-9]" * 6):
            if int(folder.name) not in wanted:
                self.remove(int(folder.name))
