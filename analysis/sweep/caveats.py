"""The limits of what a sweep shows; each sentence follows from its file or its runs."""

from collections.abc import Sequence

from analysis.sweep.evidence import SweepEvidence
from analysis.sweep.importance import Importances
from analysis.wording import change_caveats, part_of
from search_spaces.values import counted
from sweeps.run_state import RunState


def sweep_caveats(evidence: SweepEvidence, importances: Sequence[Importances]) -> tuple[str, ...]:
    """Return the caveats, the most general first."""
    spec = evidence.spec
    lines = [
        f"All scores are {spec.metric.name} on the data by which the winner was selected, so its score is optimistic;"
        " sweeps confirm measures it on fresh seeds and the test split.",
        *change_caveats(evidence.provenance),
        *_seeds(evidence),
        f"One task, {spec.task_name}, and one budget of {spec.recipe.budget.text}: for others, other recipes may be"
        " best.",
        *_stopping(evidence),
        *_sampler(evidence),
        *_importance(importances),
    ]
    return tuple(lines)


def _seeds(evidence: SweepEvidence) -> list[str]:
    recipes = {run.recipe_hash for run in evidence.runs}
    if len(recipes) == len(evidence.runs):
        return ["Each recipe was trained with one seed: with another seed, the order of two close runs may change."]
    return [f"There are {len(evidence.runs)} runs of {counted(len(recipes), 'recipe')}: most scores are from one seed."]


def _stopping(evidence: SweepEvidence) -> list[str]:
    stopped = sum(run.state is RunState.STOPPED for run in evidence.runs)
    if not stopped:
        return []
    return [
        f"{part_of(stopped, len(evidence.runs), 'run', 'was', 'were')} stopped at a rung: recipes that start slowly,"
        " with a long warmup or a small learning rate, are at a disadvantage there, and the last values of runs are not"
        " comparable."
    ]


def _sampler(evidence: SweepEvidence) -> list[str]:
    if not evidence.spec.sampler.traits.adaptive:
        return []
    return [
        f"The sampler, {evidence.spec.sampler.kind}, prefers regions with good scores: the runs are not an even sample"
        " of the space, but the expected best of n treats them as one."
    ]


def _importance(importances: Sequence[Importances]) -> list[str]:
    lines = [
        f"{one.evaluator} leaves {field} out: {why}." for one in importances[:1] for field, why in one.left_out.items()
    ]
    leaders = [one.fields[0].field for one in importances if one.fields]
    if len(set(leaders)) > 1:
        named = ", ".join(f"{one.fields[0].field} by {one.evaluator}" for one in importances if one.fields)
        lines.append(f"The evaluators disagree about the most important field: {named}.")
    if importances and all(one.fields and not any(field.above_chance for field in one.fields) for one in importances):
        lines.append(
            "No field is more important than with shuffled scores: with so few runs, no field can be distinguished."
        )
    return lines
