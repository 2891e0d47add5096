"""Read and write files with a checksum, for checkpoints and caches. A damaged file is never returned.

A file is one header line, ``sweeps-sealed-1 <sha256 of the payload>``, and the payload. It is written atomically
(`trainers/storage/folder.py`), so a process that dies while writing leaves the old file in place. The checksum detects
damage by a failing disk or an incomplete copy.
"""

import hashlib
from pathlib import Path

from search_spaces.errors import CheckpointError
from trainers.storage.folder import Folder
from trainers.storage.local import LocalFolder, write_atomically

_MAGIC = b"sweeps-sealed-1 "


def write_checksummed(path: Path, payload: bytes | memoryview) -> None:
    """Write ``payload`` to ``path`` atomically.

    Raises:
        OSError: The directory is missing or not writable, or the disk is full. ``path`` is unchanged.
    """
    write_atomically(path, _header(payload), payload)


def read_checksummed(path: Path) -> bytes:
    """Return the payload of a checksummed file.

    Raises:
        CheckpointError: The file is missing, unreadable or damaged.
    """
    return get_checksummed(LocalFolder(path.parent), path.name)


def put_checksummed(folder: Folder, name: str, payload: bytes | memoryview) -> None:
    """Write ``payload`` to a file in a folder, which is created if missing.

    Raises:
        OSError: The file cannot be written. An older file of this name is unchanged.
    """
    folder.write(name, _header(payload), payload)


def get_checksummed(folder: Folder, name: str) -> bytes:
    """Return the payload of a checksummed file in a folder.

    Raises:
        CheckpointError: The file is missing, unreadable or damaged.
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
