"""Real processes that a killed driver leaves behind."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

# A fake Ray server that ends with its driver, its agent, which does not, and the supervisors of two commands. The last
# has the words of the server for some seconds, as every process has between its fork and its exec.
SERVER = """
import ctypes, os, signal, subprocess, sys, time
from trainers.command.process import SUPERVISOR
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
agent = subprocess.Popen(["sleep", "60"], start_new_session=True)
sleep = [sys.executable, "-c", "import time; time.sleep(60)", str(SUPERVISOR)]
command = subprocess.Popen(sleep, start_new_session=True)
if (late := os.fork()) == 0:
    time.sleep(4)
    os.execv(sleep[0], sleep)
print(agent.pid, command.pid, late, flush=True)
agent.wait()
"""
DRIVER = """
import subprocess, sys, time
from sweeps.runners.ray.reaper import Reaper
reaper = Reaper()
server = subprocess.Popen([sys.executable, sys.argv[1]], stdout=subprocess.PIPE, text=True)
other = subprocess.Popen(["sleep", "60"])
agent, command, late = map(int, server.stdout.readline().split())
time.sleep(2.5)
print(agent, command, late, other.pid, reaper._child.pid, flush=True)
if sys.argv[2] == "release":
    server.kill()
    reaper.release()
time.sleep(60)
"""


def gone(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("end", ["kill", "release"])
def test_processes_of_ray_end_and_no_others(end: str, tmp_path: Path) -> None:
    server = tmp_path / "ray" / "server.py"
    server.parent.mkdir()
    server.write_text(SERVER)
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(server), end], stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    agent, command, late, other, reaper = map(int, driver.stdout.readline().split())
    try:
        if end == "kill":
            assert psutil.pid_exists(agent)
            driver.kill()
        assert gone(agent, 20)
        assert gone(reaper, 5)
        assert psutil.pid_exists(other)
        for supervisor in (command, late):
            assert not gone(supervisor, 0.1)  # it gives its command time, and ends it
    finally:
        driver.kill()
        driver.wait()
        driver.stdout.close()
        for pid in (agent, command, late, other):
            if psutil.pid_exists(pid):
                psutil.Process(pid).kill()
