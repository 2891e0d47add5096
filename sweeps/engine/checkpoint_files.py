"""Manages the checkpoint folders of a sweep and deletes what is no longer needed. Loads no torch."""

import re
import time
import uuid
from collections.abc import Callable, Container
from textwrap import shorten

from search_spaces import UsageError
from trainers.storage.address import open_folder
from trainers.storage.folder import Folder
from trainers.storage.local import LocalFolder

FINAL = "final.ckpt"
RETRY_AFTER_S = 60.0  # pause in seconds after a folder did not answer

_RUN = re.compile(r"\d{6}")


def reachable(text: str) -> Folder:
    """Open the folder of `--checkpoints`, after a small file was written, read and deleted there.

    Raises:
        UsageError: The folder cannot be used; the message gives the reason.
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
            raise OSError("a file was read back with another content")
    except OSError as error:
        reason = shorten(str(error.strerror or error), 300, placeholder=" ...")
        raise UsageError(
            f"--checkpoints: {folder}: every node must write and read here, and this one cannot ({reason}): name an "
            "existing folder or bucket, with its credentials in the environment"
        ) from error
    return folder


def check_on_disk(folder: Folder) -> None:
    """Check that a command can write its files into a folder.

    Raises:
        UsageError: The folder is behind a URL.
    """
    if not isinstance(folder, LocalFolder):
        rule = "a command writes its files to a disk, which a URL is not"
        raise UsageError(f"--checkpoints: {folder}: {rule}; name a folder that every node sees at the same path")


class CheckpointFiles:
    """The checkpoint folder of one sweep, with a folder for each run such as ``000007/``.

    Deleting never fails a sweep: the next driver deletes what remains in an unreachable folder.

    Args:
        root: Folder of the sweep; workers must be able to reach it.
    """

    def __init__(self, root: Folder) -> None:
        self.root = root
        self._retry_at = 0.0

    def folder(self, number: int) -> Folder:
        """Return the folder of one run, which may not exist."""
        return self.root.child(f"{number:06d}")

    def outputs(self, number: int) -> str:
        """Return the folder for what a command writes in one run; it is never deleted."""
        return self.root.child("outputs").url(f"{number:06d}")

    def code(self) -> str:
        """Return the folder for the files of other revisions that the arms of an ablation run."""
        return self.root.child("outputs").url("code")

    def place(self, number: int) -> str:
        """Return the location for the trained weights of one run."""
        return self.folder(number).url(FINAL)

    def final(self, number: int) -> str | None:
        """Return the location of the trained weights of one run; None if there are none.

        Raises:
            OSError: The folder does not answer.
        """
        return self.place(number) if self.folder(number).has(FINAL) else None

    def keep_final(self, number: int) -> None:
        """Delete everything of one run except its trained weights."""

        def drop() -> None:
            folder = self.folder(number)
            for name in folder.names():
                if name != FINAL:
                    folder.delete(name)

        self._try(drop)

    def remove(self, number: int) -> None:
        """Delete everything of one run."""
        self._try(self.folder(number).remove)

    def tidy(self, wanted: Container[int]) -> None:
        """Delete the folders of all other runs, which a crashed driver may have left."""

        def drop() -> None:
            for name in self.root.names():
                if _RUN.fullmatch(name) and int(name) not in wanted:
                    self.folder(int(name)).remove()

        self._try(drop)

    def _try(self, action: Callable[[], None]) -> None:
        # Each try at an unreachable store takes seconds, in which no records are written: one try per minute.
        if time.monotonic() < self._retry_at:
            return
        try:
            action()
        except OSError:
            self._retry_at = time.monotonic() + RETRY_AFTER_S
