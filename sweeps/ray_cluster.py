"""The connection to Ray: started while the driver does other things, and what fits into it.

This file and ray_runner.py are the only ones that know Ray. They are two because `import ray.tune` takes a second that
is better spent while Ray starts.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import socket
import threading
from pathlib import Path
from typing import Any

import ray

from search_spaces import Resources, SweepError

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
PROBE_S = 10.0
OBJECT_STORE_BYTES = 256 * 2**20  # steps are small; the default takes a third of the memory


class RayCluster:
    """A connection to Ray, made on a thread while the driver does other things.

    The thread lives as long as the connection: Ray's processes ask the kernel to be killed with the thread that
    started them, so that a driver which is killed leaves nothing behind.

    Args:
        address: ``None`` starts Ray on this machine; ``auto`` or ``host:port`` joins a running cluster.
    """

    def __init__(self, address: str | None = None) -> None:
        os.environ |= _ENVIRONMENT
        self._address = address
        self._error: BaseException | None = None
        self._ready = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._hold, name="ray", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Return when the cluster is there.

        Raises:
            SweepError: It cannot be started or reached.
        """
        self._ready.wait()
        if self._error is not None:
            raise SweepError(f"Ray cannot be started or reached: {self._error}") from self._error

    def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        self._over.set()
        if self._ready.is_set():  # else Ray still tries to connect, which nothing can hurry; it ends with the driver
            self._thread.join()

    def _hold(self) -> None:
        try:
            self._connect()
        except BaseException as error:  # noqa: BLE001  carried to the thread that waits
            self._error = error
            return
        finally:
            self._ready.set()
        self._over.wait()
        ray.shutdown()

    def _connect(self) -> None:
        local: dict[str, Any] = {}
        address = self._address or os.environ.get("RAY_ADDRESS")
        if address is None:
            local = {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
            _protect_token()
        else:
            _probe(address)
        ray.init(address=self._address, log_to_driver=False, logging_level=logging.ERROR, **local)


def _probe(address: str) -> None:
    """Find out in seconds what takes Ray minutes: that nobody listens at ``host:port``.

    Raises:
        OSError: Nobody does.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=PROBE_S).close()


def _protect_token() -> None:
    """Make the authentication token of Ray before Ray does, which writes it readable by everyone."""
    token = Path.home() / ".ray" / "auth_token"
    with contextlib.suppress(OSError):  # a home that cannot be written to has no token to protect
        token.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not token.exists():
            with os.fdopen(os.open(token, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
                file.write(secrets.token_hex(32))
        token.chmod(0o600)


def capacity(resources: Resources) -> int:
    """How many runs fit into the cluster at the same time."""
    nodes: list[dict[str, Any]] = ray.nodes()
    return sum(_fits(node["Resources"], resources) for node in nodes if node["Alive"])


def _fits(available: dict[str, float], resources: Resources) -> int:
    """How many runs fit into one node."""
    counts = [available.get("CPU", 0.0) / resources.cpu]
    if resources.gpu:
        counts.append(available.get("GPU", 0.0) / resources.gpu)
    return int(min(counts) + 1e-9)  # ten runs of 0.1 GPU fill one: 1 / 0.1 must not come out below 10


def lacking(resources: Resources) -> str:
    """Why not even one run fits."""
    total: dict[str, float] = ray.cluster_resources()
    return (
        f"a run asks for {resources.cpu:g} CPU and {resources.gpu:g} GPU on one node, the cluster has "
        f"{total.get('CPU', 0):g} CPU and {total.get('GPU', 0):g} GPU in all: lower `resources` in the space file"
    )
