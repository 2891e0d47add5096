"""Sections 4 to 8: calibration, secondary metrics, interactions, fairness and uncertainty."""

from collections.abc import Sequence

from analysis.ablation.arms.calibration import ArmCalibration, CalibrationRow
from analysis.ablation.arms.tuning import Tuning
from analysis.ablation.claims import Claim
from analysis.ablation.findings import AblationFindings, Exploratory
from analysis.figures import Drawing, best_of_n, interaction, isolation, power_curves, reliability_diagram
from analysis.report.ablation.effort import effort_blocks
from analysis.report.blocks import Section, Text, pictures, section, table, text
from analysis.statistics.comparison import Comparison
from analysis.statistics.intervals import Interval
from analysis.statistics.verdicts import Verdict
from analysis.wording import NONE, between, number, or_dash, signed, value_text
from search_spaces.metric_names import evaluation_words, with_temperature

MOST_DIAGRAMS = 6

_SCORES = (
    *("arm", "design", "evaluated", "NLL", "accuracy", "Brier", "ECE", "ECE if calibrated: mean, 95 %"),
    *("debiased CE²", "confidence - accuracy", "MCE", "AURC"),
)


def calibration(findings: AblationFindings) -> Section:
    """Make the section with the calibration of each arm, before and after temperature scaling."""
    rows = findings.calibration
    drawings = [drawing for row in rows[:MOST_DIAGRAMS] for drawing in _diagrams(row)]
    left = f"The first {MOST_DIAGRAMS} of {len(rows)} arms are drawn; the table has all."
    scores = [line for row in rows for line in _score_lines(row)]
    parts = [_part_line(row) for row in rows if row.after is not None]
    return section(
        4,
        "Calibration",
        pictures(*drawings),
        text(left if len(rows) > MOST_DIAGRAMS else ""),
        table("Test scores (means over pairs)", _SCORES, scores, words=3),
        text(_ECE if rows else ""),
        table("Effect of temperature scaling on NLL", _PARTS, parts, words=2),
        why="No predictions of a classifier are stored.",
    )


_ECE = (
    "ECE (15 bins of equal width) is biased upwards. The next column shows the ECE of a calibrated model with the same "
    "confidences: its mean and its 95 % quantile. Compare arms by NLL, Brier score and the debiased squared "
    "calibration error. MCE uses bins with at least 30 examples."
)
_PARTS = ("arm", "design", "temperature", "NLL", "= calibration part", "+ refinement")


def _diagrams(row: CalibrationRow) -> list[Drawing]:
    found = [reliability_diagram(row.design, row.arm, row.before, evaluation_words(row.weights))]
    if row.after is not None:
        after = f"after temperature {or_dash(row.temperature, number)}"
        found.append(reliability_diagram(row.design, row.arm, row.after, after))
    return found


def _score_lines(row: CalibrationRow) -> list[tuple[str, ...]]:
    lines = [_score_line(row, evaluation_words(row.weights), row.before)]
    if row.after is not None:
        lines.append(_score_line(row, evaluation_words(with_temperature(row.weights)), row.after))
    return lines


def _score_line(row: CalibrationRow, read: str, page: ArmCalibration) -> tuple[str, ...]:
    return (
        row.arm,
        row.design,
        read,
        number(page.nll),
        f"{page.accuracy:.4f}",
        or_dash(page.brier, number),
        f"{page.ece:.4f}",
        f"{page.null_mean:.4f}, {page.null_upper:.4f}",
        or_dash(page.debiased, "{:+.5f}".format),
        f"{page.gap:+.4f}",
        or_dash(page.mce, "{:.3f}".format),
        number(page.aurc),
    )


def _part_line(row: CalibrationRow) -> tuple[str, ...]:
    parts = (row.temperature, row.before.nll, row.calibration_part, row.refinement)
    return (row.arm, row.design, *(or_dash(part, number) for part in parts))


def secondary(findings: AblationFindings) -> Section:
    """Make the section with the exploratory results on other metrics."""
    rows = [_exploratory_row(one) for one in findings.secondary]
    return section(
        5,
        "Secondary metrics (exploratory)",
        table("Changes with unadjusted 95 % intervals", _EXPLORATORY, rows, words=3),
        text(_NOT_ADJUSTED if rows else ""),
        why="No secondary metric was measured in a complete pair.",
    )


_NOT_ADJUSTED = (
    "No claim about these metrics was declared in advance, and their intervals are not adjusted for multiple "
    "comparisons."
)
_EXPLORATORY = ("metric", "contrast", "design", "change", "95 % interval", "pairs")


def _exploratory_row(one: Exploratory) -> tuple[str, ...]:
    interval = or_dash(one.interval, between)
    return (one.metric, one.contrast.name, one.design, signed(one.delta), interval, str(one.pairs))


def interactions(findings: AblationFindings) -> Section:
    """Make the section with the interactions of factors."""
    spec = findings.spec
    rows = [_exploratory_row(one) for one in findings.interactions]
    lines = [_redundancy(one) for one in findings.interactions]
    return section(
        6,
        "Interactions",
        pictures(*(interaction(one, spec.metrics.primary) for one in findings.crossings)),
        table(
            "Half the difference between the effect of one factor with the other and without it",
            _EXPLORATORY,
            rows,
            words=3,
        ),
        text(" ".join(lines)),
        why=_NO_FACTORS
        if not spec.factors
        else f"The arrangement {spec.arrangement} shows main effects only, or no pair is complete.",
    )


_NO_FACTORS = (
    "No factors are declared, so no interaction is estimated. Arms that form a 2 x 2 have one: declare a contrast with "
    "the weights 1, -1, -1 and 1."
)


def _redundancy(one: Exploratory) -> str:
    name = one.contrast.name
    if one.interval is None or not one.interval.excludes(0.0):
        return f"{name}: the interval includes 0, so the effects may be additive."
    ends = between(Interval(2 * one.interval.low, 2 * one.interval.high))
    extra = f"{signed(2 * one.delta)} {ends}"
    return f"{name}: the change by both together, minus the sum of the changes by each alone, is {extra}."


def fairness(findings: AblationFindings) -> Section:
    """Make the section with the tuning of each arm and the scores of its best try."""
    tunings, spec = findings.tunings, findings.spec
    if not tunings:
        what = "recipe" if spec.space.command is None else "arguments"
        why = f"The design is matched: no arm was tuned, and each arm has the {what} of the control but its own change."
        return section(7, "Fairness and tuning", why=why if spec.retune is None else "The tuning has not finished yet.")
    budget = [_budget_row(one) for one in tunings]
    head = (
        "arm",
        "tries",
        f"{spec.space.recipe.budget.unit}s",
        "seconds",
        "failed",
        "best point",
        "position in range",
        "at an edge",
    )
    scores = ("arm", "metric", "selection", "confirmation", "gap")
    return section(
        7,
        "Fairness and tuning",
        pictures(*(isolation(tunings, field) for field in tunings[0].tries[0].point), best_of_n(tunings)),
        table("Tuning budget by arm", head, budget, words=1),
        table(
            "Score of the best try: in the tuning and on fresh seeds",
            scores,
            list(map(_selection_row, tunings)),
            words=2,
        ),
        Text(
            "The score of the best try in the tuning is optimistic, because the try was selected by it; the gap to the "
            "score on fresh seeds shows by how much."
        ),
        *effort_blocks(findings.tuning_efforts),
    )


def _budget_row(one: Tuning) -> tuple[str, ...]:
    best = one.tries[one.best].point
    return (
        one.arm,
        str(len(one.tries)),
        str(one.epochs),
        number(one.seconds),
        f"{100 * one.infeasible:.0f} %",
        ", ".join(f"{field} {value_text(value)}" for field, value in best.items()),
        ", ".join(f"{place:.2f}" for place in one.positions.values()) or NONE,
        ", ".join(one.edges) or "no",
    )


def _selection_row(one: Tuning) -> tuple[str, ...]:
    gap = None if one.selection is None or one.confirmation is None else one.confirmation - one.selection
    scores = (or_dash(score, number) for score in (one.selection, one.confirmation))
    return (one.arm, one.metric, *scores, or_dash(gap, signed))


_SPREADS = (
    "The power curves use the observed standard deviation of the change. The number of further pairs is for a t-test "
    "of a contrast that is still inconclusive, and uses the upper end of the 80 % interval of the standard deviation, "
    "because that of a few pairs is often too small."
)


def uncertainty(findings: AblationFindings) -> Section:
    """Make the section with power, sources of variance and the looks taken."""
    known = [claim for claim in findings.claims if claim.comparison is not None]
    rows = [_power_row(claim, one) for claim in known if (one := claim.comparison) is not None]
    head = (
        "contrast",
        "design",
        "pairs",
        "sd of the change",
        "detectable (power .8)",
        "more pairs for the margin (power .8)",
    )
    levels = ("contrast", "design", "seeds", "examples", "residual", "interval for new seeds and examples")
    looks = ("contrast", "design", "pairs", "change", "p or e", "stops at", "interval", "stop")
    return section(
        8,
        "Uncertainty",
        pictures(power_curves(findings.power, findings.spec.metrics) if findings.power else None),
        table("What these pairs can detect", head, rows, words=2),
        text(_SPREADS if known else ""),
        table(
            "Variance of the mean change from seeds and examples, each with the residual",
            levels,
            _level_rows(known),
            words=2,
        ),
        table("Looks taken", looks, _look_rows(known), words=2),
        why="No pair is complete.",
    )


def _power_row(claim: Claim, one: Comparison) -> tuple[str, ...]:
    sizes = (or_dash(size, number) for size in (one.sd, one.detectable))
    needed = one.needed if claim.verdict is Verdict.INCONCLUSIVE else None
    return (claim.contrast.name, claim.design, str(one.n), *sizes, or_dash(needed, str))


def _level_rows(claims: Sequence[Claim]) -> list[tuple[str, ...]]:
    rows = []
    for claim in claims:
        level = claim.two_level
        if level is not None:
            parts = (f"{value:.2g}" for value in (level.v_seed, level.v_example, level.v_residual))
            rows.append((claim.contrast.name, claim.design, *parts, or_dash(level.interval, between)))
    return rows


def _look_rows(claims: Sequence[Claim]) -> list[tuple[str, ...]]:
    return [
        (
            claim.contrast.name,
            claim.design,
            str(look.n),
            signed(look.delta),
            or_dash(look.p if look.e is None else look.e, number),
            f"{'p ≤' if look.e is None else 'e ≥'} {number(look.threshold)}",
            or_dash(look.interval, between),
            look.stop or "continue",
        )
        for claim in claims
        if claim.decision is not None
        for look in claim.decision.history
    ]
