"""Compare the suggestion of `sweeps lr-find` with a grid of learning rates: mnist1d, fully trained at 24 rates.

The scan uses training batches only; the grid is scored on `val`. Factors are the larger rate divided by the smaller.
"""

from __future__ import annotations

import argparse
import math
import time

import numpy as np
import torch

from search_spaces import SGD, AdamW, Optimizer, Recipe, derive_seed
from trainers.loop.training import Training
from trainers.sanity.lr_curve import rate_text
from trainers.sanity.lr_finder import find_lr
from trainers.task_lookup import load_task

LOW, HIGH = 1e-5, 10.0
TOLERANCE = 5.0


def recipe(optimizer: Optimizer, lr: float, epochs: int) -> Recipe:
    base = Recipe(optimizer=optimizer.model_copy(update={"lr": lr}))
    return base.model_copy(update={"budget": base.budget.model_copy(update={"epochs": epochs})})


def score(one: Recipe, seed: int) -> tuple[float, float]:
    """Train to the end and return the final accuracy and NLL on `val`; the worst possible values if it diverged."""
    training = Training(one, load_task("mnist1d"), seed)
    while not training.finished:
        report = training.run_epoch()
        if not report.finite:
            return 0.0, math.inf
    return report.metrics["val/accuracy"], report.metrics["val/nll"]


def compare(optimizer: Optimizer, points: int, seeds: int, epochs: int) -> list[float]:
    """Print the grid and the scans of one optimizer; return the factors to the rate with the best accuracy."""
    grid = [float(rate) for rate in np.geomspace(LOW, HIGH, points)]
    began = time.perf_counter()
    runs = [derive_seed("lr_finder_vs_grid", seed) for seed in range(seeds)]
    means = [np.mean([score(recipe(optimizer, rate, epochs), seed) for seed in runs], axis=0) for rate in grid]
    print(f"\n{optimizer.kind}: {points} rates x {seeds} seeds in {time.perf_counter() - began:.0f} s")
    print(
        "  rate, val/accuracy, val/nll: "
        + "; ".join(f"{rate_text(r)} {a:.3f} {n:.2f}" for r, (a, n) in zip(grid, means, strict=True))
    )
    best = grid[int(np.argmax([accuracy for accuracy, _ in means]))], grid[int(np.argmin([nll for _, nll in means]))]
    factors = []
    for number, seed in enumerate(runs):
        scan = find_lr(load_task("mnist1d"), recipe(optimizer, 1e-3, epochs), seed)
        found = scan.suggestion
        if found is None:
            print(f"| `{optimizer.kind}` | {number} | none |")
            factors.append(math.inf)
            continue
        ratios = [max(rate / found.lr, found.lr / rate) for rate in best]
        cells = [f"{rate_text(rate)} | {ratio:.1f}" for rate, ratio in zip(best, ratios, strict=True)]
        inside = "yes" if all(found.low <= rate <= found.high for rate in best) else "no"
        ends = f"{rate_text(found.low)} to {rate_text(found.high)}"
        row = f"| `{optimizer.kind}` | {number} | {rate_text(found.lr)} | {' | '.join(cells)} | {ends} | {inside} |"
        print(f"{row} {scan.seconds:.1f} |", flush=True)
        factors.append(ratios[0])
    return factors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=24)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=27)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("| optimizer | scan | lr-find | best accuracy at | factor | best NLL at | factor | range | has both | s |")
    print("|---|--:|--:|--:|--:|--:|--:|---|---|--:|")
    kinds = (AdamW(), SGD())
    factors = [f for kind in kinds for f in compare(kind, arguments.points, arguments.seeds, arguments.epochs)]
    close = sum(factor <= TOLERANCE for factor in factors)
    rule = f"within a factor of {TOLERANCE:g} of the best accuracy's rate"
    print(f"\n{rule}: {close} of {len(factors)} scans; worst {max(factors):.1f}")


if __name__ == "__main__":
    main()
