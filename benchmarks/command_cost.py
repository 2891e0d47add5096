"""Measure what a sweep adds to a training command: per run, and per call of `sweeps.client.report`.

    python benchmarks/command_cost.py

The bare command and a run of it alternate, and the fastest of each counts, because other processes can only add time.
A call is measured inside the program, as the mean of many, with a worker that records nothing, so recording itself is
not part of it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from search_spaces import Recipe
from search_spaces.recipe.recipe import Budget
from sweeps.engine.messages import Job
from sweeps.runners.worker import Worker

ROUNDS = 7
CALLS = 1000
PRINTING = "print('step 1: val loss 0.5')"
REPORTING = f"""
import time
from sweeps.client import report
report({{"val/loss": 0.5}}, step=1)
began = time.perf_counter()
for step in range(2, {CALLS + 2}):
    report({{"val/loss": 0.5}}, step=step)
print("milliseconds", (time.perf_counter() - began) / {CALLS} * 1e3, file=open("cost", "w"))
"""


def run(words: list[str], folder: Path, number: int, metrics: str) -> float:
    recipe = Recipe(budget=Budget(steps=CALLS + 1)).model_dump()
    command = {"command": words, "metrics": metrics}
    outputs, paths = str(folder / "outputs"), (str(folder),)
    began = time.perf_counter()
    worker = Worker()
    worker.start(Job(number, "train.py", recipe, 0, (), "", 60.0, 1, 0, paths, 1, command, 1, outputs))
    while not (step := worker.step()).finished:
        if step.error is not None:
            raise RuntimeError(step.error)
    worker.close()
    return time.perf_counter() - began


def bare(words: list[str], folder: Path) -> float:
    began = time.perf_counter()
    subprocess.run(words, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parents[1])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "print.py").write_text(PRINTING)
        (folder / "report.py").write_text(REPORTING)
        words = [sys.executable, "print.py"]
        pairs = [(bare(words, folder), run(words, folder, at, "stdout")) for at in range(ROUNDS + 1)][1:]
        alone, swept = (min(seconds) for seconds in zip(*pairs, strict=True))
        print(f"a run: {swept - alone:.3f} s more than the bare command ({swept:.3f} s, {alone:.3f} s)")
        costs = []
        for at in range(ROUNDS):
            run([sys.executable, "report.py"], folder, at, "report")
            costs.append(float((folder / "cost").read_text().split()[1]))
        print(f"a call of report: {min(costs):.3f} ms")


if __name__ == "__main__":
    main()
