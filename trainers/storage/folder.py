"""The one door to where checkpoints lie: a folder of this machine or a mounted disk, or one behind a URL.

A folder crosses processes as its text: `Folder.of(str(folder))` is the same folder in another one.
"""

from __future__ import annotations

import os
import re
import shutil
import uuid
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from search_spaces.errors import UsageError

_URL = re.compile(r"[A-Za-z][\w+.-]+://")
_SCHEME = re.compile(r"[A-Za-z][\w+.-]+:")
_SECRET = re.compile(r"secret|passw|token|signature|credentials|key|^sas", re.IGNORECASE)


class Folder(ABC):
    """Files that are written and read whole. What the file system refuses is an `OSError`, whatever its own name."""

    @staticmethod
    def of(text: str) -> Folder:
        """The folder of a path or a URL; it need not exist, and nothing is asked of its file system.

        Raises:
            UsageError: It is neither, or the URL holds credentials.
        """
        if not _URL.match(text):
            if not text or _SCHEME.match(text):
                raise UsageError(f"a folder's path or SCHEME://..., not {text!r}")
            return LocalFolder(Path(text))
        _refuse_credentials(text)
        if text.startswith("file:///"):
            return LocalFolder(Path(unquote(urlsplit(text).path)))
        from trainers.storage.remote import RemoteFolder  # loads pyarrow, which takes a moment

        return RemoteFolder(text)

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


@dataclass(frozen=True)
class LocalFolder(Folder):
    """A folder that the operating system knows.

    Attributes:
        path: Where it is.
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
        write_whole(self.path / name, *parts)

    def read(self, name: str) -> bytes:
        return (self.path / name).read_bytes()

    def delete(self, name: str) -> None:
        (self.path / name).unlink(missing_ok=True)

    def remove(self) -> None:
        try:
            shutil.rmtree(self.path)
        except FileNotFoundError:
            return


def temporary_name(name: str) -> str:
    """A name for a file that is not whole yet; nobody else's, and no checkpoint's."""
    return f".{name}.{uuid.uuid4().hex}.tmp"


def write_whole(path: Path, *parts: bytes | memoryview) -> None:
    """Write a file: all of it is on the disk after this returns, nothing of it before.

    It appears by an atomic rename of a complete, synced file, so a process that dies while writing leaves the old one.

    Raises:
        OSError: The directory is missing or cannot be written, or the disk is full. ``path`` is as it was.
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
    """Make the rename itself durable: on Linux a new name is on the disk once its directory is."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refuse_credentials(text: str) -> None:
    """A URL is printed, stored and handed to every worker: it may name a user, never a secret.

    Raises:
        UsageError: There is one, or what may be one; the message does not repeat it.
    """
    try:
        parts = urlsplit(text)
        _ = parts.port  # read for what it raises
        found = parts.password is not None or (parts.scheme.startswith("s3") and parts.username is not None)
        query = parse_qsl(parts.query, keep_blank_values=True)
        found = found or any(_SECRET.search(name) or "@" in value for name, value in query)
    except ValueError:  # what follows the colon is no port: a key pair with a slash in it looks like that
        found = True
    if found:
        raise UsageError(
            "a folder's URL may hold no credentials, since it is printed and stored: take them out; they come from the "
            "environment (AWS_ACCESS_KEY_ID, GOOGLE_APPLICATION_CREDENTIALS, ...)"
        )
