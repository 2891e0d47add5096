"""Compare the published table of MNIST-1D with the shipped recipes: run 0 of four spaces, fully trained.

Nothing is selected by test accuracy, which is read once, at the end of every training.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from search_spaces import derive_seed, load_space
from trainers.factory import open_training

# Test accuracy in percent: Greydanus and Kobak, "Scaling Down Deep Learning with MNIST-1D", 2024.
PUBLISHED = {"mnist1d_logistic": 32, "mnist1d_mlp": 68, "mnist1d_cnn": 94, "rnn": 91}
MARGIN = 3.0


def accuracies(space: str, task: str, seeds: int) -> list[float]:
    """Train run 0 of a space once per seed and return the test accuracies in percent."""
    recipe = load_space(space).recipe
    found = []
    for seed in range(seeds):
        training = open_training(task, recipe, derive_seed("mnist1d_table", seed))
        while not training.finished:
            report = training.run_epoch()
        found.append(100 * report.metrics["test/accuracy"])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--task", default="mnist1d", help="reference of the task; mnist1d?val=100 trains on 3,900 of the 4,000 signals"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"task {arguments.task}, {arguments.seeds} seeds")
    print("| recipe | published | here, mean | lowest to highest | within 3 points | s per training |")
    print("|---|--:|--:|--:|---|--:|")
    for space, published in PUBLISHED.items():
        started = time.perf_counter()
        found = accuracies(space, arguments.task, arguments.seeds)
        seconds = (time.perf_counter() - started) / len(found)
        mean = np.mean(found)
        verdict = "yes" if abs(mean - published) <= MARGIN else "no"
        row = f"| `{space}` | {published} | {mean:.1f} | {min(found):.1f} to {max(found):.1f} | {verdict} |"
        print(f"{row} {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
