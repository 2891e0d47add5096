"""Follow files that another process writes: what was added, and whether a file began again."""

import glob
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import IO, Final

from search_spaces.errors import UsageError

_BLOCK: Final = 1 << 20
_HEAD: Final = 4096
_BEFORE: Final = 64


@dataclass(frozen=True)
class Piece:
    """Bytes that were added to a file.

    Attributes:
        data: The bytes.
        fresh: Whether they are the first of a file that appeared, was truncated, or was replaced.
    """

    data: bytes
    fresh: bool


class Tail:
    """Follows one file, which may appear later, be truncated, or be replaced.

    The file stays open, so what was added to it before another one took its name is read, too. A file that was written
    again in place is noticed because it is shorter, or because its first bytes or the last ones read have changed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self._head = b""
        self._before = b""
        self._read = 0

    def pieces(self) -> Iterator[Piece]:
        """Yield what was added since the last call. A file that cannot be read is like one that does not exist."""
        try:
            if self._file is not None:
                yield from self._added()
            if self._replaced():
                self.close()
                self._file = self._path.open("rb", buffering=0)
                yield from self._added()
        except OSError:
            self.close()

    def close(self) -> None:
        """Close the file; the next call of ``pieces`` reads it from its beginning."""
        if self._file is not None:
            self._file.close()
        self._file, self._read, self._head, self._before = None, 0, b"", b""

    def _replaced(self) -> bool:
        """Return whether the name is that of another file than the open one, and of a regular file."""
        try:
            found = self._path.stat()
        except OSError:  # it does not exist, or the file system does not answer for a moment
            return False
        if not stat.S_ISREG(found.st_mode):
            return False
        return self._file is None or not os.path.samestat(found, os.fstat(self._file.fileno()))

    def _added(self) -> Iterator[Piece]:
        if self._file is None:
            return
        size = os.fstat(self._file.fileno()).st_size  # a program that never stops writing does not hold the reader
        if self._rewritten(size):
            self._read, self._head, self._before = 0, b"", b""
        self._file.seek(self._read)
        while self._read < size and (data := self._file.read(min(_BLOCK, size - self._read))):
            fresh = self._read == 0
            self._head += data[: max(0, _HEAD - len(self._head))]
            self._before = (self._before + data)[-_BEFORE:]
            self._read += len(data)
            yield Piece(data, fresh)

    def _rewritten(self, size: int) -> bool:
        if self._file is None or size < self._read:
            return True
        self._file.seek(0)
        if self._file.read(len(self._head)) != self._head:
            return True
        self._file.seek(self._read - len(self._before))
        return self._file.read(len(self._before)) != self._before


def check_pattern(pattern: str) -> str:
    """Return a path or pattern if it stays inside the folder of the run.

    Raises:
        UsageError: It is empty, absolute, or goes up.
    """
    if not pattern or PurePath(pattern).is_absolute() or ".." in PurePath(pattern).parts or "\0" in pattern:
        raise UsageError(f"must be a path inside the folder of the run, found {pattern!r}: write it relative to it")
    return pattern


def matching(folder: Path, pattern: str) -> list[str]:
    """Return the paths that match a pattern, relative to a folder, ``version_2`` before ``version_10``."""
    return sorted(glob.glob(pattern, root_dir=folder, recursive=True), key=natural)


def natural(path: str) -> list[tuple[int, int, str]]:
    """Return a key to sort paths by, in which numbers count as numbers."""
    parts = re.split(r"([0-9]+)", path)
    return [(1, int(part), part) if part.isdecimal() else (0, 0, part) for part in parts]
