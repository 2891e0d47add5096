"""`sweeps check` and `sweeps lr-find`: start the child process, and print its findings."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from search_spaces import SpaceSpec
from sweeps import exit_codes
from sweeps.console.terminal_plot import Canvas, log_plot
from sweeps.preflight.child import ask
from trainers.check import Check, Outcome
from trainers.sanity.lr_curve import SETTLED, LrScan, Suggestion, rate_text

_COLOURS = {Outcome.PASS: "green", Outcome.WARN: "yellow", Outcome.FAIL: "bold red"}
_WIDEST_PLOT, _NARROWEST_PLOT = 90, 30


def check(spec: SpaceSpec, console: Console) -> int:
    """Run the sanity ladder on a space's task with its base recipe, and print each check when it ends.

    Args:
        spec: Space with the task and the base recipe.
        console: Console to print to.

    Returns:
        Exit code: 1 if a check failed.

    Raises:
        UsageError: The task cannot be trained, or is the user's own training loop.
    """
    answers = ask("check", spec)
    console.print(Text.assemble("checking ", (spec.name, "bold"), f": {spec.task}, {spec.recipe.optimizer.kind}"))
    found = []
    for answer in answers:
        one = Check(**{**answer, "outcome": Outcome(answer["outcome"])})
        found.append(one)
        _print_check(one, console)
    counts = [f"{sum(one.outcome is outcome for one in found)} {outcome.value}" for outcome in Outcome]
    console.print(Text(", ".join(counts), "dim"))
    return exit_codes.FAILED if any(one.outcome is Outcome.FAIL for one in found) else exit_codes.DONE


def _print_check(one: Check, console: Console) -> None:
    head = Text.assemble((one.outcome.value, _COLOURS[one.outcome]), "  ", (f"{one.name}: ", "bold"), one.evidence)
    head.no_wrap = False
    console.print(head)
    if one.next_step:
        console.print(Padding(Text(f"-> {one.next_step}", "italic"), (0, 0, 0, 6)))


def lr_find(spec: SpaceSpec, console: Console, folder: Path) -> tuple[int, LrScan]:
    """Scan the learning rates of a space's base recipe; print the curve and a line to paste, write `lr_find.csv`.

    Args:
        spec: Space with the task and the base recipe.
        console: Console to print to.
        folder: Folder of the file; created if missing.

    Returns:
        Exit code, 1 if there is no suggestion, and the scan.

    Raises:
        UsageError: As for `check`.
    """
    [answer] = ask("lr_find", spec)
    scan = _read_scan(answer)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "lr_find.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["lr", "loss", "smoothed"])
        writer.writerows(zip(scan.lrs, scan.losses, scan.smoothed, strict=True))
    _print_scan(scan, console)
    console.print(Text(f"written: {path}", "dim"))
    return exit_codes.DONE if scan.suggestion else exit_codes.FAILED, scan


def _read_scan(answer: Mapping[str, Any]) -> LrScan:
    suggestion = answer["suggestion"]
    lists = {name: tuple(answer[name]) for name in ("lrs", "losses", "smoothed")}
    return LrScan(**{**answer, **lists, "suggestion": None if suggestion is None else Suggestion(**suggestion)})


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
    if found is None:
        console.print(Text("no suggestion: the loss falls at no learning rate; run `sweeps check`", "yellow"))
        return
    ends = f"{bar} {rate_text(found.low)} to {rate_text(found.high)}, the range to search"
    blow_up = "never" if found.blow_up is None else f"at {rate_text(found.blow_up)}"
    console.print(
        Text.assemble((f"{line} {rate_text(found.lr)}, the steepest descent", "bold"), f"; {ends}; blow-up {blow_up}")
    )
    console.print(Text(f"the recipe has {rate_text(scan.recipe_lr)}; to search around the suggestion:"))
    console.print(Text(f"  {found.search_line}", "bold cyan"), soft_wrap=True)
