"""Real processes that a killed driver leaves behind."""

from __future__ import annotations

import subprocess
import sys
import time

import psutil
import pytest

from sweeps.reaper import MARK

DRIVER = """
import subprocess, sys, time
from sweeps.reaper import Reaper
before = subprocess.Popen(["sleep", "60"])
reaper = Reaper()
after = subprocess.Popen(["sleep", "60"], start_new_session=True)
print(before.pid, after.pid, reaper._child.pid, flush=True)
if sys.argv[1] == "dismiss":
    reaper.dismiss()
    sys.exit()
time.sleep(60)
"""


def gone(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("end", ["kill", "dismiss"])
def test_what_was_started_after_it_ends_with_a_killed_driver(end: str) -> None:
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, end], stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    before, after, reaper = map(int, driver.stdout.readline().split())
    try:
        if end == "kill":
            assert psutil.Process(reaper).environ()[MARK] == psutil.Process(after).environ()[MARK]
            driver.kill()
        driver.wait(10)
        assert gone(reaper, 15)
        assert gone(after, 0.5) is (end == "kill")
        assert not gone(before, 0.2)
    finally:
        driver.stdout.close()
        for pid in (before, after):
            if psutil.pid_exists(pid):
                psutil.Process(pid).kill()
