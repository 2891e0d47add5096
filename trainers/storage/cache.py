"""Cache prepared arrays on disk. One process per machine builds an entry while the others wait for it.

An entry is named by a hash of all its inputs, so a changed recipe makes a new entry and never reads an old one.
"""

import hashlib
import io
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from filelock import FileLock

from search_spaces.errors import CheckpointError, UsageError
from trainers.storage.checksummed import read_checksummed, write_checksummed

Arrays = Mapping[str, npt.NDArray[Any]]

# Part of every key: increase it when the layout of an entry changes.
_FORMAT = 1


def cache_directory() -> Path:
    """Return the directory of the entries: ``$SWEEPS_CACHE``, else ``sweeps`` in the platform's cache directory."""
    if chosen := os.environ.get("SWEEPS_CACHE"):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "sweeps"


def cached_arrays(name: str, key: Mapping[str, object], build: Callable[[], Arrays]) -> Arrays:
    """Return the arrays of an entry; the first caller on this machine builds them. A damaged entry is rebuilt.

    Args:
        name: Readable start of the file name.
        key: Everything that the arrays depend on, as JSON values.
        build: Function that makes the arrays; called at most once, while this process holds the entry's lock.

    Raises:
        UsageError: The cache directory cannot be written.
    """
    digest = hashlib.sha256(json.dumps([_FORMAT, key], sort_keys=True).encode()).hexdigest()[:16]
    path = cache_directory() / f"{name}-{digest}.npz.sealed"
    arrays = _read(path)
    if arrays is not None:
        return arrays
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            arrays = _read(path)  # the previous holder of the lock may have built it
            if arrays is None:
                arrays = build()
                _write(path, arrays)
            return arrays
    except OSError as error:
        raise UsageError(
            f"cannot write the cache {path.parent} ({error.strerror}): set SWEEPS_CACHE to a writable directory"
        ) from error


def _read(path: Path) -> Arrays | None:
    try:
        payload = read_checksummed(path)
    except CheckpointError:
        return None  # missing or damaged: build it
    with np.load(io.BytesIO(payload), allow_pickle=False) as entry:
        return dict(entry)


def _write(path: Path, arrays: Arrays) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    write_checksummed(path, buffer.getbuffer())
