"""Sealed files: bytes that are read back exactly as written, or refused. For checkpoints and caches.

A sealed file is one header line, ``sweeps-sealed-1 <sha256 of the payload>``, and the payload. It appears
under its name when it is whole (`trainers/storage/folder.py`), so a process that dies while writing leaves
the old one in place; what a dying disk or a careless copy does to it afterwards, the checksum finds.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from search_spaces.errors import CheckpointError
from trainers.storage.folder import Folder
from trainers.storage.local import LocalFolder, write_atomically

_MAGIC = b"sweeps-sealed-1 "


def write_checksummed(path: Path, payload: bytes | memoryview) -> None:
    """Write ``payload`` to ``path``: all of it is on the disk after this returns, nothing of it before.

    Raises:
        OSError: The directory is missing or cannot be written, or the disk is full. ``path`` is as it was.
    """
    write_atomically(path, _header(payload), payload)


def read_checksummed(path: Path) -> bytes:
    """Return the payload of a sealed file.

    Raises:
        CheckpointError: The file is missing or unreadable, or is not what ``write_checksummed`` wrote.
    """
    return get_checksummed(LocalFolder(path.parent), path.name)


def put_checksummed(folder: Folder, name: str, payload: bytes | memoryview) -> None:
    """Write ``payload`` as a file of a folder, which is made when it is missing.

    Raises:
        OSError: The file system refuses it. What was there under this name is as it was.
    """
    folder.write(name, _header(payload), payload)


def get_checksummed(folder: Folder, name: str) -> bytes:
    """Return the payload of a sealed file of a folder.

    Raises:
        CheckpointError: The file is missing or unreadable, or is not what was written.
    """
    try:
        content = folder.read(name)
    except OSError as error:
        raise CheckpointError(f"{folder.url(name)}: cannot be read ({error.strerror or error})") from error
    header, newline, payload = content.partition(b"\n")
    if header + newline != _header(payload):
        raise CheckpointError(f"{folder.url(name)}: damaged (its checksum does not match its content)")
    return payload


def _header(payload: bytes | memoryview) -> bytes:
    return _MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n"
