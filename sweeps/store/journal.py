"""An append-only file with what a driver has recorded and the database may not have yet.

A record is its length, a checksum of its payload, and the payload. When an append returns, the operating system has the
record, so it survives a killed process; only `sync` makes it survive a power cut. Reading stops at a record that is
incomplete: its append never returned, so nothing depends on it.
"""

import contextlib
import hashlib
import json
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from search_spaces import SweepError

FORMAT = 1
_HEAD = struct.Struct("<I8s")  # length and checksum of a payload


@dataclass(frozen=True)
class JournalContents:
    """Contents of a journal.

    Attributes:
        author: Name of the driver that wrote it, as in the database.
        first: Number of records of this driver before the first one here; the database has them.
        payloads: Payloads of the records, in order.
    """

    author: str
    first: int
    payloads: Sequence[bytes]


def read_journal(path: Path) -> JournalContents | None:
    """Read the journal of an earlier driver up to the first incomplete or altered record; None if there is nothing.

    Raises:
        SweepError: The journal cannot be read, or another release wrote it.
    """
    earlier = path.with_suffix(".spool")
    if earlier.exists():
        raise SweepError(
            f"{earlier}: records of an earlier release wait here for the database; run the same command with that "
            "release first"
        )
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SweepError(f"{path}: cannot be read ({error.strerror}); it holds the latest records") from error
    payloads = _sound(content)
    if not payloads:
        return None
    header = json.loads(payloads[0])
    if header["format"] != FORMAT:
        raise SweepError(f"{path}: written by another release; run the same command with that release first")
    return JournalContents(header["author"], header["first"], payloads[1:])


def _sound(content: bytes) -> list[bytes]:
    found: list[bytes] = []
    at = 0
    while at + _HEAD.size <= len(content):
        length, checksum = _HEAD.unpack_from(content, at)
        payload = content[at + _HEAD.size : at + _HEAD.size + length]
        if length == 0 or len(payload) < length or _checksum(payload) != checksum:
            break
        found.append(payload)
        at += _HEAD.size + length
    return found


def _checksum(payload: bytes) -> bytes:
    return hashlib.blake2b(payload, digest_size=8).digest()


class Journal:
    """A new journal that replaces the file of the last driver.

    Args:
        path: Path of the file; its folder is created if missing.
        author: Name of the driver.

    Raises:
        SweepError: The file cannot be created.
    """

    def __init__(self, path: Path, author: str) -> None:
        self.path = path
        self._author = author
        self._unsynced = False
        self.size = 0
        fresh = path.with_name(f".{path.name}.new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        except OSError as error:
            raise SweepError(f"{path}: cannot be created ({error.strerror})") from error
        self._begin(0)
        fresh.replace(path)

    def append(self, payload: bytes) -> None:
        """Append a record, completely or not at all.

        Raises:
            SweepError: The file cannot be written.
        """
        record = memoryview(_HEAD.pack(len(payload), _checksum(payload)) + payload)
        try:
            written = 0
            while written < len(record):  # a full disk may take a part of it first
                written += os.write(self._file, record[written:])
        except OSError as error:
            with contextlib.suppress(OSError):  # otherwise reading stops at the incomplete record
                os.ftruncate(self._file, self.size)
            raise SweepError(
                f"{self.path}: cannot be written ({error.strerror}); the same command continues"
            ) from error
        self.size += len(record)
        self._unsynced = True

    def clear(self, first: int) -> None:
        """Remove all records.

        Args:
            first: Number of records of this driver so far; the database has them.
        """
        os.ftruncate(self._file, 0)
        self._begin(first)

    def sync(self) -> None:
        """Write everything to the disk itself."""
        if self._unsynced:
            self._unsynced = False
            os.fsync(self._file)

    def close(self, remove: bool) -> None:
        """Close the file; ``remove`` deletes it, unless another driver has replaced it."""
        with contextlib.suppress(FileNotFoundError):
            if remove and os.path.samestat(os.fstat(self._file), self.path.stat()):
                self.path.unlink()
        os.close(self._file)

    def _begin(self, first: int) -> None:
        self.size = 0
        self.append(json.dumps({"format": FORMAT, "author": self._author, "first": first}).encode())
