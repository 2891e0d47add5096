"""Checkpoints of one run in its folder: the two newest epochs, and the final weights of a finished run."""

from __future__ import annotations

import io
import re
from typing import Any

import torch

from search_spaces.errors import CheckpointError
from trainers.storage.checksummed import get_checksummed, put_checksummed
from trainers.storage.folder import Folder

# The newest may be damaged by the crash that makes it needed; then the one before takes its place.
KEPT = 2

_NAME = re.compile(r"epoch-(\d{6,})\.ckpt")


def save(folder: Folder, epoch: int, state: dict[str, Any]) -> str:
    """Write the state after ``epoch`` epochs as ``epoch-000009.ckpt`` and drop all but the two newest.

    Args:
        folder: The run's own; made when missing.
        epoch: Epochs done.
        state: Tensors, plain scalars, and lists, tuples and dicts of these.

    Returns:
        The name of the new checkpoint.

    Raises:
        CheckpointError: ``state`` holds something else, which could not be read back safely.
        OSError: It cannot be written.
    """
    name = _write(folder, f"epoch-{epoch:06d}.ckpt", state)
    for _, old in _numbered(folder)[KEPT:]:
        folder.delete(old)
    return name


def save_final(folder: Folder, state: dict[str, Any]) -> str:
    """Write the state of a finished run as ``final.ckpt``, kept for its weights."""
    return _write(folder, "final.ckpt", state)


def latest(folder: Folder, at_most: int | None = None) -> tuple[int, dict[str, Any]] | None:
    """Return the newest checkpoint that reads back whole, as ``(epoch, state)``, or ``None`` without one.

    Damaged files are passed over, never an error: the run repeats the epochs since the one before.

    Args:
        folder: The run's own.
        at_most: Drop those of later epochs: what they go on from was lost before anybody recorded it.

    Raises:
        OSError: The folder cannot be looked into.
    """
    for epoch, name in _numbered(folder):
        if at_most is not None and epoch > at_most:
            folder.delete(name)
            continue
        try:
            return epoch, load(folder, name)
        except CheckpointError:
            continue
    return None


def load(folder: Folder, name: str) -> dict[str, Any]:
    """Return the state in one checkpoint, its tensors on the CPU.

    Raises:
        CheckpointError: The file is missing, damaged, or holds more than tensors and plain Python values.
    """
    return _decode(get_checksummed(folder, name), folder.url(name))


def _write(folder: Folder, name: str, state: dict[str, Any]) -> str:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    _decode(buffer.getvalue(), folder.url(name))
    put_checksummed(folder, name, buffer.getbuffer())
    return name


def _decode(payload: bytes, where: str) -> dict[str, Any]:
    try:
        state = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except Exception as error:  # of foreign bytes the unpickler may think anything: struct.error, IndexError, ...
        reason = str(error).partition("\n")[0]
        raise CheckpointError(f"{where}: holds more than tensors and plain Python values ({reason})") from error
    if not isinstance(state, dict):
        raise CheckpointError(f"{where}: holds a {type(state).__name__}, not a state")
    return state


def _numbered(folder: Folder) -> list[tuple[int, str]]:
    """Return the checkpoints of a folder with their epochs, newest first."""
    matches = (_NAME.fullmatch(name) for name in folder.names())
    return sorted(((int(match[1]), match[0]) for match in matches if match), reverse=True)
