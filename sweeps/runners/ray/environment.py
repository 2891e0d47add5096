"""Ray's environment variables and authentication token, set before `import ray`, which reads them once."""

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
    "RAY_AIR_NEW_OUTPUT": "0",  # the live view prints the progress
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # no files per trial
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C drains the conductor
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a step is not a flat dict of metrics
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",  # its snapshots are slow and not used
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # they are recorded with their runs
    "RAY_TQDM_PATCH_PRINT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # the user's own task may open files by relative paths
}
_QUIET = {"RAY_DEDUP_LOGS_SKIP_REGEX": "."}  # trials.py reports a lost node in one line, Ray in thirty
_MODE = "RAY_AUTH_MODE"
_CLIENT = "ray://"
_ACCESS_PROBE = """
import sys
from ray._private.services import canonicalize_bootstrap_address_or_die
from ray._raylet import GcsClient
from ray.exceptions import AuthenticationError
try:
    GcsClient(address=canonicalize_bootstrap_address_or_die(sys.argv[1])).check_alive([], timeout=5)
except AuthenticationError:
    sys.exit(3)
"""
_REFUSED = 3  # exit code of the probe above
_PROBE_ANSWER_S = 30.0
_PROBE_S = 10.0


def prepare(address: str | None) -> None:
    """Set the environment that Ray will read.

    Args:
        address: Address of a running cluster; None starts Ray on this machine.

    Raises:
        UsageError: The cluster requires a token, and there is none on this machine.
    """
    os.environ |= _ENVIRONMENT
    if address is None:
        _protect_token()
        return
    os.environ |= _QUIET
    if _MODE not in os.environ and _requires_token(address):
        # A driver sends no token unless told to, and one that sends a token cannot talk to a cluster without.
        if not _has_token():
            raise UsageError(
                f"--address: the cluster at {address} requires a token, found none: copy ~/.ray/auth_token from its "
                "head node, or set RAY_AUTH_TOKEN_PATH to a copy of it"
            )
        os.environ[_MODE] = "token"


def _requires_token(address: str) -> bool:
    """Return whether a cluster requires a token; a child tests it, since Ray reads its settings only once."""
    try:
        probe(address)
    except OSError:
        return False  # nothing listens there; connecting will report it
    if address.startswith(_CLIENT):  # a client may always send a token
        return _has_token()
    without = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    with contextlib.suppress(subprocess.TimeoutExpired):
        command = [sys.executable, "-c", _ACCESS_PROBE, address]
        done = subprocess.run(command, check=False, env=without, capture_output=True, timeout=_PROBE_ANSWER_S)  # noqa: S603
        return done.returncode == _REFUSED
    return False


def probe(address: str) -> None:
    """Test whether something listens at ``host:port``, in seconds; Ray itself takes minutes.

    Raises:
        OSError: Nothing listens there.
    """
    host, colon, port = address.removeprefix(_CLIENT).rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PROBE_S).close()


def cluster_address(address: str | None) -> str | None:
    """Return the cluster to join: the given address, or that of `RAY_ADDRESS` for `auto`; None starts Ray here."""
    from_environment = os.environ.get("RAY_ADDRESS")
    return from_environment if from_environment and address in (None, "", "auto") else address or None


def _token_file() -> Path:
    return Path.home() / ".ray" / "auth_token"


def _has_token() -> bool:
    given = os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH")
    return bool(given) or _token_file().exists()


def _protect_token() -> None:
    """Create Ray's authentication token with mode 0600; Ray would make it readable by every user."""
    token = _token_file()
    with contextlib.suppress(OSError):  # a home folder that is not writable gets no token
        token.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not token.exists():
            with os.fdopen(os.open(token, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
                file.write(secrets.token_hex(32))
        token.chmod(0o600)
