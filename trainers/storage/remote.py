"""Remote folders through pyarrow: S3, GCS, Azure and HDFS by its own file systems, all others by fsspec."""

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

# Here a file exists only after its upload is complete, and folders are only prefixes of names.
_OBJECT_STORES = ("s3", "gcs", "abfs")

# Matches the parts of "When ... key '...': AWS Error ...: reason; Details: ... (Request ID: ...)" about one request.
_ABOUT_ONE_REQUEST = re.compile(r"^When .*?: (?=AWS Error)|; Details: .*$| \(Request ID: .*$")


@dataclass(frozen=True)
class RemoteFolder(Folder):
    """Folder on a file system that all nodes can access.

    Attributes:
        root: URL of the folder that was opened. Its query string is passed to the file system.
        below: Path from ``root`` to this folder. A child shares the connection of its parent.
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
            file.write(b"".join(parts))  # one call, since a stream closed halfway would leave an incomplete file

    def read(self, name: str) -> bytes:
        with _os_errors(), self._system.open_input_file(f"{self._path}/{name}") as file:
            return bytes(file.read(file.size()))  # with a known size it is one request, not one per 256 KiB

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
    """Return the file system of a URL and the path on it. A failure is not cached, so the next call tries again."""
    try:
        system, path = FileSystem.from_uri(url)
    except ArrowInvalid as error:
        if "Unrecognized filesystem type" not in str(error):
            raise
        system, path = FileSystem.from_uri(f"fsspec+{url}")
    return system, path.rstrip("/")


@contextmanager
def _os_errors() -> Iterator[None]:
    """Raise every file system failure as an `OSError` whose one-line message is the same for every file."""
    try:
        yield
    except FileNotFoundError:
        raise
    except Exception as error:  # pyarrow has its own errors, and a file system behind fsspec may raise anything
        line = " ".join(str(error).split()) or type(error).__name__
        raise OSError(_ABOUT_ONE_REQUEST.sub("", line)) from error
