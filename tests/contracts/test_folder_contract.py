"""Contract of every kind of folder, local and remote, including a real S3."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from search_spaces import CheckpointError, UsageError
from trainers.storage.address import open_folder
from trainers.storage.checksummed import get_checksummed, put_checksummed
from trainers.storage.folder import Folder
from trainers.storage.local import LocalFolder
from trainers.storage.remote import RemoteFolder

KINDS = ("local", "file", "memory", "s3")


@pytest.fixture
def memory_url() -> Iterator[str]:
    fsspec = pytest.importorskip("fsspec")
    name = uuid.uuid4().hex
    yield f"memory://{name}/sweeps"
    fsspec.filesystem("memory").rm(f"/{name}", recursive=True)


@pytest.fixture(params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    """Return a folder that does not exist yet."""
    if request.param == "local":
        return open_folder(str(tmp_path / "new" / "sweeps"))
    if (
        request.param == "file"
    ):  # a remote folder on a local disk; open_folder() would return a local folder for this URL
        return RemoteFolder(f"file://{tmp_path}/new/sweeps")
    if request.param == "memory":
        request.getfixturevalue("memory_url")
    return open_folder(request.getfixturevalue(f"{request.param}_url"))


def test_what_is_written_is_read(folder: Folder) -> None:
    for content in (b"", b"\n", os.urandom(3_000_000), b"short"):
        folder.write("file", content)
        assert folder.read("file") == content
    folder.write("file", b"in ", memoryview(b"two parts"))
    assert folder.read("file") == b"in two parts"
    assert folder.names() == ["file"]


def test_names_are_those_of_files_and_folders(folder: Folder) -> None:
    assert folder.names() == []
    folder.write("one", b"1")
    folder.write("two", b"2")
    folder.child("000001").write("three", b"3")
    assert sorted(folder.names()) == ["000001", "one", "two"]
    assert folder.child("000001").names() == ["three"]
    assert [folder.has(name) for name in ("one", "000001", "none")] == [True, False, False]


def test_a_file_is_deleted_once_or_more(folder: Folder) -> None:
    folder.delete("file")
    folder.write("file", b"1")
    folder.write("other", b"1")
    folder.delete("file")
    folder.delete("file")
    assert folder.names() == ["other"]
    assert not folder.has("file")


def test_a_folder_is_removed_with_what_is_in_it(folder: Folder) -> None:
    folder.remove()
    folder.write("file", b"1")
    child = folder.child("000001")
    child.write("file", b"1")
    child.child("deeper").write("file", b"1")
    child.remove()
    assert child.names() == []
    assert folder.names() == ["file"]
    child.remove()
    folder.remove()
    assert folder.names() == []


def test_a_missing_file_cannot_be_read(folder: Folder) -> None:
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            folder.read("none")
        with pytest.raises(CheckpointError, match=r"none\b.*: cannot be read"):
            get_checksummed(folder, "none")
        folder.write("file", b"1")


def test_its_text_is_the_folder_in_another_place(folder: Folder) -> None:
    child = folder.child("toy").child("000007")
    child.write("final.ckpt", b"weights")
    assert open_folder(str(child)).read("final.ckpt") == b"weights"
    assert open_folder(str(folder)).child("toy").child("000007").names() == ["final.ckpt"]
    assert child.url("final.ckpt") == str(child.child("final.ckpt"))
    assert child.url("final.ckpt").partition("?")[0] == str(child).partition("?")[0] + "/final.ckpt"
    assert folder == type(folder)(*vars(folder).values())


def test_checksummed_files_are_read_as_written_or_refused(folder: Folder) -> None:
    for payload in (b"", b"\n", os.urandom(5000)):
        put_checksummed(folder, "file", memoryview(payload))
        assert get_checksummed(folder, "file") == payload
    whole = folder.read("file")
    for damaged in (b"", whole[:-1], whole + b"x", whole[:9] + b"!" + whole[10:], whole[:-1] + b"!" + b""):
        if damaged != whole:
            folder.write("file", damaged)
            with pytest.raises(CheckpointError, match="damaged"):
                get_checksummed(folder, "file")


@pytest.mark.parametrize("kind", ["local", "file"])
def test_a_file_that_cannot_be_written_leaves_nothing(kind: str, tmp_path: Path) -> None:
    folder = LocalFolder(tmp_path) if kind == "local" else RemoteFolder(f"file://{tmp_path}")
    folder.child("taken").write("file", b"1")
    with pytest.raises(OSError, match=r"."):
        folder.write("taken", b"2")
    assert folder.names() == ["taken"]
    assert folder.child("taken").read("file") == b"1"


def test_a_file_that_is_half_written_is_not_there(memory_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = open_folder(memory_url)
    folder.write("file", b"old")
    from fsspec.implementations.memory import MemoryFileSystem

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("the line\nwas cut")

    with monkeypatch.context() as patch:
        patch.setattr(MemoryFileSystem, "mv", broken)
        with pytest.raises(OSError, match=r"^the line was cut$"):
            folder.write("file", b"new")
    assert folder.names() == ["file"]
    assert folder.read("file") == b"old"


@pytest.mark.parametrize("url", ["nope://host/sweeps", "s3://bucket?nope=1", "sftp://host/x", "hdfs://host:1/x"])
def test_a_url_that_cannot_be_used_is_an_os_error(url: str) -> None:
    folder = open_folder(url)
    for ask in (folder.names, folder.remove, lambda: folder.read("x"), lambda: folder.write("x", b"")):
        with pytest.raises(OSError, match=r"^.+$"):
            ask()


def test_an_error_of_s3_is_about_the_store_and_not_the_file(s3_url: str) -> None:
    missing = open_folder(s3_url.replace("s3://", "s3://no-such-"))
    said = set()
    for name in ("one", "two"):
        with pytest.raises(OSError, match="NO_SUCH_BUCKET") as caught:
            missing.child(name).write(name, b"1")
        said.add(str(caught.value))
    [line] = said
    assert line.startswith("AWS Error NO_SUCH_BUCKET")
    assert "one" not in line.split()


def test_a_path_and_a_file_url_are_local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_folder("runs/x") == LocalFolder(tmp_path / "runs/x") == open_folder(f"file://{tmp_path}/runs/x")
    assert str(open_folder(f"file://{tmp_path}/a%20b")) == f"{tmp_path}/a b"


@pytest.mark.parametrize("text", ["", "s3:/bucket", "s3:bucket"])
def test_what_is_neither_a_path_nor_a_url_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"a folder must be a path or SCHEME://\.\.\., found"):
        open_folder(text)


@pytest.mark.parametrize(
    "url",
    [
        "s3://AKIA:s3cret@bucket/x",
        "s3://AKIA:s3c/ret+s3cret@bucket/x",
        "s3://s3cret@bucket/x",
        "s3a://s3cret@bucket/x",
        "gs://ann:s3cret@bucket/x",
        "sftp://ann:s3cret@host/x",
        "abfs://:s3cret@container/x",
        "s3://bucket/x?secret_key=s3cret",
        "s3://bucket/x?region=here&session_token=s3cret",
        "abfs://container/x?client_secret=s3cret",
        "abfs://container/x?SAS_token=s3cret",
        "s3://bucket/x?endpoint_override=http://ann:s3cret@host",
        "s3://bucket:s3cret/x",
    ],
)
def test_credentials_in_a_url_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(UsageError, match="must not contain credentials") as caught:
        open_folder(url)
    assert "s3c" not in str(caught.value).replace("AWS_ACCESS_KEY_ID", "")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket/x?endpoint_override=127.0.0.1:9000&scheme=http&region=here",
        "s3://bucket/ann@home/x",
        "hdfs://ann@host:8020/x",
        "abfs://container@account.dfs.core.windows.net/x",
        "sftp://ann@host/x",
    ],
)
def test_a_url_with_a_user_or_a_port_is_none_of_that(url: str) -> None:
    assert str(open_folder(url)) == url
    assert open_folder(url).url("y").partition("?")[0].endswith("x/y")
