"""Sealed files: bytes that are read back exactly as written, or refused. For checkpoints and caches.

A sealed file is one header line, ``sweeps-sealed-1 <sha256 of the payload>``, and the payload. It appears
under its name by an atomic rename of a complete, synced file, so a process that dies while writing leaves
the old one in place; what a dying disk or a careless copy does to it afterwards, the checksum finds.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from pathlib import Path

from search_spaces.errors import CheckpointError

_MAGIC = b"sweeps-sealed-1 "


def write_sealed(path: Path, payload: bytes | memoryview) -> None:
    """Write ``payload`` to ``path``: all of it is on the disk after this returns, nothing of it before.

    Raises:
        OSError: The directory is missing or cannot be written, or the disk is full. ``path`` is as it was.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(_header(payload))
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def read_sealed(path: Path) -> bytes:
    """Return the payload of a sealed file.

    Raises:
        CheckpointError: The file is missing or unreadable, or is not what ``write_sealed`` wrote.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
    header, newline, payload = content.partition(b"\n")
    if header + newline != _header(payload):
        raise CheckpointError(f"{path}: damaged (its checksum does not match its content)")
    return payload


def _header(payload: bytes | memoryview) -> bytes:
    return _MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n"


def _sync_directory(directory: Path) -> None:
    """Make the rename itself durable: on Linux a new name is on the disk once its directory is."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
