"""Sections 3 and 4: hyperparameter importance, and where the good runs are."""

from analysis.figures.parallel import parallel
from analysis.figures.space import contour, field_slice
from analysis.figures.sweep import importance
from analysis.report.blocks import Section, Text, pictures, section, table, text
from analysis.sweep.findings import SweepFindings
from analysis.sweep.importance import FieldImportance
from analysis.wording import or_dash, two_decimals
from search_spaces.values import counted

MOST_SLICES = 12


def importances(findings: SweepFindings) -> Section:
    """Make the section with the importance of each field by two evaluators."""
    rows = [
        (each.field, one.evaluator, f"{each.share:.2f}", *_ends(each))
        for one in findings.importances
        for each in one.fields
    ]
    left = [(field, why) for one in findings.importances[:1] for field, why in one.left_out.items()]
    return section(
        3,
        "Hyperparameter importance",
        pictures(importance(findings.importances)),
        *(Text(one.words) for one in findings.importances),
        table("Importance by field", _IMPORTANCES, rows, words=2),
        table("Fields left out", ("field", "why"), left, words=2),
        why="Importance could not be computed.",
    )


_IMPORTANCES = ("field", "evaluator", "share", "90 % interval", "chance level", "above chance")


def _ends(one: FieldImportance) -> tuple[str, str, str]:
    chance = or_dash(one.chance, "{:.2f}".format)
    return or_dash(one.interval, two_decimals), chance, "yes" if one.above_chance else "no"


def good_runs(findings: SweepFindings) -> Section:
    """Make the section with all runs in parallel coordinates, the two most important fields, and each field."""
    data = findings.data
    ranking = [one.field for one in findings.importances[0].fields] if findings.importances else []
    axes = sorted(data.axes, key=lambda one: ranking.index(one.field) if one.field in ranking else len(ranking))
    unit = findings.spec.recipe.budget.unit
    scored = any(score is not None for score in data.scores)
    if not (axes and scored):
        why = f"Too few runs reached the same {unit} to compare their scores." if axes else "No field was searched."
        return section(4, "Where the good runs are", why=why)
    slices = [field_slice(findings, one) for one in axes[:MOST_SLICES]]
    left = len(axes) - MOST_SLICES
    return section(
        4,
        "Where the good runs are",
        Text(
            f"Scores are {findings.spec.metric.name} after {unit} {data.epoch}, because the last values of runs that"
            f" stopped at different {unit}s are not comparable."
        ),
        pictures(parallel(findings, ranking)),
        pictures(contour(findings), *slices),
        text(f"runs.csv has {counted(left, 'more field')}." if left > 0 else ""),
    )
