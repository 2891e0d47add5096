"""What a sweep does not let one say, in words; each line follows from its file or its runs."""

from collections.abc import Sequence

from analysis.sweep.evidence import SweepEvidence
from analysis.sweep.importance import Importances
from sweeps.run_state import RunState


def sweep_caveats(evidence: SweepEvidence, importances: Sequence[Importances]) -> tuple[str, ...]:
    """Return the caveats, the widest first."""
    spec = evidence.spec
    lines = [
        f"Every score is {spec.metric.name}, on the data that the winner was chosen by, so the winner's is optimistic;"
        " sweeps confirm gives the honest one.",
        *_seeds(evidence),
        f"One task, {spec.task}, and one budget of {evidence.budget} epochs: with another, other recipes may be best.",
        *_stopping(evidence),
        *_sampler(evidence),
        *_importance(importances),
    ]
    return tuple(lines)


def _seeds(evidence: SweepEvidence) -> list[str]:
    recipes = {run.recipe_hash for run in evidence.runs}
    if len(recipes) == len(evidence.runs):
        return ["Each recipe was trained with one seed: two runs that are close may change places with another."]
    return [f"{len(evidence.runs)} runs of {len(recipes)} recipes: most scores rest on one seed."]


def _stopping(evidence: SweepEvidence) -> list[str]:
    stopped = sum(run.state is RunState.STOPPED for run in evidence.runs)
    if not stopped:
        return []
    return [
        f"{stopped} of {len(evidence.runs)} runs were stopped at a rung: recipes that start slowly, with a long warmup"
        " or a small learning rate, are at a disadvantage there, and the last values of runs do not compare."
    ]


def _sampler(evidence: SweepEvidence) -> list[str]:
    if not evidence.spec.sampler.traits.adaptive:
        return []
    return [
        f"The sampler, {evidence.spec.sampler.kind}, went where scores were good: runs are no even sample of the space,"
        " and the expected best of n treats them as one."
    ]


def _importance(importances: Sequence[Importances]) -> list[str]:
    lines = [
        f"{one.evaluator} leaves {field} out: it {why}."
        for one in importances[:1]
        for field, why in one.left_out.items()
    ]
    leaders = [one.fields[0].field for one in importances if one.fields]
    if len(set(leaders)) > 1:
        named = ", ".join(f"{one.evaluator} says {one.fields[0].field}" for one in importances if one.fields)
        lines.append(f"The evaluators differ about the most important field: {named}.")
    if importances and all(one.fields and not any(field.above_chance for field in one.fields) for one in importances):
        lines.append(
            "No field's importance is above what shuffled scores give: with so few runs, none can be distinguished."
        )
    return lines
