"""Folders behind a URL, through pyarrow: S3, GCS, Azure and HDFS by its own file systems, all others by fsspec's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from pyarrow import ArrowInvalid
from pyarrow.fs import FileSelector, FileSystem, FileType

from trainers.storage.folder import Folder, temporary_name

# Here a file is there when its upload has ended, and folders are but the beginnings of names.
_OBJECT_STORES = ("s3", "gcs", "abfs")

# Of "When ... key '...': AWS Error ...: reason; Details: ... (Request ID: ...)" what is true of the whole store.
_ABOUT_ONE_REQUEST = re.compile(r"^When .*?: (?=AWS Error)|; Details: .*$| \(Request ID: .*$")


@dataclass(frozen=True)
class RemoteFolder(Folder):
    """A folder on a file system that all nodes reach.

    Attributes:
        root: URL of the folder that was opened. What comes after a question mark is for the file system.
        below: The way from there; a child shares the connections of its parent.
    """

    root: str
    below: str = ""

    def __str__(self) -> str:
        parts = urlsplit(self.root)
        return parts._replace(path=parts.path.rstrip("/") + self.below).geturl()

    def url(self, name: str) -> str:
        return str(self.child(name))

    def child(self, name: str) -> RemoteFolder:
        return RemoteFolder(self.root, f"{self.below}/{name}")

    def names(self) -> list[str]:
        with _os_errors():
            found = self._system.get_file_info(FileSelector(self._path, allow_not_found=True))
            return [info.base_name for info in found]

    def has(self, name: str) -> bool:
        with _os_errors():
            return bool(self._system.get_file_info(f"{self._path}/{name}").type == FileType.File)

    def write(self, name: str, *parts: bytes | memoryview) -> None:
        with _os_errors():
            if self._system.type_name in _OBJECT_STORES:
                self._put(name, parts)
                return
            self._system.create_dir(self._path, recursive=True)
            temporary = temporary_name(name)
            try:
                self._put(temporary, parts)
                self._system.move(f"{self._path}/{temporary}", f"{self._path}/{name}")
            except BaseException:
                with suppress(Exception):
                    self._system.delete_file(f"{self._path}/{temporary}")
                raise

    def _put(self, name: str, parts: tuple[bytes | memoryview, ...]) -> None:
        with self._system.open_output_stream(f"{self._path}/{name}") as file:
            file.write(b"".join(parts))  # in one: what is closed after half of it would be there as if it were whole

    def read(self, name: str) -> bytes:
        with _os_errors(), self._system.open_input_file(f"{self._path}/{name}") as file:
            return bytes(file.read(file.size()))  # of known size: one request, not one for every 256 KiB

    def delete(self, name: str) -> None:
        with _os_errors(), suppress(FileNotFoundError):
            self._system.delete_file(f"{self._path}/{name}")

    def remove(self) -> None:
        with _os_errors(), suppress(FileNotFoundError):
            self._system.delete_dir(self._path)

    @property
    def _system(self) -> FileSystem:
        return _open(self.root)[0]

    @property
    def _path(self) -> str:
        return _open(self.root)[1] + self.below


@lru_cache(maxsize=8)
def _open(url: str) -> tuple[FileSystem, str]:
    """The file system of a URL, and the path there; one that cannot be reached now is tried again next time."""
    try:
        system, path = FileSystem.from_uri(url)
    except ArrowInvalid as error:
        if "Unrecognized filesystem type" not in str(error):
            raise
        system, path = FileSystem.from_uri(f"fsspec+{url}")
    return system, path.rstrip("/")


@contextmanager
def _os_errors() -> Iterator[None]:
    """What goes wrong in a file system is an `OSError`, in one line that is the same for every file."""
    try:
        yield
    except FileNotFoundError:
        raise
    except Exception as error:  # pyarrow has errors of its own, and what is behind fsspec may raise anything
        line = " ".join(str(error).split()) or type(error).__name__
        raise OSError(_ABOUT_ONE_REQUEST.sub("", line)) from error
