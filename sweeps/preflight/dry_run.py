"""`sweeps run --dry-run`: what a sweep would do and cost, from one or two timed epochs."""

from __future__ import annotations

import os
from dataclasses import dataclass

from rich.console import Console

from search_spaces import Asha, SpaceSpec, dump_space
from sweeps.console.live_view import duration
from sweeps.plan.asha import rung_epochs
from sweeps.preflight.child import ask


@dataclass(frozen=True)
class Estimate:
    """What a sweep would cost.

    Attributes:
        most_epochs: If every run trained its whole budget.
        likely_epochs: If a rung lets no more than its share of the runs go on; runs that come early to it, before
            there is anything to compare them with, make it more.
        epoch_s: Seconds of an epoch of the base recipe.
        slots: Runs at the same time on this machine.
        checkpoint_bytes: Of one checkpoint of the base recipe; 0 where the training has none.
    """

    most_epochs: int
    likely_epochs: int
    epoch_s: float
    slots: int
    checkpoint_bytes: int

    def seconds(self, epochs: int) -> float:
        """Wall time of so many epochs here, start-up left out."""
        return epochs * self.epoch_s / self.slots


def estimate(spec: SpaceSpec, epoch_s: float, checkpoint_bytes: int, cores: int) -> Estimate:
    """Return the cost of a sweep whose runs all take as long as its base recipe.

    Args:
        spec: The space.
        epoch_s: Seconds of an epoch.
        checkpoint_bytes: Of one checkpoint.
        cores: Of this machine.
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
    """Print the space as it would run and what that would cost; nothing is recorded.

    Raises:
        UsageError: The task cannot be trained.
    """
    console.print(dump_space(spec), highlight=False, markup=False, soft_wrap=True)
    [answer] = ask("timing", spec)
    cost = estimate(spec, answer["seconds"], answer["bytes"], os.cpu_count() or 1)
    budget = spec.recipe.budget.epochs
    most = f"at most {cost.most_epochs} epochs, {duration(cost.seconds(cost.most_epochs))}"
    likely = duration(cost.seconds(cost.likely_epochs))
    rows = [
        ("runs", f"{spec.runs} of up to {budget} epochs, {cost.epoch_s:.3g} s an epoch as timed here"),
        ("time", f"{most}; {cost.likely_epochs} and {likely} if each rung lets its share go on, which is the least"),
        ("", f"{cost.slots} at a time on this machine, without the start of Ray; other recipes take other times"),
        ("disk", f"{cost.checkpoint_bytes / 2**20:.2g} MiB a checkpoint, of each run in work and of the best one"),
        ("next", "the same command without --dry-run"),
    ]
    for name, text in rows:
        console.print(f"{name:<8}{text}", highlight=False, markup=False, soft_wrap=True)
