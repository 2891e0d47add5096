"""Save and load the checkpoints of one run: the two newest ones, and the final weights of a finished run."""

import io
import re
from typing import Any

import torch

from search_spaces.errors import CheckpointError
from trainers.reports import Position
from trainers.storage.checksummed import get_checksummed, put_checksummed
from trainers.storage.folder import Folder

# A crash may damage the newest checkpoint; then the one before it is used.
KEPT = 2

_NAME = re.compile(r"epoch-(\d{6,})(?:-step-(\d{9,}))?\.ckpt")


def save(folder: Folder, position: Position, state: dict[str, Any]) -> str:
    """Write a checkpoint and delete all but the two newest.

    ``epoch-000009.ckpt`` is the state after 9 epochs, ``epoch-000009-step-000000120.ckpt`` that after 120 steps more.

    Args:
        folder: Folder of the run; created if missing.
        position: Position of the training.
        state: Tensors, plain scalars, and lists, tuples and dicts of these.

    Returns:
        The name of the new checkpoint.

    Raises:
        CheckpointError: ``state`` contains something else, which could not be loaded safely.
        OSError: The checkpoint cannot be written.
    """
    within = f"-step-{position.step:09d}" if position.step else ""
    name = _write(folder, f"epoch-{position.epoch:06d}{within}.ckpt", state)
    for _, old in _numbered(folder)[KEPT:]:
        folder.delete(old)
    return name


def save_final(folder: Folder, state: dict[str, Any]) -> str:
    """Write the state of a finished run as ``final.ckpt``, which keeps its weights."""
    return _write(folder, "final.ckpt", state)


def latest(folder: Folder, at_most: int | None = None) -> tuple[Position, dict[str, Any]] | None:
    """Return the newest undamaged checkpoint as ``(position, state)``, or ``None`` if there is none.

    Damaged files are skipped without an error: the run repeats what followed the checkpoint before.

    Args:
        folder: Folder of the run.
        at_most: Last recorded epoch. Checkpoints with more epochs are deleted, since their metrics were never recorded;
            one within the next epoch is not.

    Raises:
        OSError: The folder cannot be read.
    """
    for position, name in _numbered(folder):
        if at_most is not None and position.epoch > at_most:
            folder.delete(name)
            continue
        try:
            return position, load(folder, name)
        except CheckpointError:
            continue
    return None


def load(folder: Folder, name: str) -> dict[str, Any]:
    """Return the state in one checkpoint, with its tensors on the CPU.

    Raises:
        CheckpointError: The file is missing, damaged, or contains more than tensors and plain Python values.
    """
    return decode(get_checksummed(folder, name), folder.url(name))


def _write(folder: Folder, name: str, state: dict[str, Any]) -> str:
    payload = encode(state)
    decode(payload, folder.url(name))
    put_checksummed(folder, name, payload)
    return name


def encode(state: dict[str, Any]) -> bytes:
    """Return a state as the bytes of a checkpoint."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def decode(payload: bytes, where: str) -> dict[str, Any]:
    """Return the state in the bytes of a checkpoint, with its tensors on the CPU.

    Raises:
        CheckpointError: The bytes contain more than tensors and plain Python values.
    """
    try:
        state = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler may raise anything on foreign bytes: struct.error, IndexError, ...
        reason = str(error).partition("\n")[0]
        raise CheckpointError(f"{where}: contains more than tensors and plain Python values ({reason})") from error
    if not isinstance(state, dict):
        raise CheckpointError(f"{where}: contains a {type(state).__name__}, expected a dict")
    return state


def _numbered(folder: Folder) -> list[tuple[Position, str]]:
    """Return the checkpoints of a folder with their positions, newest first."""
    matches = (_NAME.fullmatch(name) for name in folder.names())
    return sorted(((Position(int(match[1]), int(match[2] or 0)), match[0]) for match in matches if match), reverse=True)
