"""Play faults against real sweeps and judge what is left of them.

    python tests/faults/run.py --list
    python tests/faults/run.py driver --quick
    python tests/faults/run.py driver --count 100 --ray-share 0.25 --seed 3
    python tests/faults/run.py --results runs/faults.jsonl --table docs/reliability.md

Without names all of them are played. Each result is printed when its trial ends, and added to the file of --results.
Exit code 1 when anything was lost.
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
    parser.add_argument("names", nargs="*", metavar="NAME", help="of faults; all if none is named")
    parser.add_argument("--list", action="store_true", help="the names, and no trial")
    parser.add_argument("--quick", action="store_true", help="a few injections each, to see that the trials work")
    parser.add_argument("--count", type=int, help="injections of each named fault, in place of the usual number")
    parser.add_argument("--ray-share", type=float, default=0.25, help="of the lives, where both runners take part")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments")
    parser.add_argument("--keep", action="store_true", help="the folders of trials that lost nothing, too")
    parser.add_argument("--results", type=Path, default=ROOT / "runs" / "faults.jsonl", help="takes a line per trial")
    parser.add_argument("--table", type=Path, help="the page whose table is made anew from --results")
    parser.add_argument("--table-only", action="store_true", help="no trial, only --table")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in FAULTS]:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(FAULTS)}")
    if options.table_only and options.table is None:
        parser.error("--table-only needs --table")
    return options


def repeat(fault: Fault, options: argparse.Namespace) -> str:
    """The command that plays this trial again."""
    words = ["python tests/faults/run.py", fault.name]
    words += ["--quick"] if options.quick else []
    words += [f"--count {options.count}"] if options.count else []
    words += [f"--ray-share {options.ray_share:g}"] if options.ray_share != 0.25 else []
    words += [f"--seed {options.seed}"] if options.seed else []
    return " ".join(words)


def play(fault: Fault, options: argparse.Namespace) -> Result:
    """One trial in a folder of its own, which stays when something was lost."""
    folder = Path(tempfile.mkdtemp(prefix=f"fault-{fault.name}-"))
    count = options.count or (fault.quick if options.quick else fault.count)
    stage = Stage(folder, random.Random(f"{fault.name} {options.seed}"), count, options.ray_share)
    print(f"{fault.name}: {fault.how}, {count} times, in {folder}", flush=True)
    result = played(fault, stage, repeat(fault, options))
    if not result.lost and not options.keep:
        shutil.rmtree(folder, ignore_errors=True)
    return result


def show(result: Result) -> None:
    """A trial's result as a person reads it."""
    for law in result.checked:
        print(f"   ok      {law}")
    for breach in result.lost:
        print(f"   LOST    {breach}")
    verdict = f"{len(result.lost)} breaches" if result.lost else "nothing lost"
    print(
        f"{result.fault}: {verdict} after {result.count} faults, {result.seconds:.0f} s; again: {result.command}\n",
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
