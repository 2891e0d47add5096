"""Files that another process writes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from search_spaces.errors import UsageError
from trainers.command.metrics.tail import Piece, Tail, check_pattern, matching


def test_a_file_appears_grows_shrinks_and_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "log"
    tail = Tail(path)
    assert list(tail.pieces()) == []
    path.write_bytes(b"ab")
    assert list(tail.pieces()) == [Piece(b"ab", True)]
    assert list(tail.pieces()) == []
    path.write_bytes(b"abcd")
    assert list(tail.pieces()) == [Piece(b"cd", False)]
    path.write_bytes(b"abc")
    assert list(tail.pieces()) == [Piece(b"abc", True)]
    path.write_bytes(b"xyz and longer")
    assert list(tail.pieces()) == [Piece(b"xyz and longer", True)]
    path.write_bytes(b"")
    assert list(tail.pieces()) == []
    path.write_bytes(b"new")
    assert list(tail.pieces()) == [Piece(b"new", True)]
    tail.close()


def test_a_change_behind_the_first_bytes_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"a" * 10_000)
    tail = Tail(path)
    list(tail.pieces())
    path.write_bytes(b"a" * 5_000 + b"b" * 6_000)
    [piece] = tail.pieces()
    assert piece.fresh
    tail.close()


def test_a_rotated_file_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"1\n")
    tail = Tail(path)
    assert list(tail.pieces()) == [Piece(b"1\n", True)]
    with path.open("ab") as file:
        file.write(b"2\n")
    path.rename(tmp_path / "log.1")
    path.write_bytes(b"3\n")
    assert list(tail.pieces()) == [Piece(b"2\n", False), Piece(b"3\n", True)]
    path.unlink()
    assert list(tail.pieces()) == []
    tail.close()


def test_a_large_file_comes_in_blocks(tmp_path: Path) -> None:
    content = os.urandom(2_500_000)
    (tmp_path / "log").write_bytes(content)
    tail = Tail(tmp_path / "log")
    pieces = list(tail.pieces())
    assert b"".join(piece.data for piece in pieces) == content
    assert [piece.fresh for piece in pieces] == [True, False, False]
    tail.close()


def test_only_a_regular_file_is_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert list(Tail(tmp_path / "pipe").pieces()) == []
    assert list(Tail(tmp_path).pieces()) == []
    assert list(Tail(tmp_path / "pipe" / "below").pieces()) == []


@pytest.mark.parametrize("pattern", ["", "/etc/*", "../x", "a/../../x", "a\0b"])
def test_a_pattern_stays_in_the_folder(pattern: str) -> None:
    with pytest.raises(UsageError, match="inside the folder of the run"):
        check_pattern(pattern)


def test_numbers_in_paths_are_numbers(tmp_path: Path) -> None:
    for name in ("v10", "v2", "v2b", "w"):
        (tmp_path / name).touch()
    assert matching(tmp_path, "*") == ["v2", "v2b", "v10", "w"]
