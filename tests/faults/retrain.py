"""Recorded runs are trained again without interruption; every number must be the same."""

from __future__ import annotations

import sys

from command import LOOPS
from snapshot import snapshot
from verdicts import Verdict


def retrained(url: str, name: str, count: int) -> Verdict:
    """Train the most interrupted runs again and compare every recorded number."""
    import torch

    from search_spaces import Recipe
    from trainers.factory import open_training

    if str(LOOPS) not in sys.path:
        sys.path.append(str(LOOPS))
    torch.set_num_threads(1)
    verdict = Verdict("runs that resumed after a fault have the same numbers as an uninterrupted training")
    rows = snapshot(url)
    [sweep] = [row for row in rows["sweep"].values() if row["name"] == name]
    task = next(line.split(":", 1)[1] for line in sweep["spec_yaml"].splitlines() if line.startswith("task:")).strip(
        ' "'
    )
    runs = [row for row in rows["run"].values() if row["sweep_id"] == sweep["id"] and row["state"] != "FAILED"]
    epochs = 0
    for run in sorted(runs, key=lambda row: (-row["attempts"], -row["epoch"]))[:count]:
        metrics = {key[1:]: row["value"] for key, row in rows["epoch_metric"].items() if key[0] == run["id"]}
        training = open_training(task, Recipe.model_validate_json(run["recipe"]), run["seed"])
        for _ in range(run["epoch"]):
            report = training.run_epoch()
            epochs += 1
            for metric, value in report.metrics.items():
                kept = metrics.get((report.epoch, metric))
                if "second" not in metric and kept != value and not (kept is None and value != value):
                    verdict.breaches.append(
                        f"run {run['number']} epoch {report.epoch} {metric}: recorded {kept}, retrained {value}"
                    )
        verdict.note += f"run {run['number']}: {run['attempts']} attempts, "
    verdict.note += f"{epochs} epochs compared"
    if epochs == 0:
        verdict.breaches.append("there was nothing to compare")
    return verdict
