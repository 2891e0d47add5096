"""Where the checkpoints of a sweep lie, and which of them are still wanted. Loads no torch."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Container
from textwrap import shorten

from search_spaces import UsageError
from trainers.storage.address import open_folder
from trainers.storage.folder import Folder

FINAL = "final.ckpt"
AWAY_S = 60.0  # so long a folder that did not answer is left alone

_RUN = re.compile(r"\d{6}")


def reachable(text: str) -> Folder:
    """The folder that a person named, in which a small file was written, read and deleted.

    Raises:
        UsageError: It cannot be used; one line says why.
    """
    try:
        folder = open_folder(text)
    except UsageError as error:
        raise UsageError(f"--checkpoints: {error}") from error
    name, content = f".probe-{uuid.uuid4().hex}", b"sweeps"
    try:
        folder.write(name, content)
        same = folder.read(name) == content
        folder.delete(name)
        if not same:
            raise OSError("a file did not read back as it was written")
    except OSError as error:
        reason = shorten(str(error.strerror or error), 300, placeholder=" ...")
        raise UsageError(
            f"--checkpoints: {folder}: every node has to write and read here, and this one cannot ({reason}): name a "
            "folder or a bucket that exists, with its credentials in the environment"
        ) from error
    return folder


class CheckpointFiles:
    """The folder of one sweep: one folder a run, ``000007/``.

    To clean up is never worth a sweep: what a folder that is away keeps, the next driver drops.

    Args:
        root: The sweep's folder; workers must be able to reach it.
    """

    def __init__(self, root: Folder) -> None:
        self.root = root
        self._away_until = 0.0

    def folder(self, number: int) -> Folder:
        """The folder of one run; it need not exist."""
        return self.root.child(f"{number:06d}")

    def place(self, number: int) -> str:
        """Where the trained weights of one run would be."""
        return self.folder(number).url(FINAL)

    def final(self, number: int) -> str | None:
        """Where the trained weights of one run are, or None where there are none.

        Raises:
            OSError: The folder does not answer.
        """
        return self.place(number) if self.folder(number).has(FINAL) else None

    def keep_final(self, number: int) -> None:
        """Drop all but the trained weights."""

        def drop() -> None:
            folder = self.folder(number)
            for name in folder.names():
                if name != FINAL:
                    folder.delete(name)

        self._try(drop)

    def remove(self, number: int) -> None:
        """Drop everything of one run."""
        self._try(self.folder(number).remove)

    def tidy(self, wanted: Container[int]) -> None:
        """Drop what a driver that died left of runs that need nothing any more."""

        def drop() -> None:
            for name in self.root.names():
                if _RUN.fullmatch(name) and int(name) not in wanted:
                    self.folder(int(name)).remove()

        self._try(drop)

    def _try(self, action: Callable[[], None]) -> None:
        # Each try at a store that is away takes seconds, in which nobody writes records: one try a minute.
        if time.monotonic() < self._away_until:
            return
        try:
            action()
        except OSError:
            self._away_until = time.monotonic() + AWAY_S
