"""Compare `sweeps run finetune` with the same task and space in plain Ray Tune, each on a new database.

python benchmarks/compare_ray_tune.py --repetitions 3 --take best
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from search_spaces import load_space

HERE = Path(__file__).resolve().parent
ROWS = {
    "sweeps": "`sweeps run finetune`",
    "tuned": "Ray Tune, hand-tuned (class Trainable, reused actors, 2 at a time)",
    "defaults": "Ray Tune, as in its tutorial (defaults)",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=1)
    parser.add_argument("--take", choices=("best", "median"), default="median", help="statistic of the repetitions")
    parser.add_argument("--only", nargs="+", choices=tuple(ROWS), default=tuple(ROWS))
    options = parser.parse_args()
    warm_cache()
    seconds: dict[str, list[float]] = {name: [] for name in options.only}
    facts: dict[str, dict] = {}
    for repetition in range(options.repetitions):
        for name in options.only:
            wall, facts[name] = measure(name)
            seconds[name].append(wall)
            print(f"repetition {repetition + 1}: {name} {wall:.1f} s", file=sys.stderr, flush=True)
    take = min if options.take == "best" else statistics.median
    print(table({name: take(walls) for name, walls in seconds.items()}, facts, options))


def warm_cache() -> None:
    """Prepare the pretrained network before the measurements; it is created once per machine."""
    spec = load_space("finetune")
    code = (
        "import sys; from search_spaces import Recipe; from trainers.task_checks import prepare;"
        "prepare(sys.argv[1], Recipe.model_validate_json(sys.argv[2]), 0)"
    )
    subprocess.run([sys.executable, "-c", code, spec.task, spec.recipe.model_dump_json()], check=True)


def measure(name: str) -> tuple[float, dict]:
    """Return the wall seconds of one command on a new database, and what it recorded."""
    with tempfile.TemporaryDirectory(prefix=f"compare-{name}-") as folder:
        database = Path(folder) / "sweeps.db"
        if name == "sweeps":
            command = [
                str(Path(sys.executable).with_name("sweeps")),
                "run",
                "finetune",
                "--storage",
                f"sqlite:///{database}",
            ]
        else:
            command = [sys.executable, str(HERE / "plain_ray_tune.py"), name]
        began = time.monotonic()
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        wall = time.monotonic() - began
        if done.returncode != 0:
            sys.exit(f"{name} ended with {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
        return wall, ours(database) if name == "sweeps" else json.loads(done.stdout.splitlines()[-1])


def ours(database: Path) -> dict:
    """Return what `sweeps` recorded, with the keys of plain_ray_tune.py."""
    connection = sqlite3.connect(database)

    def one(query: str) -> int:
        return connection.execute(query).fetchone()[0]

    stopped = "SELECT count(*) FROM trials t JOIN run r ON r.optuna_trial_id = t.trial_id AND r.state = 'STOPPED'"
    facts = {
        "runs": one("SELECT count(*) FROM run"),
        "epochs": one("SELECT sum(epoch) FROM run"),
        "stopped": one("SELECT count(*) FROM run WHERE state = 'STOPPED'"),
        "stopped_as_complete": one(f"{stopped} WHERE t.state = 'COMPLETE'"),
        "stopped_as_pruned": one(f"{stopped} WHERE t.state = 'PRUNED'"),
        "left_running": one("SELECT count(*) FROM trials WHERE state = 'RUNNING'"),
        "intermediate_values": one("SELECT count(*) FROM trial_intermediate_values"),
    }
    connection.close()
    return facts


def table(seconds: dict[str, float], facts: dict[str, dict], options: argparse.Namespace) -> str:
    """Return the Markdown table of docs/benchmarks.md."""
    base = seconds.get("sweeps")
    lines = [
        f"{os.cpu_count()} cores; {options.take} of {options.repetitions}",
        "",
        "| | wall s | ratio | runs | epochs | stopped early | ... as PRUNED | ... as COMPLETE | left RUNNING "
        "| values per epoch in Optuna |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, wall in seconds.items():
        fact = facts[name]
        ratio = "" if base is None else f"{wall / base:.2f}"
        cells = [
            fact[key]
            for key in (
                "runs",
                "epochs",
                "stopped",
                "stopped_as_pruned",
                "stopped_as_complete",
                "left_running",
                "intermediate_values",
            )
        ]
        lines.append(f"| {ROWS[name]} | {wall:.1f} | {ratio} | " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
