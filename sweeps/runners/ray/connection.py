"""The connection to Ray, made on a thread while the driver does other work.

It does not import `ray.tune`, which takes a second: the runner does, while Ray starts.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any, Self

import ray
from ray._private.services import canonicalize_bootstrap_address_or_die

from search_spaces import SweepError
from sweeps.runners.ray.environment import probe
from sweeps.runners.ray.reaper import Reaper
from sweeps.runners.ray.signal_handlers import kept_handler

LOOK_EVERY_S = 5.0
GONE_S = 30.0  # a head node that restarts within this time is joined again; Ray aborts after 60 s
OBJECT_STORE_BYTES = 256 * 2**20  # steps are small; the default is a third of the memory
# Not sent to the nodes from the current folder, besides what .gitignore excludes.
_NOT_SENT = [".git", ".venv", ".env", ".env.*", "__pycache__", "runs", "reports", "*.db", "*.ckpt"]
_SUBMITTED = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # set by `ray job submit`, which sends the code itself


class RayCluster:
    """A connection to Ray, made on a thread while the driver does other work.

    The thread lives as long as the connection: the kernel kills Ray's processes with the thread that started them,
    so that a killed driver leaves no process behind.

    Args:
        address: ``None`` starts Ray on this machine; ``auto``, ``host:port`` or ``ray://host:port`` joins a cluster.
        code: Folder of the user's code, which is sent to every node of a joined cluster; None sends nothing.
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
        """Return when Ray is connected.

        Raises:
            SweepError: Ray cannot be started or reached.
        """
        self._ready.wait()
        if self._error is not None:
            what = f"the cluster at {self._address} cannot be joined" if self.joined else "Ray cannot be started"
            raise SweepError(f"{what}: {_first_line(self._error)}") from self._error

    @property
    def head(self) -> str:
        """Return the address of the head node, or of the client server with ``ray://``; known after `wait`."""
        if self._address is not None and self._address.startswith("ray://"):
            return self._address
        return str(ray.get_runtime_context().gcs_address)

    def close(self) -> None:
        """Disconnect; Ray ends if it was started here."""
        self._over.set()
        if self._ready.is_set():  # a connection in the making cannot be interrupted; it ends with the driver
            self._thread.join()

    def _hold(self) -> None:
        reaper = None if self.joined else Reaper()
        try:
            with kept_handler(signal.SIGTERM):
                self._connect()
            self._ready.set()
            self._over.wait()
            ray.shutdown()
        except BaseException as error:  # noqa: BLE001  raised again by `wait`
            self._error = error
        finally:
            self._ready.set()
            if reaper is not None:
                reaper.release()

    def _connect(self) -> None:
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if self._address is not None:
            # `auto` may find the address of a cluster that was killed.
            probe(canonicalize_bootstrap_address_or_die(self._address) if self._address == "auto" else self._address)
            ray.init(address=self._address, runtime_env=self._runtime_env(), **quiet)
        else:
            # "local": without it, Ray would join any cluster on this machine.
            ray.init("local", include_dashboard=False, object_store_memory=OBJECT_STORE_BYTES, **quiet)

    def _runtime_env(self) -> dict[str, Any] | None:
        if self._code is None or _SUBMITTED in os.environ:
            return None
        return {"working_dir": self._code, "excludes": _NOT_SENT}


class Lifeline:
    """Notices that the head node is unreachable. Ray's own calls block, and abort the process after a minute.

    Args:
        address: Address of the head node.
        gone: Called on another thread with the reason; it ends the process.
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
