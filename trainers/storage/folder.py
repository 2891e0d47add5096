"""The contract of a folder that holds checkpoints, whether local or behind a URL."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod


class Folder(ABC):
    """Files that are written and read whole. What the file system refuses is an `OSError`, whatever its own name."""

    @abstractmethod
    def url(self, name: str) -> str:
        """The path or URL of what has this name in the folder."""

    @abstractmethod
    def child(self, name: str) -> Folder:
        """A folder in this one; it need not exist."""

    @abstractmethod
    def names(self) -> list[str]:
        """What lies in the folder; nothing where it does not exist."""

    @abstractmethod
    def has(self, name: str) -> bool:
        """Whether there is a file of this name."""

    @abstractmethod
    def write(self, name: str, *parts: bytes | memoryview) -> None:
        """Write a file: all of it is there under its name after this returns, and nothing of it before."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """All that is in a file."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Delete a file, if it is there."""

    @abstractmethod
    def remove(self) -> None:
        """Delete the folder with all that is in it, if it is there."""


def temporary_name(name: str) -> str:
    """A name for a file that is not whole yet; nobody else's, and no checkpoint's."""
    return f".{name}.{uuid.uuid4().hex}.tmp"
