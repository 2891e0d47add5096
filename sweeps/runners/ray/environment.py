"""What Ray reads from the environment, and its authentication token. Set before `import ray`, which reads it once."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import sys
from pathlib import Path

from search_spaces import UsageError

_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing leaves this machine
    "RAY_AIR_NEW_OUTPUT": "0",  # progress.py is what a person sees
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # no files per trial
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C drains the conductor
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a step is not a flat dict of metrics
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",  # its snapshots are of no use here, and slow
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # they are recorded with their runs
    "RAY_TQDM_PATCH_PRINT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # the user's own task may open files by relative paths
}
_QUIET = {"RAY_DEDUP_LOGS_SKIP_REGEX": "."}  # that a node is gone is said by ray_runner.py in a line, by Ray in thirty
_MODE = "RAY_AUTH_MODE"
_CLIENT = "ray://"
_KNOCK = """
import sys
from ray._private.services import canonicalize_bootstrap_address_or_die
from ray._raylet import GcsClient
from ray.exceptions import AuthenticationError
try:
    GcsClient(address=canonicalize_bootstrap_address_or_die(sys.argv[1])).check_alive([], timeout=5)
except AuthenticationError:
    sys.exit(3)
"""
_REFUSED = 3
_KNOCK_S = 30.0
_PROBE_S = 10.0


def prepare(address: str | None) -> None:
    """Set what Ray will read.

    Args:
        address: Of a running cluster; None: Ray will be started on this machine.

    Raises:
        UsageError: The cluster asks for a token that is not here.
    """
    os.environ |= _ENVIRONMENT
    if address is None:
        _protect_token()
        return
    os.environ |= _QUIET
    if _MODE not in os.environ and _asks_for_token(address):
        # Of its own accord a driver shows its token to nobody; and with a token it hears nobody who has none.
        if not _has_token():
            raise UsageError(
                f"--address: the cluster at {address} asks for a token, found none: copy ~/.ray/auth_token from its "
                "head node, or name a copy in RAY_AUTH_TOKEN_PATH"
            )
        os.environ[_MODE] = "token"


def _asks_for_token(address: str) -> bool:
    """Whether a cluster turns away who has none. Asked in a child process: here Ray reads its settings only once."""
    try:
        probe(address)
    except OSError:
        return False  # nobody listens there, which whoever connects will say
    if address.startswith(_CLIENT):  # a client that shows a token is let in by everybody
        return _has_token()
    without = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    with contextlib.suppress(subprocess.TimeoutExpired):
        knock = [sys.executable, "-c", _KNOCK, address]
        done = subprocess.run(knock, check=False, env=without, capture_output=True, timeout=_KNOCK_S)  # noqa: S603
        return done.returncode == _REFUSED
    return False


def probe(address: str) -> None:
    """Find out in seconds what takes Ray minutes: that nobody listens at ``host:port``.

    Raises:
        OSError: Nobody does.
    """
    host, colon, port = address.removeprefix(_CLIENT).rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PROBE_S).close()


def cluster_address(address: str | None) -> str | None:
    """The cluster to join: the one that is named, or that of `RAY_ADDRESS`, as with `auto`; None starts one."""
    told = os.environ.get("RAY_ADDRESS")
    return told if told and address in (None, "", "auto") else address or None


def _token_file() -> Path:
    return Path.home() / ".ray" / "auth_token"


def _has_token() -> bool:
    given = os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH")
    return bool(given) or _token_file().exists()


def _protect_token() -> None:
    """Make the authentication token of Ray before Ray does, which writes it readable by everyone."""
    token = _token_file()
    with contextlib.suppress(OSError):  # a home that cannot be written to has no token to protect
        token.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not token.exists():
            with os.fdopen(os.open(token, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
                file.write(secrets.token_hex(32))
        token.chmod(0o600)
