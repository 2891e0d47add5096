import os

import pytest

from search_spaces.errors import CheckpointError
from trainers.storage.checksummed import read_checksummed, write_checksummed


def test_round_trip_and_replacement(tmp_path):
    path = tmp_path / "file"
    for payload in (b"", b"\n", os.urandom(5000), memoryview(b"abc\n\0")):
        write_checksummed(path, payload)
        assert read_checksummed(path) == bytes(payload)
    assert list(tmp_path.iterdir()) == [path]


def test_every_truncation_and_every_flipped_byte_is_refused(tmp_path):
    path = tmp_path / "file"
    write_checksummed(path, b"payload\n" * 4)
    whole = path.read_bytes()
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        with pytest.raises(CheckpointError):
            read_checksummed(path)
    for position in range(len(whole)):
        for bit in (1, 128):
            damaged = bytearray(whole)
            damaged[position] ^= bit
            path.write_bytes(damaged)
            with pytest.raises(CheckpointError, match="damaged"):
                read_checksummed(path)
    path.write_bytes(whole + b"x")
    with pytest.raises(CheckpointError):
        read_checksummed(path)


def test_a_missing_file_and_a_directory(tmp_path):
    with pytest.raises(CheckpointError, match="No such file"):
        read_checksummed(tmp_path / "none")
    with pytest.raises(CheckpointError):
        read_checksummed(tmp_path)


def test_a_write_that_fails_leaves_the_old_file_and_no_temporary(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_checksummed(path, b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_checksummed(path, b"new")
    monkeypatch.undo()
    assert read_checksummed(path) == b"old"
    assert list(tmp_path.iterdir()) == [path]
