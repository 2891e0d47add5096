"""What to run after a sweep: its winner as a file, a sweep beyond its edges, and a test on fresh seeds."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from analysis.sweep.evidence import SweepEvidence
from analysis.sweep.good_region import good_region
from analysis.sweep.new_ranges import suggested_ranges
from search_spaces import (
    AblationSpec,
    Arm,
    Metric,
    Metrics,
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
from sweeps.run_state import RunState
from sweeps.study.snapshot import RunSnapshot

BASELINE = "baseline"
STARTS = 3
_LONGEST = 64  # characters of a name


def apply(evidence: SweepEvidence, top: int = 1) -> str:
    """Return the YAML of the winner's recipe as a space without a search: one run of it.

    Args:
        evidence: The sweep.
        top: 1 for the best complete run, 2 for the next, and so on.

    Raises:
        UsageError: No such run.
    """
    complete = evidence.ranked
    if not complete:
        raise UsageError(f"no run of {evidence.spec.name!r} is complete, so it has no winner yet")
    if not 1 <= top <= len(complete):
        raise UsageError(f"--top: {evidence.spec.name!r} has {len(complete)} complete runs, found {top}")
    run, spec = complete[top - 1], evidence.spec
    said = f"# Run {run.number} of {spec.name}: {spec.metric.name} {run.value:.4g} on the data that it was chosen by.\n"
    return said + dump_space(one_recipe(spec, run.recipe, spec.name, spec.sampler.seed))


def extend(evidence: SweepEvidence, edge: bool = True, runs: int | None = None, name: str | None = None) -> SpaceSpec:
    """Return a follow-up sweep that starts from the best runs of this one, as far as its ranges hold them.

    Args:
        evidence: The sweep.
        edge: Search the ranges of `suggested_ranges`; otherwise the same ranges again.
        runs: Number of runs of the follow-up; as many as before by default.
        name: Name of the follow-up; the old name with a suffix by default.

    Raises:
        UsageError: No run is complete, nothing is at an edge, or the new ranges do not fit each other.
    """
    spec, best = evidence.spec, evidence.best
    if best is None:
        raise UsageError(f"no run of {spec.name!r} is complete, so there is no point to search from")
    ranges = suggested_ranges(evidence) if edge else {}
    if edge and not ranges:
        raise UsageError(
            f"{spec.name}: no best value at an edge of its range, so there is nothing to extend; --no-edge continues"
            " with the same ranges"
        )
    ending = "-edge" if edge else "-more"
    name = name or f"{spec.name[: _LONGEST - len(ending)]}{ending}"
    search = {**spec.search, **ranges}
    wanted = runs or spec.runs
    changes = {
        "name": name,
        "search": search,
        # Other points than the first sweep's, whose random ones would lie at the same shares of each range.
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
)


def _starts(evidence: SweepEvidence, spec: SpaceSpec) -> tuple[Mapping[str, Value], ...]:
    """Points of the best complete runs, then of the good ones that were stopped, that the new ranges hold."""
    region = good_region(evidence)
    good = [evidence.runs[number] for number in region.runs] if region is not None else []
    good.sort(key=lambda run: (-run.epoch, -evidence.sign * (run.value or 0.0), run.number))
    found: list[Mapping[str, Value]] = []
    for run in (*evidence.ranked, *good):
        point = dict(sorted(run.values.items()))
        inside = all(field in spec.search and contains(spec.search[field], value) for field, value in point.items())
        if run.number and inside and point not in found:
            found.append(point)
    return tuple(found[:STARTS])


def confirm(evidence: SweepEvidence, top: int = 3, pairs: int = 10) -> AblationSpec:
    """Return the ablation that compares the finalists with the baseline, on fresh seeds and the test split.

    Its control is the baseline. The finalists are the best complete runs; where there are too few, the stopped runs
    that came furthest follow, which this trains to the end for the first time.

    Args:
        evidence: The sweep.
        top: Finalists, at most.
        pairs: Seeds of each arm: an ablation's are never those of a sweep.

    Raises:
        UsageError: There is nothing but the baseline to confirm.
    """
    spec = evidence.spec
    metric, weights = metric_and_weights(spec)
    finalists = _finalists(evidence)[: max(0, top)]
    if not finalists:
        raise UsageError(
            f"{spec.name!r} has no finalist besides its baseline, so there is nothing to confirm; --top {top}"
        )
    arms = {BASELINE: Arm(weights=weights, says="The baseline recipe")}
    arms |= {f"run {run.number}": _arm(evidence, run, weights) for run in finalists}
    trained = spec.model_copy(update={"metric": Metric(name=f"val/{metric}", goal=spec.metric.goal)})
    parts: dict[str, Any] = {
        "question": f"Do the finalists of {spec.name} beat its baseline on fresh seeds?",
        "space": one_recipe(trained, spec.recipe, f"{spec.name[: _LONGEST - 8]}-confirm", spec.sampler.seed),
        "arms": arms,
        "pairs": pairs,
        "metrics": Metrics(primary=f"test/{metric}", goal=spec.metric.goal),
    }
    try:
        return AblationSpec(**parts)
    except ValidationError as error:
        raise UsageError(f"confirm {spec.name}: {error.errors()[0]['msg']}") from None


def metric_and_weights(spec: SpaceSpec) -> tuple[str, str]:
    """Return the metric of a sweep without its split, and the weights that it evaluates."""
    metric, _, weights = spec.metric.name.partition("/")[2].partition("@")
    return metric, weights or "raw"


def _finalists(evidence: SweepEvidence) -> tuple[RunSnapshot, ...]:
    stopped = [run for run in evidence.runs if run.state is RunState.STOPPED and run.value is not None]
    stopped.sort(key=lambda run: (-run.epoch, -evidence.sign * (run.value or 0.0), run.number))
    baseline = flatten(evidence.spec.recipe)
    found: dict[str, RunSnapshot] = {}
    for run in (*evidence.ranked, *stopped):
        if flatten(run.recipe) != baseline:
            found.setdefault(run.recipe_hash, run)
    return tuple(found.values())


def _arm(evidence: SweepEvidence, run: RunSnapshot, weights: str) -> Arm:
    """Return the differences of a run's recipe from the baseline."""
    before, now = flatten(evidence.spec.recipe), flatten(run.recipe)
    changed = {field for field, value in now.items() if before.get(field) != value}
    # A new kind starts from its own defaults: what the two kinds share by name has to be said again.
    sections = [field.removesuffix("kind") for field in changed if field.endswith(".kind")]
    settings = {
        field: value
        for field, value in now.items()
        if field in changed or any(field.startswith(section) for section in sections)
    }
    if resolve(evidence.spec.recipe, settings) != run.recipe:
        raise UsageError(
            f"run {run.number} of {evidence.spec.name!r} differs from the baseline by more than settings say"
        )
    after = "" if run.state is RunState.COMPLETE else f", which was stopped after epoch {run.epoch}"
    return Arm(settings=settings, weights=weights, says=f"The recipe of run {run.number}{after}")


def one_recipe(spec: SpaceSpec, recipe: Recipe, name: str, seed: int) -> SpaceSpec:
    """Return one recipe with the task, metric and resources of a sweep; nothing is searched and nothing stopped."""
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
