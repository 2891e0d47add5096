"""Signals of a process that is connected to Ray, real processes."""

from __future__ import annotations

import subprocess
import sys

import pytest

CONNECTED = """
import os, signal, sys

signal.signal(signal.SIGTERM, lambda *_: print("handled"))
from sweeps.runners.ray.connection import RayCluster
signal.signal(signal.SIGTERM, lambda *_: print("handled"))  # Ray's import replaces it, too
cluster = RayCluster()
cluster.wait()
os.kill(os.getpid(), signal.SIGTERM)
cluster.close()
print("closed")
"""


@pytest.mark.slow
@pytest.mark.parallel
def test_a_process_keeps_its_handler_of_sigterm_when_it_connects_to_ray() -> None:
    done = subprocess.run([sys.executable, "-c", CONNECTED], capture_output=True, text=True, timeout=240)
    assert (done.returncode, done.stdout.splitlines()) == (0, ["handled", "closed"]), done.stderr
    assert "SIGTERM" not in done.stderr
