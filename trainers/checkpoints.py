"""Checkpoints of one run on disk: the two newest epochs, and the final weights of a finished run."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import torch

from search_spaces.errors import CheckpointError
from trainers.sealed import read_sealed, write_sealed

# The newest may be damaged by the crash that makes it needed; then the one before takes its place.
KEPT = 2

_NAME = re.compile(r"epoch-(\d{6,})\.ckpt")


def save(directory: Path, epoch: int, state: dict[str, Any]) -> Path:
    """Write the state after ``epoch`` epochs as ``epoch-000009.ckpt`` and drop all but the two newest.

    Args:
        directory: The run's own directory; made when missing.
        epoch: Epochs done.
        state: Tensors, plain scalars, and lists, tuples and dicts of these.

    Returns:
        The path of the new checkpoint.

    Raises:
        CheckpointError: ``state`` holds something else, which could not be read back safely.
    """
    path = _write(directory / f"epoch-{epoch:06d}.ckpt", state)
    for _, old in _numbered(directory)[KEPT:]:
        old.unlink(missing_ok=True)
    return path


def save_final(directory: Path, state: dict[str, Any]) -> Path:
    """Write the state of a finished run as ``final.ckpt``, kept for its weights."""
    return _write(directory / "final.ckpt", state)


def latest(directory: Path, at_most: int | None = None) -> tuple[int, dict[str, Any]] | None:
    """Return the newest checkpoint that reads back whole, as ``(epoch, state)``, or ``None`` without one.

    Damaged files are passed over, never an error: the run repeats the epochs since the one before.

    Args:
        directory: The run's own directory.
        at_most: Drop those of later epochs: what they go on from was lost before anybody recorded it.
    """
    for epoch, path in _numbered(directory):
        if at_most is not None and epoch > at_most:
            path.unlink(missing_ok=True)
            continue
        try:
            return epoch, load(path)
        except CheckpointError:
            continue
    return None


def load(path: Path) -> dict[str, Any]:
    """Return the state in one checkpoint, its tensors on the CPU.

    Raises:
        CheckpointError: The file is missing, damaged, or holds more than tensors and plain Python values.
    """
    return _decode(read_sealed(path), path)


def _write(path: Path, state: dict[str, Any]) -> Path:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    _decode(buffer.getvalue(), path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_sealed(path, buffer.getbuffer())
    return path


def _decode(payload: bytes, path: Path) -> dict[str, Any]:
    try:
        state = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except Exception as error:  # of foreign bytes the unpickler may think anything: struct.error, IndexError, ...
        reason = str(error).partition("\n")[0]
        raise CheckpointError(f"{path}: holds more than tensors and plain Python values ({reason})") from error
    if not isinstance(state, dict):
        raise CheckpointError(f"{path}: holds a {type(state).__name__}, not a state")
    return state


def _numbered(directory: Path) -> list[tuple[int, Path]]:
    """Return the checkpoints of a directory with their epochs, newest first."""
    if not directory.is_dir():
        return []
    matches = ((_NAME.fullmatch(path.name), path) for path in directory.iterdir())
    return sorted(((int(match[1]), path) for match, path in matches if match), reverse=True)
