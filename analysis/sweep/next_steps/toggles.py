"""An ablation that resets the winner of a sweep to its baseline, one field at a time."""

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from analysis.export import best_recipe
from analysis.load import epochs_frame, runs_of, sweeps_frame
from analysis.sweep.next_steps.follow_up import one_recipe
from analysis.sweep.next_steps.fresh_seeds import judging
from search_spaces import (
    AblationSpec,
    Arm,
    Metric,
    Overrides,
    Problem,
    Recipe,
    SpaceSpec,
    UsageError,
    Value,
    lookup,
    parse_space,
    suggest,
    unknown_field,
)
from search_spaces.values import identity, show
from sweeps.plan.search_plan import searched_fields

PAIRS = 10


def toggle_ablation(url: str, source: str, fields: Sequence[str], overrides: Overrides) -> AblationSpec:
    """Return the ablation whose control is the winner of a sweep and whose arms each reset one field to the baseline.

    Args:
        url: URL of the database.
        source: `best:NAME`, with the name of the sweep.
        fields: Dotted fields to reset; if empty, all searched fields in which winner and baseline differ.
        overrides: Options of the command; `design` must be matched.

    Raises:
        UsageError: There is no such sweep, it has no winner, or a field cannot be reset.
    """
    kind, _, name = source.partition(":")
    if kind != "best" or not name:
        raise UsageError(f"--from: must be best:NAME, such as best:finetune, found {source}")
    space, winner = _winner(url, name)
    chosen = tuple(fields) or tuple(
        field
        for field in searched_fields(winner, space)
        if identity(lookup(winner, field)) != identity(_baseline(space.recipe, field))
    )
    judged = judging(space, set(epochs_frame(url, name)["name"]))
    weights = judged.weights
    arms = {"winner": Arm(weights=weights)}
    arms |= {f"without {field}": _arm(space.recipe, winner, field, weights) for field in chosen}
    trained = space.model_copy(update={"metric": Metric(name=judged.metrics.selection, goal=space.metric.goal)})
    parts: dict[str, Any] = {
        "question": f"Which of its changes does the winner of {name} owe its score to?{judged.note}",
        "space": one_recipe(trained, winner, overrides.name or f"{name}-toggles", overrides.seed or 0),
        "arms": arms,
        "pairs": overrides.pairs or PAIRS,
        "metrics": judged.metrics,
    }
    if len(arms) < 2:
        raise UsageError(f"--from {source}: the winner has the baseline recipe, so there is no field to reset")
    if overrides.design not in (None, "matched"):
        raise UsageError(f"--design: {overrides.design} needs tuning ranges, which --from does not have; write a file")
    try:
        return AblationSpec(**parts)
    except ValidationError as error:
        raise UsageError(f"--from {source}: {error.errors()[0]['msg']}") from None


def _winner(url: str, name: str) -> tuple[SpaceSpec, Recipe]:
    sweeps = sweeps_frame(url)
    found = sweeps[(sweeps["name"] == name) & (sweeps["kind"] == "sweep")]
    if found.empty:
        names = sweeps[sweeps["kind"] == "sweep"]["name"].tolist()
        raise UsageError(f"--from: no sweep {name!r} in the database; {suggest(name, names)}")
    space = parse_space(found.iloc[0]["spec_yaml"], f"{name} (stored)", name)
    winner = best_recipe(runs_of(url, name), space)
    if winner is None:
        raise UsageError(f"--from: no run of {name!r} is complete, so it has no winner yet")
    return space, winner


def _baseline(baseline: Recipe, field: str) -> Value:
    return None if unknown_field(baseline, field) else lookup(baseline, field)


def _arm(baseline: Recipe, winner: Recipe, field: str, weights: str) -> Arm:
    refusal = unknown_field(baseline, field) or unknown_field(winner, field)
    if refusal:
        raise UsageError(Problem("--toggle", field, refusal))
    before, now = lookup(baseline, field), lookup(winner, field)
    if identity(before) == identity(now):
        raise UsageError(Problem("--toggle", field, f"winner and baseline agree on {show(now)}"))
    return Arm(
        settings={field: before}, weights=weights, says=f"Taking {field} back from {show(now)} to {show(before)}"
    )
