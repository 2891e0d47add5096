"""The connection to Ray, made while the driver does other things.

Four files know Ray: this one, ray_nodes.py (what nodes there are), ray_runner.py (Tune) and ray_jobs.py (which trial
trains which run). `import ray.tune`, which the last two need, takes a second that is better spent while Ray starts.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any, Self

import ray
from ray._private.services import canonicalize_bootstrap_address_or_die

from search_spaces import SweepError
from sweeps.runners.ray.environment import probe
from sweeps.runners.ray.reaper import Reaper

LOOK_EVERY_S = 5.0
GONE_S = 30.0  # a head node that is started again within this time may still be joined; Ray aborts after 60
OBJECT_STORE_BYTES = 256 * 2**20  # steps are small; the default takes a third of the memory
# What of the current folder is not brought to the nodes, besides what .gitignore names.
_LEFT_HERE = [".git", ".venv", ".env", ".env.*", "__pycache__", "runs", "reports", "*.db", "*.ckpt"]
_SUBMITTED = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # `ray job submit` has brought the code to the nodes already


class RayCluster:
    """A connection to Ray, made on a thread while the driver does other things.

    The thread lives as long as the connection: Ray's processes ask the kernel to be killed with the thread that
    started them, so that a driver which is killed leaves nothing behind.

    Args:
        address: ``None`` starts Ray on this machine; ``auto``, ``host:port`` or ``ray://host:port`` joins a cluster.
        code: Folder with the user's own code, which every node of a joined cluster needs; None for none.
    """

    def __init__(self, address: str | None = None, code: str | None = None) -> None:
        self.joined = address is not None
        self._address = address
        self._code = code
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
            what = f"the cluster at {self._address} cannot be joined" if self.joined else "Ray cannot be started"
            raise SweepError(f"{what}: {_first_line(self._error)}") from self._error

    @property
    def head(self) -> str:
        """Where the head node listens; with ``ray://``, where the server of clients does. Known after `wait`."""
        if self._address is not None and self._address.startswith("ray://"):
            return self._address
        return str(ray.get_runtime_context().gcs_address)

    def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        self._over.set()
        if self._ready.is_set():  # else Ray still tries to connect, which nothing can hurry; it ends with the driver
            self._thread.join()

    def _hold(self) -> None:
        reaper = None if self.joined else Reaper()
        try:
            self._connect()
            self._ready.set()
            self._over.wait()
            ray.shutdown()
        except BaseException as error:  # noqa: BLE001  carried to the thread that waits
            self._error = error
        finally:
            self._ready.set()
            if reaper is not None:
                reaper.release()

    def _connect(self) -> None:
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if self._address is not None:
            # `auto` may be a cluster that was killed, whose address is still noted.
            probe(canonicalize_bootstrap_address_or_die(self._address) if self._address == "auto" else self._address)
            ray.init(address=self._address, runtime_env=self._runtime_env(), **quiet)
        else:
            # "local", or Ray would join whatever cluster this machine belongs to.
            ray.init("local", include_dashboard=False, object_store_memory=OBJECT_STORE_BYTES, **quiet)

    def _runtime_env(self) -> dict[str, Any] | None:
        if self._code is None or _SUBMITTED in os.environ:
            return None
        return {"working_dir": self._code, "excludes": _LEFT_HERE}


class Lifeline:
    """Notices that the head node is gone. Ray's own calls wait for it, and after a minute they abort the process.

    Args:
        address: Where it listens.
        gone: Called on another thread, with what happened; it ends the process.
    """

    def __init__(self, address: str, gone: Callable[[str], None]) -> None:
        self._gone = gone
        self._address = address
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="lifeline", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()

    def _watch(self) -> None:
        seen = time.monotonic()
        while not self._over.wait(LOOK_EVERY_S):
            try:
                probe(self._address)
                seen = time.monotonic()
            except OSError as error:
                if time.monotonic() - seen > GONE_S and not self._over.is_set():
                    self._gone(f"Ray's head node at {self._address} is gone ({error.strerror or error})")
                    return


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2]) if lines else type(error).__name__
