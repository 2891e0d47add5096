"""Next steps after a sweep: the winner as a space file, a follow-up sweep, and an ablation on fresh seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from analysis.sweep.evidence import SweepEvidence
from analysis.sweep.good_region import good_region
from analysis.sweep.new_ranges import suggested_ranges
from analysis.sweep.next_steps.fresh_seeds import judging
from search_spaces import (
    AblationSpec,
    Arm,
    Metric,
    NoStopping,
    Recipe,
    Sampler,
    SpaceSpec,
    UsageError,
    Value,
    derive_seed,
    dump_space,
    flatten,
    grid_points,
    resolve,
)
from search_spaces.search.distributions import contains
from search_spaces.values import counted, identity
from sweeps.run_state import RunState
from sweeps.study.snapshot import RunSnapshot

BASELINE = "baseline"
STARTS = 3
_LONGEST = 64  # maximum number of characters in a name


def apply(evidence: SweepEvidence, top: int = 1) -> str:
    """Return the recipe of a complete run as the YAML of a space with a single run.

    Args:
        evidence: The sweep.
        top: Rank of the run: 1 for the best complete run, 2 for the next, and so on.

    Raises:
        UsageError: There is no such run.
    """
    complete = evidence.ranked
    if not complete:
        raise UsageError(f"no run of {evidence.spec.name!r} is complete, so it has no winner yet")
    if not 1 <= top <= len(complete):
        raise UsageError(f"--top: {evidence.spec.name!r} has {counted(len(complete), 'complete run')}, found {top}")
    run, spec = complete[top - 1], evidence.spec
    said = f"# Run {run.number} of {spec.name}: {spec.metric.name} {run.value:.4g} on the data used for selection.\n"
    return said + dump_space(one_recipe(spec, run.recipe, spec.name, spec.sampler.seed))


def extend(evidence: SweepEvidence, edge: bool = True, runs: int | None = None, name: str | None = None) -> SpaceSpec:
    """Return a follow-up sweep that starts from those best runs of this one that are inside its ranges.

    Args:
        evidence: The sweep.
        edge: Whether to replace the ranges by those of `suggested_ranges`; otherwise they stay the same.
        runs: Number of runs of the follow-up; same as before by default.
        name: Name of the follow-up; the old name with a suffix by default.

    Raises:
        UsageError: No run is complete, no value is at an edge, or the new ranges contradict each other.
    """
    spec, best = evidence.spec, evidence.best
    if best is None:
        raise UsageError(f"no run of {spec.name!r} is complete, so there is no best run to extend from")
    ranges = suggested_ranges(evidence) if edge else {}
    if edge and not ranges:
        raise UsageError(
            f"{spec.name}: no best value is at an edge of its range, so there is nothing to extend; --no-edge continues"
            " with the same ranges"
        )
    ending = "-edge" if edge else "-more"
    name = name or f"{spec.name[: _LONGEST - len(ending)]}{ending}"
    search = {**spec.search, **ranges}
    wanted = runs or spec.runs
    changes = {
        "name": name,
        "search": search,
        # Another seed: with the same one, random points would be at the same positions of each range as before.
        "sampler": Sampler(**{**dict(spec.sampler), "seed": derive_seed("extend", name, spec.sampler.seed) % 2**32}),
        "runs": min(wanted, 1 + grid_points(search)) if spec.sampler.traits.exhaustive else wanted,
    }
    follow_up = SpaceSpec(**{**{field: getattr(spec, field) for field in _KEPT}, **changes})
    starts = () if spec.sampler.traits.exhaustive else _starts(evidence, follow_up)
    return follow_up.model_copy(update={"starts": starts[: follow_up.runs - 1]})


_KEPT = (
    "task",
    "metric",
    "recipe",
    "one_of",
    "when",
    "constraints",
    "early_stopping",
    "resources",
    "checkpoint_every_s",
    "time_limit_s",
    "repeats",
)


def _starts(evidence: SweepEvidence, spec: SpaceSpec) -> tuple[Mapping[str, Value], ...]:
    """Return points inside the new ranges: those of the best complete runs, then those of good stopped runs."""
    region = good_region(evidence)
    good = [evidence.runs[number] for number in region.runs] if region is not None else []
    good.sort(key=lambda run: (-run.epoch, -evidence.sign * (run.value or 0.0), run.number))
    found: list[dict[str, Value]] = []
    for run in (*evidence.ranked, *good):
        point = dict(sorted(run.values.items()))
        inside = all(field in spec.search and contains(spec.search[field], value) for field, value in point.items())
        if run.number and inside and _identities(point) not in map(_identities, found):
            found.append(point)
    return tuple(found[:STARTS])


def _identities(values: Mapping[str, Value]) -> dict[str, object]:
    """Return values that can be compared, since true equals 1 in Python."""
    return {field: identity(value) for field, value in values.items()}


def confirm(evidence: SweepEvidence, top: int = 3, pairs: int = 10, name: str | None = None) -> AblationSpec:
    """Return the ablation that compares the finalists with the baseline, on fresh seeds and the test split.

    If a command or a task of the user reports nothing on `test`, the metric of the sweep is used again, and the
    question says so.

    The control is the baseline. The finalists are the best complete runs; if there are too few, the stopped runs with
    the most epochs follow, and the ablation trains them to the end for the first time.

    Args:
        evidence: The sweep.
        top: Maximum number of finalists.
        pairs: Number of seeds of each arm; an ablation never uses the seeds of a sweep.
        name: Name of the ablation; the name of the sweep with `-confirm` by default.

    Raises:
        UsageError: There is no finalist other than the baseline.
    """
    spec = evidence.spec
    known = spec.command is not None or evidence.ranked  # of a task, only a complete run reports on test
    judged = judging(spec, set(evidence.epochs["name"]) if known else ())
    weights = judged.weights
    finalists = _finalists(evidence)[: max(0, top)]
    if not finalists:
        raise UsageError(
            f"{spec.name!r} has no finalist other than its baseline with --top {top}, so there is nothing to confirm"
        )
    arms = {BASELINE: Arm(weights=weights, says="The baseline recipe")}
    arms |= {f"run {run.number}": _arm(evidence, run, weights) for run in finalists}
    trained = spec.model_copy(update={"metric": Metric(name=judged.metrics.selection, goal=spec.metric.goal)})
    parts: dict[str, Any] = {
        "question": f"Do the finalists of {spec.name} beat its baseline on fresh seeds?{judged.note}",
        "space": one_recipe(trained, spec.recipe, name or f"{spec.name[: _LONGEST - 8]}-confirm", spec.sampler.seed),
        "arms": arms,
        "pairs": pairs,
        "metrics": judged.metrics,
    }
    try:
        return AblationSpec(**parts)
    except ValidationError as error:
        raise UsageError(f"confirm {spec.name}: {error.errors()[0]['msg']}") from None


def _finalists(evidence: SweepEvidence) -> tuple[RunSnapshot, ...]:
    stopped = [run for run in evidence.runs if run.state is RunState.STOPPED and run.value is not None]
    stopped.sort(key=lambda run: (-run.epoch, -evidence.sign * (run.value or 0.0), run.number))
    baseline = _identities(flatten(evidence.spec.recipe))
    found: dict[str, RunSnapshot] = {}
    for run in (*evidence.ranked, *stopped):
        if _identities(flatten(run.recipe)) != baseline:
            found.setdefault(run.recipe_hash, run)
    return tuple(found.values())


def _arm(evidence: SweepEvidence, run: RunSnapshot, weights: str) -> Arm:
    """Return the arm with the recipe of a run, as changes of the baseline."""
    before, now = flatten(evidence.spec.recipe), flatten(run.recipe)
    changed = {field for field, value in now.items() if identity(before.get(field)) != identity(value)}
    # A new kind starts from its own defaults, so fields that both kinds have must be set again.
    sections = [field.removesuffix("kind") for field in changed if field.endswith(".kind")]
    settings = {
        field: value
        for field, value in now.items()
        if field in changed or any(field.startswith(section) for section in sections)
    }
    if _identities(flatten(resolve(evidence.spec.recipe, settings))) != _identities(now):
        raise UsageError(
            f"run {run.number} of {evidence.spec.name!r} differs from the baseline by more than its settings"
        )
    after = "" if run.state is RunState.COMPLETE else f", which was stopped after {run.recipe.budget.unit} {run.epoch}"
    return Arm(settings=settings, weights=weights, says=f"The recipe of run {run.number}{after}")


def one_recipe(spec: SpaceSpec, recipe: Recipe, name: str, seed: int) -> SpaceSpec:
    """Return a space with one recipe and the task, metric and resources of a sweep, without search or stopping."""
    return SpaceSpec(
        name=name,
        task=spec.task,
        metric=spec.metric,
        recipe=recipe,
        sampler=Sampler(kind="random", seed=seed),
        early_stopping=NoStopping(),
        runs=1,
        resources=spec.resources,
        checkpoint_every_s=spec.checkpoint_every_s,
        time_limit_s=spec.time_limit_s,
    )
