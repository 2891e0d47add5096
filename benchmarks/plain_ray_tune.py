"""The finetune space as a plain Ray Tune script, for comparison with `sweeps run finetune`.

    python benchmarks/plain_ray_tune.py defaults    # as in Ray's tutorial
    python benchmarks/plain_ray_tune.py tuned       # class Trainable, reused actors, no pending queue of one

The training is this project's own, so that only the orchestration differs. The last line of the output is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import sys
import tempfile
from collections import Counter
from pathlib import Path

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

from optuna.storages import RDBStorage
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

TASK, RUNS, EPOCHS, SEED = "mnist1d_transfer", 32, 27, 0
SPACE = {
    "lr": tune.loguniform(1e-5, 1e-1),
    "weight_decay": tune.loguniform(1e-4, 1),
    "beta2": tune.choice([0.95, 0.98, 0.999]),
    "warmup": tune.uniform(0.0, 0.3),
    "dropout": tune.uniform(0.0, 0.5),
}


def open_run(config: dict):
    """Return the training of one point of the space; torch and the task are loaded here, in the worker."""
    import torch

    from search_spaces import Recipe
    from trainers.factory import open_training

    torch.set_num_threads(1)
    recipe = {
        "optimizer": {
            "kind": "adamw",
            "lr": config["lr"],
            "betas": [0.9, config["beta2"]],
            "weight_decay": config["weight_decay"],
            "decay": "matrices",
        },
        "schedule": {"kind": "cosine", "warmup": config["warmup"]},
        "regularization": {"dropout": config["dropout"], "label_smoothing": 0.0, "clip_norm": 1.0},
        "budget": {"epochs": EPOCHS, "batch_size": 64},
    }
    return open_training(TASK, Recipe.model_validate(recipe), SEED)


def train(config: dict) -> None:
    """Train as a function, as in the tutorial."""
    training = open_run(config)
    while not training.finished:
        tune.report({"accuracy": training.run_epoch().metrics["val/accuracy"]})


class Train(tune.Trainable):
    """The same as a class, so that actors can be reused."""

    def setup(self, config: dict) -> None:
        self.training = open_run(config)

    def reset_config(self, new_config: dict) -> bool:
        self.training = open_run(new_config)
        return True

    def step(self) -> dict:
        report = self.training.run_epoch()
        return {"accuracy": report.metrics["val/accuracy"], "done": self.training.finished}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variant", choices=("defaults", "tuned"))
    variant = parser.parse_args().variant
    with tempfile.TemporaryDirectory(prefix="plain-ray-tune-") as folder:
        database = Path(folder) / "optuna.db"
        tuned = {"reuse_actors": True, "max_concurrent_trials": os.cpu_count()} if variant == "tuned" else {}
        tuner = tune.Tuner(
            train if variant == "defaults" else Train,
            param_space=SPACE,
            tune_config=tune.TuneConfig(
                metric="accuracy",
                mode="max",
                search_alg=OptunaSearch(storage=RDBStorage(f"sqlite:///{database}"), study_name="plain"),
                scheduler=ASHAScheduler(max_t=EPOCHS, grace_period=1, reduction_factor=3),
                num_samples=RUNS,
                **tuned,
            ),
            run_config=tune.RunConfig(name="plain", storage_path=folder, **checkpoints(variant)),
        )
        results = tuner.fit()
        if results.num_errors:
            sys.exit(f"{results.num_errors} trials failed: {results.errors[0]}")
        epochs = [result.metrics["training_iteration"] for result in results]
        sys.stdout.write("\n" + json.dumps(recorded(database, epochs)) + "\n")


def checkpoints(variant: str) -> dict:
    """Return options that turn off checkpoints: by default, a class trainable must save one when it ends."""
    if variant == "defaults":
        return {}
    return {"checkpoint_config": tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False)}


def recorded(database: Path, epochs: list[int]) -> dict:
    """Return what Optuna's tables contain about the runs that ended before their budget."""
    connection = sqlite3.connect(database)
    states = [state for (state,) in connection.execute("SELECT state FROM trials ORDER BY number")]
    [[intermediate]] = connection.execute("SELECT count(*) FROM trial_intermediate_values")
    connection.close()
    stopped = sum(epoch < EPOCHS for epoch in epochs)
    counts = Counter(states)
    return {
        "runs": len(epochs),
        "epochs": sum(epochs),
        "stopped": stopped,
        # `runs - stopped` were trained to the end; every further COMPLETE trial was stopped early.
        "stopped_as_complete": max(0, counts["COMPLETE"] - (len(epochs) - stopped)),
        "stopped_as_pruned": counts["PRUNED"],
        "left_running": counts["RUNNING"],
        "intermediate_values": intermediate,
    }


if __name__ == "__main__":
    main()
