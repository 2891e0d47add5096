"""`sweeps check` and `sweeps lr-find`: start the child process, and print its findings."""

import csv
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from search_spaces import SpaceSpec
from sweeps import exit_codes
from sweeps.console.live_view import duration
from sweeps.console.terminal_plot import Canvas, log_plot
from sweeps.preflight.child import ask
from sweeps.preflight.command_check import LIMIT_S, command_checks
from trainers.check import Check, Outcome
from trainers.sanity.lr_curve import FEWEST_RUNS, MOST_RUNS, SETTLED, LrPlan, LrScan, ShortRun, Suggestion, rate_text

WORTH = {
    False: "of a range test alone, a rough guess: search the whole range",
    True: "a rate to start a search with, since the best one of a whole run may differ: docs/benchmarks.md has figures",
}
"""What a suggestion is worth, without and with short trainings (docs/benchmarks.md)."""

_COLOURS = {Outcome.PASS: "green", Outcome.WARN: "yellow", Outcome.FAIL: "bold red"}
_WIDEST_PLOT, _NARROWEST_PLOT = 90, 30


def check(spec: SpaceSpec, console: Console, limit_s: float = LIMIT_S) -> int:
    """Run the sanity ladder on a space's task with its base recipe, and print each check when it ends.

    Args:
        spec: Space with the task and the base recipe.
        console: Console to print to.
        limit_s: Most seconds of each start of a command, whose arguments are checked instead.

    Returns:
        Exit code: 1 if a check failed.

    Raises:
        UsageError: The task cannot be trained, or is the user's own training loop.
    """
    about = "" if spec.command else f", {spec.recipe.optimizer.kind}"
    console.print(Text.assemble("checking ", (spec.name, "bold"), f": {spec.task_name}{about}"))
    found = []
    for one in command_checks(spec, limit_s) if spec.command else _ladder(spec):
        found.append(one)
        _print_check(one, console)
    counts = [f"{sum(one.outcome is outcome for one in found)} {outcome.value}" for outcome in Outcome]
    console.print(Text(", ".join(counts), "dim"))
    return exit_codes.FAILED if any(one.outcome is Outcome.FAIL for one in found) else exit_codes.DONE


def _ladder(spec: SpaceSpec) -> Iterator[Check]:
    for answer in ask("check", spec):
        yield Check(**{**answer, "outcome": Outcome(answer["outcome"])})


def _print_check(one: Check, console: Console) -> None:
    head = Text.assemble((one.outcome.value, _COLOURS[one.outcome]), "  ", (f"{one.name}: ", "bold"), one.evidence)
    head.no_wrap = False
    console.print(head)
    if one.next_step:
        console.print(Padding(Text(f"-> {one.next_step}", "italic"), (0, 0, 0, 6)))


def lr_find(spec: SpaceSpec, console: Console, folder: Path, quick: bool = False) -> tuple[int, LrScan]:
    """Find a learning rate for a space's base recipe; print each step and a line to paste, write two files.

    Args:
        spec: Space with the task and the base recipe.
        console: Console to print to.
        folder: Folder of `lr_find.csv` and `lr_find.json`; created if missing.
        quick: Whether to omit the short trainings after the range test.

    Returns:
        Exit code, 1 if there is no suggestion, and the scan.

    Raises:
        UsageError: As for `check`.
    """
    answers = ask("lr_find_quick" if quick else "lr_find", spec)
    plan = LrPlan(**next(answers))
    console.print(Text(_cost(plan)))
    scan = _read_scan(next(answers))
    _print_scan(scan, console)
    if plan.short_steps:
        console.print(Text(_time_left(plan, scan), "dim"))
    for answer in answers:
        scan = _read_scan(answer)
        _print_run(scan.runs[-1], console)
    _print_suggestion(scan, console)
    for path in _write_scan(scan, plan, folder):
        console.print(Text(f"written: {path}", "dim"))
    return exit_codes.DONE if scan.suggestion else exit_codes.FAILED, scan


def _read_scan(answer: Mapping[str, Any]) -> LrScan:
    suggestion = answer["suggestion"]
    lists = {name: tuple(answer[name]) for name in ("lrs", "losses", "smoothed")}
    lists["runs"] = tuple(ShortRun(**run) for run in answer["runs"])
    return LrScan(**{**answer, **lists, "suggestion": None if suggestion is None else Suggestion(**suggestion)})


def _write_scan(scan: LrScan, plan: LrPlan, folder: Path) -> Iterator[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "lr_find.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["lr", "loss", "smoothed"])
        writer.writerows(zip(scan.lrs, scan.losses, scan.smoothed, strict=True))
    yield path
    found = scan.suggestion
    facts = {
        "task": scan.task,
        "optimizer": scan.optimizer,
        "recipe_lr": scan.recipe_lr,
        "suggestion": None if found is None else {**asdict(found), "origin": found.origin},
        "short_trainings": [asdict(run) for run in scan.runs],
        **asdict(plan),
    }
    path = folder / "lr_find.json"
    path.write_text(f"{json.dumps(facts, indent=2)}\n", encoding="utf-8")
    yield path


def _cost(plan: LrPlan) -> str:
    """Say what a suggestion costs before anything is trained."""
    if not plan.short_steps:
        return f"a range test of {plan.scan_steps} steps"
    share = plan.short_steps / plan.run_steps
    return (
        f"a range test of {plan.scan_steps} steps, then {FEWEST_RUNS} to {MOST_RUNS} short trainings of"
        f" {plan.short_steps:,} steps, {share:.0%} of a run each (--quick omits them)"
    )


def _time_left(plan: LrPlan, scan: LrScan) -> str:
    seconds = scan.seconds / len(scan.lrs) * plan.short_steps
    least, most = (duration(math.ceil(count * seconds)) for count in (FEWEST_RUNS, MOST_RUNS))
    return f"short trainings, about {least} to {most} in all:"


def _print_run(run: ShortRun, console: Console) -> None:
    loss = "diverged" if run.loss is None else f"val loss {run.loss:.4g}"
    console.print(Text(f"  {rate_text(run.lr):>8}: {loss}"))


def _print_scan(scan: LrScan, console: Console) -> None:
    found = scan.suggestion
    unicode = console.encoding.lower().startswith("utf")
    canvas = Canvas(width=max(_NARROWEST_PLOT, min(_WIDEST_PLOT, console.width - 14)), unicode=unicode)
    line, bar = ("│", "┊") if unicode else ("|", ":")
    marks = {} if found is None else {found.low: bar, found.high: bar, found.lr: line}
    about = f"{scan.task}, {scan.optimizer}: smoothed training loss over optimizer.lr, {len(scan.lrs)} steps"
    console.print(Text(f"{about} in {scan.seconds:.1f} s"))
    # Without the first steps, where the average depends on a few batches.
    drawn = slice(SETTLED if len(scan.lrs) > 2 * SETTLED else 0, None)
    for row in log_plot(scan.lrs[drawn], scan.smoothed[drawn], marks, canvas):
        console.print(Text(row), no_wrap=True, crop=True)
    if found is not None:
        blow_up = "never" if found.blow_up is None else f"at {rate_text(found.blow_up)}"
        ends = f"{bar} {rate_text(found.low)} to {rate_text(found.high)}"
        console.print(Text(f"{line} {rate_text(found.lr)}, {found.origin}; {ends}; blow-up {blow_up}"))


def _print_suggestion(scan: LrScan, console: Console) -> None:
    found = scan.suggestion
    if found is None:
        console.print(Text("no suggestion: the loss falls at no learning rate; run `sweeps check`", "yellow"))
        return
    if scan.runs and found.trained is None:
        console.print(Text("the short trainings learn nothing, so the suggestion is that of the range test", "yellow"))
    console.print(Text.assemble((f"suggestion {rate_text(found.lr)}", "bold"), f": {found.origin}"))
    console.print(Text(WORTH[found.trained is not None], "dim"))
    console.print(Text(f"the recipe has {rate_text(scan.recipe_lr)}; to search around the suggestion:"))
    console.print(Text(f"  {found.search_line}", "bold cyan"), soft_wrap=True)
