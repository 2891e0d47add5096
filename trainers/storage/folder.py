"""Interface of a folder for checkpoints, local or remote."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod


class Folder(ABC):
    """Folder whose files are read and written as a whole. Every failure of the file system is raised as `OSError`."""

    @abstractmethod
    def url(self, name: str) -> str:
        """Return the path or URL of a file or folder in this folder."""

    @abstractmethod
    def child(self, name: str) -> Folder:
        """Return a subfolder; it need not exist."""

    @abstractmethod
    def names(self) -> list[str]:
        """Return the names of the files and folders in this folder; empty if it does not exist."""

    @abstractmethod
    def has(self, name: str) -> bool:
        """Return whether a file with this name exists."""

    @abstractmethod
    def write(self, name: str, *parts: bytes | memoryview) -> None:
        """Write a file atomically; it is durable when this returns."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Return the content of a file."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Delete a file if it exists."""

    @abstractmethod
    def remove(self) -> None:
        """Delete the folder with its content if it exists."""


def temporary_name(name: str) -> str:
    """Return a unique name for a file that is not complete yet; it is never that of a checkpoint."""
    return f".{name}.{uuid.uuid4().hex}.tmp"
