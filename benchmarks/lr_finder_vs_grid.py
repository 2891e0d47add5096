"""Compare the suggestion of `sweeps lr-find` with a grid of learning rates, on the tasks of `lr_find_tasks.py`.

    .venv/bin/python -m benchmarks.lr_finder_vs_grid

Each task is trained in full at rates half a decade apart, and at the suggestions: the steepest descent of the range
test (the suggestion of earlier versions), that of `lr-find --quick`, and that of `lr-find`. Factors are the larger rate
divided by the smaller, regrets the accuracy and NLL at a suggestion compared with the best of the grid. The margins
were chosen on the calibration tasks; those of the report were not used for any choice. Prints Markdown.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np
import torch

from benchmarks.lr_find_grid import Score, train_grid
from benchmarks.lr_find_tasks import CALIBRATION, REPORT, Case
from search_spaces import derive_seed
from trainers.sanity.lr_curve import LrScan, rate_text
from trainers.sanity.lr_finder import find_lr

TOLERANCE = 5.0
MARGINS = (1.0, 2.0, 3.0, 5.0, 10.0)
METHODS = ("steepest", "quick", "lr-find")
"""The suggestion of earlier versions, that of `--quick`, and that of the command."""


class Row(NamedTuple):
    """Grid and suggestions of one task.

    Attributes:
        grid: Rate -> score of the whole training.
        runs: Number of short trainings.
        found: Method -> its suggestion and the score of the whole training there; nothing without a suggestion.
            Also margin -> `steepest` and `trained` divided by it, as ``("trained", 3.0)``.
    """

    grid: Mapping[float, Score]
    runs: int
    found: Mapping[str | tuple[str, float], tuple[float, Score]]

    @property
    def best(self) -> tuple[float, float]:
        """Rate with the best accuracy, the lowest of equal ones, and rate with the best NLL."""
        by_accuracy = max(self.grid, key=lambda rate: (self.grid[rate].accuracy, -rate))
        return by_accuracy, min(self.grid, key=lambda rate: self.grid[rate].nll)


def grid_rates(case: Case) -> list[float]:
    """Return rates half a decade apart: six decades around the optimizer's typical ones."""
    lowest = -7 if case.recipe.optimizer.kind in ("sgd", "adagrad") else -9
    return [float(f"{10 ** (exponent / 2):.2e}") for exponent in range(lowest, lowest + 10)]


def measure(case: Case, margins: Sequence[float]) -> Row:
    """Find a learning rate, then train at it, with other margins, and at the rates of the grid."""
    seed = derive_seed("inspect", 0)
    _, scan, *rest = (one for one in find_lr(case.task, case.recipe, seed))
    if not isinstance(scan, LrScan):
        raise TypeError(f"expected a scan, found {scan}")
    last = next((one for one in reversed(rest) if isinstance(one, LrScan)), scan)
    quick, final = scan.suggestion, last.suggestion
    rates, suggested = grid_rates(case), dict[str | tuple[str, float], float]()
    if quick is not None and quick.steepest is not None:
        suggested |= {"steepest": quick.steepest, "quick": quick.lr}
        suggested |= {("steepest", margin): quick.steepest / margin for margin in margins}
    if final is not None:
        trained = final.trained or final.lr * final.margin
        suggested |= {"lr-find": final.lr} | {("trained", margin): trained / margin for margin in margins}
    every = [*rates, *suggested.values()]
    scores = train_grid(case, every, case.recipe.budget.length, derive_seed("grid", 0))
    found = zip(suggested.values(), scores[len(rates) :], strict=True)
    return Row(dict(zip(rates, scores, strict=False)), len(last.runs), dict(zip(suggested, found, strict=True)))


def _factor(one: float, other: float) -> float:
    return max(one / other, other / one)


def _worth(method: str | tuple[str, float], rows: Sequence[Row]) -> str:
    """Return cells: suggestions near the best rate by accuracy and by NLL, then the mean and the worst regrets."""
    near, lost = np.zeros(2, dtype=int), []
    for row in rows:
        if method in row.found:
            (rate, score), (by_accuracy, by_nll) = row.found[method], row.best
            near += [_factor(rate, best) <= TOLERANCE for best in (by_accuracy, by_nll)]
            lost.append((row.grid[by_accuracy].accuracy - score.accuracy, score.nll - row.grid[by_nll].nll))
    points, nats = zip(*lost, strict=True)
    return f"{near[0]} | {near[1]} | {np.mean(points):.3f}, {max(points):.3f} | {np.median(nats):.3f}, {max(nats):.3f}"


_WORTH = "near the best by accuracy | by NLL | accuracy lost: mean, worst | NLL added: median, worst |"


def print_margins(rows: Sequence[Row]) -> None:
    """Print what suggestions with each margin are worth."""
    print(f"\n| rate | margin | {_WORTH}\n|---|--:|--:|--:|--:|--:|")
    for start in ("steepest", "trained"):
        for margin in MARGINS:
            print(f"| {start} | {margin:g} | {_worth((start, margin), rows)} |")


def print_rows(rows: Mapping[str, Row]) -> None:
    """Print the suggestions of each task, and their factors and regrets."""
    print("\n| task | best accuracy at | best NLL at | " + " | ".join(METHODS) + " | short trainings |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for name, row in rows.items():
        by_accuracy, by_nll = row.best
        cells = [f"{row.grid[by_accuracy].accuracy:.3f} at {rate_text(by_accuracy)}"]
        cells.append(f"{row.grid[by_nll].nll:.3f} at {rate_text(by_nll)}")
        for method in METHODS:
            rate, score = row.found.get(method, (None, None))
            cells.append("none" if score is None else f"{rate_text(rate or 0)}: {score.accuracy:.3f}, {score.nll:.3f}")
        print(f"| {name} | {' | '.join(cells)} | {row.runs} |")
    print(f"\n| suggestion | {_WORTH}\n|---|--:|--:|--:|--:|")
    for method in METHODS:
        print(f"| {method} | {_worth(method, list(rows.values()))} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=2, help="Number of tasks that are trained at a time.")
    arguments = parser.parse_args()
    with ProcessPoolExecutor(arguments.processes, get_context("spawn"), initializer=_one_thread) as pool:
        found = {
            title: {
                name: pool.submit(measure, case, MARGINS if title == "calibration" else ()) for name, case in of.items()
            }
            for title, of in (("report", REPORT), ("calibration", CALIBRATION))
        }
        for title, futures in found.items():
            rows = {name: future.result() for name, future in futures.items()}
            print(f"\n### {title}: {len(rows)} tasks", flush=True)
            print_rows(rows)
            if title == "calibration":
                print_margins(list(rows.values()))


def _one_thread() -> None:
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", "There is a performance drop")  # attention of several models at once


if __name__ == "__main__":
    main()
