"""Inject faults into real sweeps and check that nothing is lost.

    python tests/faults/run.py --list
    python tests/faults/run.py driver --quick
    python tests/faults/run.py driver --count 100 --ray-share 0.25 --seed 3
    python tests/faults/run.py --results runs/faults.jsonl --table docs/reliability.md

Without names, all trials run. Each result is printed when its trial ends, and appended to the file of --results.
The exit code is 1 if anything was lost.
"""

from __future__ import annotations

import argparse
import importlib
import random
import shutil
import sys
import tempfile
from pathlib import Path

from command import ROOT
from record import append, write_table
from stage import FAULTS, Fault, Result, Stage, played

FAMILIES = ("deaths", "signalled", "databases", "disks", "damage", "rivals", "user_code", "limits", "clusters")


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="names of faults; default: all")
    parser.add_argument("--list", action="store_true", help="print the names of the faults and exit")
    parser.add_argument("--quick", action="store_true", help="a few injections each, to test the trials")
    parser.add_argument("--count", type=int, help="number of injections per fault")
    parser.add_argument(
        "--ray-share", type=float, default=0.25, help="share of the drivers that use Ray, in trials with both runners"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed for the random moments")
    parser.add_argument("--keep", action="store_true", help="keep the folders of all trials")
    parser.add_argument(
        "--results", type=Path, default=ROOT / "runs" / "faults.jsonl", help="file that gets a line per trial"
    )
    parser.add_argument("--table", type=Path, help="page whose table is replaced by --results")
    parser.add_argument("--table-only", action="store_true", help="run no trial, only write --table")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in FAULTS]:
        parser.error(f"unknown fault {', '.join(unknown)}; expected one of {', '.join(FAULTS)}")
    if options.table_only and options.table is None:
        parser.error("--table-only needs --table")
    return options


def repeat(fault: Fault, options: argparse.Namespace) -> str:
    """Return the command that repeats this trial."""
    words = ["python tests/faults/run.py", fault.name]
    words += ["--quick"] if options.quick else []
    words += [f"--count {options.count}"] if options.count else []
    words += [f"--ray-share {options.ray_share:g}"] if options.ray_share != 0.25 else []
    words += [f"--seed {options.seed}"] if options.seed else []
    return " ".join(words)


def play(fault: Fault, options: argparse.Namespace) -> Result:
    """Run one trial in its own folder, which is kept if something was lost."""
    folder = Path(tempfile.mkdtemp(prefix=f"fault-{fault.name}-"))
    count = options.count or (fault.quick if options.quick else fault.count)
    stage = Stage(folder, random.Random(f"{fault.name} {options.seed}"), count, options.ray_share)
    print(f"{fault.name}: {fault.how}, {count} times, in {folder}", flush=True)
    result = played(fault, stage, repeat(fault, options))
    if not result.lost and not options.keep:
        shutil.rmtree(folder, ignore_errors=True)
    return result


def show(result: Result) -> None:
    """Print the result of a trial."""
    for invariant in result.checked:
        print(f"   ok      {invariant}")
    for breach in result.lost:
        print(f"   LOST    {breach}")
    verdict = f"{len(result.lost)} breaches" if result.lost else "nothing lost"
    print(
        f"{result.fault}: {verdict} after {result.count} faults, {result.seconds:.0f} s; repeat: {result.command}\n",
        flush=True,
    )


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    if options.list:
        for fault in FAULTS.values():
            print(f"{fault.name:<22} {fault.count:>4}  {fault.how}")
        return 0
    lost = False
    if not options.table_only:
        for name in options.names or FAULTS:
            result = play(FAULTS[name], options)
            show(result)
            append(options.results, result)
            lost = lost or bool(result.lost)
    if options.table:
        write_table(options.table, options.results)
    return int(lost)


if __name__ == "__main__":
    for family in FAMILIES:
        importlib.import_module(family)
    sys.exit(main())
