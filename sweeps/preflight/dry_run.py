"""`sweeps run --dry-run`: print the space and the estimated cost of a sweep, from one or two timed epochs."""

import os
from dataclasses import dataclass

from rich.console import Console

from search_spaces import Asha, SpaceSpec, dump_space
from search_spaces.values import counted
from sweeps.console.live_view import duration
from sweeps.plan.asha import rung_epochs
from sweeps.preflight.child import ask


@dataclass(frozen=True)
class Estimate:
    """The estimated cost of a sweep.

    Attributes:
        most_epochs: Number of epochs if every run trains its whole budget.
        likely_epochs: Number of epochs if each rung promotes only its share of the runs. The real number is higher:
            runs that reach a rung early are promoted, because there is nothing to compare them with.
        epoch_s: Seconds per epoch of the base recipe.
        slots: Number of runs at the same time on this machine.
        checkpoint_bytes: Size of one checkpoint of the base recipe; 0 if the training has none.
    """

    most_epochs: int
    likely_epochs: int
    epoch_s: float
    slots: int
    checkpoint_bytes: int

    def seconds(self, epochs: int) -> float:
        """Return the wall time of this number of epochs on this machine, without start-up."""
        return epochs * self.epoch_s / self.slots


def estimate(spec: SpaceSpec, epoch_s: float, checkpoint_bytes: int, cores: int) -> Estimate:
    """Return the cost of a sweep, assuming that every run takes as long as its base recipe.

    Args:
        spec: Space of the sweep.
        epoch_s: Seconds per epoch.
        checkpoint_bytes: Size of one checkpoint.
        cores: Number of CPU cores of this machine.
    """
    budget, rule = spec.recipe.budget.epochs, spec.early_stopping
    share, done, likely = 1.0, 0, 0.0
    for rung in (*rung_epochs(rule, budget), budget):
        likely += spec.runs * share * (rung - done)
        done = rung
        share /= rule.reduction_factor if isinstance(rule, Asha) else 1
    slots = max(1, min(spec.runs, int(cores // spec.resources.cpu)))
    return Estimate(spec.runs * budget, round(likely), epoch_s, slots, checkpoint_bytes)


def dry_run(spec: SpaceSpec, console: Console) -> None:
    """Print the space as it would run and its estimated cost; record nothing.

    Raises:
        UsageError: The task cannot be trained.
    """
    console.print(dump_space(spec), soft_wrap=True)
    [answer] = ask("timing", spec)
    cost = estimate(spec, answer["seconds"], answer["bytes"], os.cpu_count() or 1)
    budget = counted(spec.recipe.budget.epochs, "epoch")
    most = f"at most {counted(cost.most_epochs, 'epoch')}, {duration(cost.seconds(cost.most_epochs))}"
    likely = duration(cost.seconds(cost.likely_epochs))
    rows = [
        (
            "runs",
            f"{spec.runs} of up to {budget}, {cost.epoch_s:.3g} s per epoch, timed on this machine",
        ),
        ("time", f"{most}; {cost.likely_epochs} and {likely} if each rung promotes only its share, the least possible"),
        ("", f"{cost.slots} at a time on this machine, without the start of Ray; other recipes may take longer"),
        ("disk", f"{cost.checkpoint_bytes / 2**20:.2g} MiB per checkpoint: one per running run, and the best one"),
        ("next", "the same command without --dry-run"),
    ]
    for name, text in rows:
        console.print(f"{name:<8}{text}", soft_wrap=True)
