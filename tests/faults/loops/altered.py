"""The command `sweeps` with changed constants, or with a wall clock that changes during the run.

python -m altered '{"set": {"sweeps.store.lease.DURATION_S": 2.0}, "step_h": -1, "after_s": 4}' run toy.yaml --local
"""

from __future__ import annotations

import importlib
import json
import sys
import threading
import time
from datetime import datetime, timedelta
from typing import Any


def step_the_clock(hours: float, after_s: float) -> None:
    """Shift `time.time` and the `datetime` of the product by some hours, after some seconds."""
    true_now = time.time

    class Stepped(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(tz) + timedelta(hours=hours)

    def step() -> None:
        time.sleep(after_s)
        time.time = lambda: true_now() + 3600 * hours
        for name, module in list(sys.modules.items()):
            if name.startswith(("sweeps.", "trainers.")) and getattr(module, "datetime", None) is datetime:
                module.datetime = Stepped

    threading.Thread(target=step, daemon=True).start()


def main() -> None:
    changes = json.loads(sys.argv.pop(1))
    for name, value in changes.get("set", {}).items():
        module, _, attribute = name.rpartition(".")
        setattr(importlib.import_module(module), attribute, value)
    if "step_h" in changes:
        step_the_clock(changes["step_h"], changes["after_s"])
    importlib.import_module("sweeps.cli.app").main()


if __name__ == "__main__":
    main()
