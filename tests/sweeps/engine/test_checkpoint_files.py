"""Where a sweep's checkpoints go: what is asked of the folder at the start, and what happens when it goes away."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from search_spaces import UsageError
from sweeps.engine import checkpoint_files
from sweeps.engine.checkpoint_files import CheckpointFiles, reachable
from trainers.storage.address import open_folder
from trainers.storage.local import LocalFolder


def test_a_folder_that_can_be_used_is_left_as_it_was(tmp_path: Path, s3_url: str) -> None:
    for text in (str(tmp_path / "new"), s3_url):
        folder = reachable(text)
        assert str(folder) == text
        assert folder.names() == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nope://host/x", "Protocol not known: nope"),
        ("hdfs://host:8020/x", "lib"),
        ("sftp://host/x", "paramiko"),
        ("s3://bucket/x?region=here&nope=1", "Unexpected query parameter"),
        ("/proc/none", "No such file or directory"),
        ("s3:/bucket", "'s3:/bucket'"),
        ("s3://AKIA:hidden@bucket", "must not contain credentials"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=r"^--checkpoints: ") as caught:
        reachable(text)
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert "hidden" not in str(caught.value)


def test_a_bucket_that_is_not_there(s3_url: str) -> None:
    with pytest.raises(UsageError, match=r"AWS Error NO_SUCH_BUCKET .*: name an existing folder or bucket"):
        reachable(s3_url.replace("s3://", "s3://no-such-"))


def test_only_what_is_wanted_is_kept(tmp_path: Path, s3_url: str) -> None:
    for root in (LocalFolder(tmp_path), open_folder(s3_url)):
        files = CheckpointFiles(root.child("toy"))
        for number in (1, 2, 3):
            files.folder(number).write("epoch-000001.ckpt", b"1")
        files.folder(2).write("final.ckpt", b"2")
        assert [files.final(number) for number in (1, 2)] == [None, files.folder(2).url("final.ckpt")]
        files.tidy(wanted={2, 3})
        assert sorted(files.root.names()) == ["000002", "000003"]
        files.keep_final(2)
        assert files.folder(2).names() == ["final.ckpt"]
        files.remove(3)
        files.remove(3)
        assert files.root.names() == ["000002"]


def test_a_folder_that_is_away_is_asked_once_a_minute_and_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def away(self: LocalFolder, *_: Any) -> None:
        asked.append(str(self))
        raise OSError("away")

    files = CheckpointFiles(LocalFolder(tmp_path))
    files.folder(1).write("epoch-000001.ckpt", b"1")
    with monkeypatch.context() as patch:
        patch.setattr(LocalFolder, "remove", away)
        for _ in range(3):
            files.remove(1)
            files.keep_final(1)
    assert len(asked) == 1
    assert files.folder(1).names() == ["epoch-000001.ckpt"]
    monkeypatch.setattr(checkpoint_files, "RETRY_AFTER_S", 0.0)
    files = CheckpointFiles(LocalFolder(tmp_path))  # the next driver
    files.tidy(wanted=())
    assert os.listdir(tmp_path) == []
