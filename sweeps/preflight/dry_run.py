"""`sweeps run --dry-run`: print the space and the estimated cost of a sweep, from one or two timed epochs."""

import os
from dataclasses import dataclass

from rich.console import Console

from search_spaces import Asha, Budget, SpaceSpec, dump_space
from sweeps.console.live_view import duration
from sweeps.plan.asha import rung_epochs
from sweeps.preflight.child import ask
from sweeps.preflight.command_start import short_start
from trainers.command.observation import Observation

_WATCHED_S = 20.0  # of the baseline of a command


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
    budget, rule = spec.recipe.budget.length, spec.early_stopping
    share, done, likely = 1.0, 0, 0.0
    for rung in (*rung_epochs(rule, spec.recipe.budget), budget):
        likely += spec.runs * share * (rung - done)
        done = rung
        share /= rule.reduction_factor if isinstance(rule, Asha) else 1
    slots = max(1, min(spec.runs, int(cores // spec.resources.cpu)))
    return Estimate(spec.runs * budget, round(likely), epoch_s, slots, checkpoint_bytes)


def unit_seconds(found: Observation, budget: Budget) -> float | None:
    """Return the seconds per step or epoch of a command that was watched; None if it was too short to tell."""
    places = [
        (one.progress, at)
        for one, at in zip(found.readings, found.times, strict=True)
        if one.progress is not None and one.unit == budget.unit
    ]
    if found.code == 0:
        return found.seconds / budget.length
    if not places or places[-1][0] <= places[0][0] or places[-1][1] <= places[0][1]:
        return None
    return (places[-1][1] - places[0][1]) / (places[-1][0] - places[0][0])


def command_rows(spec: SpaceSpec, found: Observation) -> list[tuple[str, str]]:
    """Return the estimated cost of a sweep of a command, by name of the row.

    Args:
        spec: Space with the command.
        found: The first seconds of its baseline.
    """
    budget = spec.recipe.budget
    how = "ended after" if found.code is not None else "was stopped after"
    metrics = ", ".join(dict.fromkeys(name for one in found.readings for name in one.values)) or "no metric"
    rows = [("runs", f"{spec.runs} of up to {budget.text}"), ("start", f"the baseline {how} {found.seconds:.1f} s")]
    rows.append(("", f"it reported {metrics}" + (f", first after {found.times[0]:.1f} s" if found.times else "")))
    seconds = unit_seconds(found, budget)
    if seconds is None:
        rows.append(("time", f"not known: too few {budget.unit}s were reported in {found.seconds:.0f} s"))
    else:
        cost = estimate(spec, seconds, 0, os.cpu_count() or 1)
        most = f"at most {cost.most_epochs} {budget.unit}s, {duration(cost.seconds(cost.most_epochs))}"
        likely = f"{cost.likely_epochs} and {duration(cost.seconds(cost.likely_epochs))}"
        rows.append(("time", f"{seconds:.3g} s per {budget.unit}; {most}; {likely} at the least, with early stopping"))
        rows.append(("", f"{cost.slots} at a time on this machine; other arguments may take longer"))
        rows += _repeats(spec, cost)
    return [*rows, ("next", "the same command without --dry-run")]


def _repeats(spec: SpaceSpec, cost: Estimate) -> list[tuple[str, str]]:
    """Return the cost of the repeats, which train the best recipes and the baseline to the end."""
    if spec.repeats is None:
        return []
    budget, runs = spec.recipe.budget, (1 + spec.repeats.top) * spec.repeats.seeds
    epochs = runs * budget.length
    what = f"{runs} runs more: the best {spec.repeats.top} and the baseline on {spec.repeats.seeds} seeds each"
    return [("repeats", f"{what}, {budget.counted(epochs)}, {duration(cost.seconds(epochs))}")]


def dry_run(spec: SpaceSpec, console: Console) -> None:
    """Print the space as it would run and its estimated cost; record nothing.

    Raises:
        UsageError: The task cannot be trained.
    """
    console.print(dump_space(spec), soft_wrap=True)
    if spec.command is not None:
        for name, text in command_rows(spec, short_start(spec, spec.recipe, _WATCHED_S, lambda readings: False)):
            console.print(f"{name:<8}{text}", soft_wrap=True)
        return
    [answer] = ask("timing", spec)
    cost = estimate(spec, answer["seconds"], answer["bytes"], os.cpu_count() or 1)
    budget = spec.recipe.budget
    most = f"at most {budget.counted(cost.most_epochs)}, {duration(cost.seconds(cost.most_epochs))}"
    likely = duration(cost.seconds(cost.likely_epochs))
    rows = [
        (
            "runs",
            f"{spec.runs} of up to {budget.text}, {cost.epoch_s:.3g} s per {budget.unit}, timed on this machine",
        ),
        ("time", f"{most}; {cost.likely_epochs} and {likely} if each rung promotes only its share, the least possible"),
        ("", f"{cost.slots} at a time on this machine, without the start of Ray; other recipes may take longer"),
        ("disk", f"{cost.checkpoint_bytes / 2**20:.2g} MiB per checkpoint: one per running run, and the best one"),
        *_repeats(spec, cost),
        ("next", "the same command without --dry-run"),
    ]
    for name, text in rows:
        console.print(f"{name:<8}{text}", soft_wrap=True)
