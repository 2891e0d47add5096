"""A file of records that is only ever appended to: what a driver has recorded and its database may not have yet.

A record is its length, a checksum of its payload, and the payload. An append is with the operating system when it
returns, so it outlives a process that is killed; `sync` is what outlives a power cut. A record that the end of its
process tore ends the file: it was never answered, so nobody relies on it.
"""

from __future__ import annotations

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
    """What a file holds.

    Attributes:
        author: The driver that wrote it, by the name that it has in the database.
        first: How many records its author had written, and the database had taken, before the first of these.
        payloads: In order.
    """

    author: str
    first: int
    payloads: Sequence[bytes]


def read_journal(path: Path) -> JournalContents | None:
    """What a driver left in a file, up to the first record that is torn or altered; None where there is nothing.

    Raises:
        SweepError: It cannot be read, or another release wrote it.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SweepError(f"{path}: cannot be read ({error.strerror}); it holds what was recorded last") from error
    payloads = _sound(content)
    if not payloads:
        return None
    header = json.loads(payloads[0])
    if header["format"] != FORMAT:
        raise SweepError(f"{path}: written by another release; the same command of that release brings it in")
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
    """A new file, in the place of one that is not needed any more.

    Args:
        path: Where; its folder is made.
        author: The driver's name.

    Raises:
        SweepError: It cannot be made.
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
            raise SweepError(f"{path}: cannot be made ({error.strerror})") from error
        self._begin(0)
        fresh.replace(path)

    def append(self, payload: bytes) -> None:
        """Add a record, or nothing of it.

        Raises:
            SweepError: The disk does not take it.
        """
        record = memoryview(_HEAD.pack(len(payload), _checksum(payload)) + payload)
        try:
            written = 0
            while written < len(record):  # a full disk takes a part before it refuses
                written += os.write(self._file, record[written:])
        except OSError as error:
            with contextlib.suppress(OSError):  # else the torn record ends the file, with the same effect
                os.ftruncate(self._file, self.size)
            raise SweepError(
                f"{self.path}: cannot be written ({error.strerror}); the same command continues"
            ) from error
        self.size += len(record)
        self._unsynced = True

    def clear(self, first: int) -> None:
        """Forget all records: the database has so many."""
        os.ftruncate(self._file, 0)
        self._begin(first)

    def sync(self) -> None:
        """Bring everything to the disk itself."""
        if self._unsynced:
            self._unsynced = False
            os.fsync(self._file)

    def close(self, remove: bool) -> None:
        """Let go of the file; ``remove`` deletes it, unless another driver has put its own in its place."""
        with contextlib.suppress(FileNotFoundError):
            if remove and os.path.samestat(os.fstat(self._file), self.path.stat()):
                self.path.unlink()
        os.close(self._file)

    def _begin(self, first: int) -> None:
        self.size = 0
        self.append(json.dumps({"format": FORMAT, "author": self._author, "first": first}).encode())
