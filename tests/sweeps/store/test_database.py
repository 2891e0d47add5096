from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from search_spaces import UsageError
from sweeps.store.database import connect, connect_read_only, parse_url, shown
from sweeps.store.store import Store


def test_shows_no_password() -> None:
    url = "postgresql+psycopg://ann:s3cret%40x@db.example/sweeps"
    assert shown(url) == "postgresql+psycopg://ann:***@db.example/sweeps"
    assert shown("sqlite:///runs/sweeps.db") == "sqlite:///runs/sweeps.db"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "runs/sweeps.db",
        "s3cret",
        "sqlite://",
        "sqlite:///:memory:",
        "mysql://ann:s3cret@host/db",
        "postgresql://ann:s3cret@host:port/db",
        "postgresql+nodriver://ann:s3cret@host/db",
    ],
)
def test_refuses_what_it_cannot_use(url: str) -> None:
    with pytest.raises(UsageError) as refusal:
        connect(url)
    assert "--storage" in str(refusal.value)
    assert "s3cret" not in str(refusal.value)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot create the folder"):
        connect(f"sqlite:///{tmp_path}/file/runs/sweeps.db")


def test_sqlite_is_set_up_for_a_writer_beside_readers(sqlite_url: str) -> None:
    engine = connect(sqlite_url)
    with engine.begin() as connection:
        pragmas = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "foreign_keys", "busy_timeout")
        }
    engine.dispose()
    assert pragmas == {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 30_000}


def test_read_only_cannot_write(database_url: str) -> None:
    Store(database_url).close()
    engine = connect_read_only(database_url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM sweep")).scalar_one() == 0
    with engine.connect() as connection, pytest.raises(SQLAlchemyError, match=r"(?i)read-?only"):
        connection.execute(text("DELETE FROM sweep"))
    engine.dispose()


def test_read_only_makes_no_file(tmp_path: Path) -> None:
    engine = connect_read_only(f"sqlite:///{tmp_path}/none.db")
    with pytest.raises(SQLAlchemyError):
        engine.connect()
    engine.dispose()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a b.db", "50%.db", "a#b.db", "ä&=.db"])
def test_paths_with_odd_characters(tmp_path: Path, name: str) -> None:
    url = f"sqlite:///{tmp_path / name}"
    Store(url).close()
    assert (tmp_path / name).exists()
    engine = connect_read_only(url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM run")).scalar_one() == 0
    engine.dispose()


def test_parse_keeps_the_parts() -> None:
    parsed = parse_url("postgresql+psycopg://ann@db/sweeps?sslmode=require")
    assert (parsed.database, parsed.username, dict(parsed.query)) == ("sweeps", "ann", {"sslmode": "require"})
