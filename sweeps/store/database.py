"""Creates engines for database URLs, with the settings that SQLite and PostgreSQL need to be safe and fast."""

import sqlite3
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, ColumnElement, Connection, Engine, create_engine, event, func, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from search_spaces import UsageError

DEFAULT_URL = "sqlite:///runs/sweeps.db"
BUSY_TIMEOUT_S = 30
CONNECT_TIMEOUT_S = 10


def parse_url(url: str) -> URL:
    """Parse a database URL.

    Raises:
        UsageError: It is not the URL of a SQLite file or of PostgreSQL.
    """
    rule = "--storage: must be sqlite:///PATH or postgresql+psycopg://USER@HOST/DATABASE"
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise UsageError(f"{rule}, found something else: check its spelling") from None
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise UsageError(f"{rule}, found {parsed.get_backend_name()!r}")
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise UsageError(f"{rule}; a database in memory is lost when its driver ends: name a file")
    return parsed


_SECRETS = ("password", "sslpassword")  # parameters that libpq also reads from the query of a URL


def shown(url: str) -> str:
    """Return the URL without its password, for messages."""
    parsed = parse_url(url)
    secret = {name: "***" for name in parsed.query if name in _SECRETS}
    return parsed.update_query_dict(secret).render_as_string(hide_password=True)


def engine_options(url: str) -> dict[str, Any]:
    """Return options for our engine and Optuna's: wait for locks, detect dropped connections."""
    parsed = parse_url(url)
    if parsed.get_backend_name() == "postgresql":
        # Without a timeout, connecting to an unreachable host takes as long as TCP allows.
        timeout = {} if "connect_timeout" in parsed.query else {"connect_timeout": CONNECT_TIMEOUT_S}
        return {"pool_pre_ping": True, "connect_args": timeout}
    return {"connect_args": {"timeout": BUSY_TIMEOUT_S}}


def connect(url: str) -> Engine:
    """Return an engine for reading and writing; on SQLite, its transactions run one after the other.

    Raises:
        UsageError: The URL is invalid, its database driver is missing, or the folder cannot be created.
    """
    parsed = parse_url(url)
    if parsed.get_backend_name() == "postgresql":
        engine = _engine(parsed, **engine_options(url))
        event.listen(engine, "connect", _tune_postgres)
        return engine
    try:
        Path(str(parsed.database)).absolute().parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--storage: cannot create the folder of {shown(url)}: {error.strerror}") from error
    engine = _engine(parsed, connect_args={"timeout": BUSY_TIMEOUT_S, "isolation_level": None})
    event.listen(engine, "connect", _tune_sqlite)
    # A transaction that reads first and writes later would fail at once with "database is locked".
    event.listen(engine, "begin", _begin_immediate)
    return engine


def connect_read_only(url: str) -> Engine:
    """Return an engine that only reads and creates no file.

    Raises:
        UsageError: The URL is invalid or its database driver is missing.
    """
    parsed = parse_url(url)
    if parsed.get_backend_name() == "postgresql":
        return _engine(parsed, **engine_options(url), execution_options={"postgresql_readonly": True})
    path = quote(str(Path(str(parsed.database)).absolute()))
    return _engine(URL.create("sqlite", database=f"file:{path}", query={"mode": "ro", "uri": "true"}))


def _engine(parsed: URL, **options: Any) -> Engine:
    try:
        return create_engine(parsed, **options)
    except (ModuleNotFoundError, SQLAlchemyError) as error:
        raise UsageError(
            f"--storage: no driver for {parsed.drivername!r} ({error}): pip install 'sweeps[postgres]'"
        ) from error


def _tune_sqlite(connection: Any, record: object) -> None:
    # WAL lets the dashboard read while a sweep writes. NORMAL may lose the last commits in a power cut, but not when a
    # process dies, and never out of order: the epochs of those commits are trained again, with equal values.
    _use_wal(connection)
    for pragma in ("synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _tune_postgres(connection: Any, record: object) -> None:
    # A process that is suspended inside a transaction would hold its locks and block the next driver.
    with connection.cursor() as cursor:
        cursor.execute(f"SET idle_in_transaction_session_timeout = '{BUSY_TIMEOUT_S}s'")
    connection.commit()


def _use_wal(connection: Any) -> None:
    """Switch to WAL, waiting for other processes that do the same: SQLite's own timeout does not cover this."""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def database_now(dialect: str, seconds: float = 0.0) -> ColumnElement[Any]:
    """Return the time in UTC by the clock of the database; the clock of a driver's machine may be wrong.

    Args:
        dialect: `postgresql` or `sqlite`.
        seconds: Offset from now, in seconds.
    """
    if dialect == "postgresql":
        return func.timezone("UTC", func.clock_timestamp() + func.make_interval(0, 0, 0, 0, 0, 0, seconds))
    # The format in which SQLAlchemy stores times, with six decimals, so that texts compare like times.
    return func.strftime("%Y-%m-%d %H:%M:%f", "now", f"{seconds:+.3f} seconds").concat("000")
