"""Folders on a local or shared file system."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from trainers.storage.folder import Folder, temporary_name


@dataclass(frozen=True)
class LocalFolder(Folder):
    """Folder on a mounted file system.

    Attributes:
        path: Absolute path of the folder.
    """

    path: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", self.path.absolute())

    def __str__(self) -> str:
        return str(self.path)

    def url(self, name: str) -> str:
        return str(self.path / name)

    def child(self, name: str) -> LocalFolder:
        return LocalFolder(self.path / name)

    def names(self) -> list[str]:
        try:
            return [path.name for path in self.path.iterdir()]
        except FileNotFoundError:
            return []

    def has(self, name: str) -> bool:
        return (self.path / name).is_file()

    def write(self, name: str, *parts: bytes | memoryview) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path / name, *parts)

    def read(self, name: str) -> bytes:
        return (self.path / name).read_bytes()

    def delete(self, name: str) -> None:
        (self.path / name).unlink(missing_ok=True)

    def remove(self) -> None:
        try:
            shutil.rmtree(self.path)
        except FileNotFoundError:
            return


def write_atomically(path: Path, *parts: bytes | memoryview) -> None:
    """Write a file atomically: sync a temporary file to disk and rename it. A process that dies leaves the old file.

    Raises:
        OSError: The directory is missing or not writable, or the disk is full. ``path`` is unchanged.
    """
    temporary = path.with_name(temporary_name(path.name))
    try:
        with temporary.open("xb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    """Make the rename durable: on Linux a new name is on disk only after its directory is synced."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
