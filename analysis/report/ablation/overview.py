"""Sections 0 to 3: the question, the verdicts, the effects and the pairs."""

from math import isfinite

from analysis.ablation.arms.facts import ArmFacts
from analysis.ablation.claims import Claim
from analysis.ablation.findings import AblationFindings
from analysis.ablation.units import unit_words
from analysis.figures import Drawing, forest, slopes
from analysis.report.blocks import Section, pictures, section, table, text
from analysis.report.provenance import provenance_rows
from analysis.statistics.comparison import Comparison
from analysis.statistics.paired import Verdict
from analysis.wording import NONE, between, number, or_dash, p_number, signed
from search_spaces import AblationSpec
from search_spaces.values import counted

SYMBOLS = {
    Verdict.BETTER: "▲",
    Verdict.WORSE: "▼",
    Verdict.EQUIVALENT: "≈",
    Verdict.NEGLIGIBLE: "≃",
    Verdict.INCONCLUSIVE: "?",
    Verdict.TUNING_DEPENDENT: "⇄",
    Verdict.UNSTABLE: "!",
    Verdict.NOT_COMPARABLE: "≠",
    Verdict.IDENTICAL: "=",
}
"""Symbol of each verdict, which distinguishes it without colour."""

MOST_SLOPES = 6

_PAIRING_HEAD = (
    *("contrast", "design", "d_z", "skewness", "P(better), 95 %", "correlation", "variance ratio"),
    *("leave-one-out range", "changed by one pair"),
)
_PAIRING = (
    "d_z: mean change divided by the standard deviation of the changes (Cohen's d for pairs). Skewness: sample "
    "skewness of the changes; the t-test assumes that their distribution is symmetric. Variance ratio: variance of the "
    "difference divided by the sum of the arms' variances; at 1 or more, pairing did not help. Leave-one-out range: "
    "range of the mean change when any one pair is left out. Changed by one pair: whether leaving out one pair changes "
    "the sign or the conclusion."
)
VERDICT_HEAD = ("contrast", "design", "change", "interval", "pairs won", "p", "sign-flip p", "p (Holm)", "verdict")


def header(findings: AblationFindings) -> Section:
    """Make the section with the question, the setup and the cost."""
    spec, runs = findings.spec, findings.runs
    metrics = spec.metrics
    margin = "none declared" if metrics.margin is None else f"±{number(metrics.margin)}"
    facts = [
        ("question", spec.question),
        ("primary metric", f"{metrics.primary}, {metrics.goal}; smallest change that matters: {margin}"),
        *_unit(spec),
        ("design", _design(spec)),
        ("task", spec.space.task_name),
        *_sizes(findings),
        ("pairs", f"{findings.pairs} of {spec.pairs} finished"),
        ("between pairs", _varying(findings)),
        ("looks", _looks(spec)),
        ("cost", _cost(findings)),
        ("machine", _machine(findings)),
        ("earlier claims", findings.ledger),
        *provenance_rows(findings.created_at, findings.digest, findings.provenance),
    ]
    base = "the base recipe" if spec.space.command is None else "the base arguments"
    arms = [(arm.arm, "; ".join(arm.settings) or base, arm.weights) for arm in findings.arms[: len(spec.all_arms)]]
    return section(
        0,
        "What was asked",
        table("Ablation", ("", ""), facts, words=2),
        table("Arms (the control is first)", ("arm", "changes", "evaluated weights"), arms, words=3),
        text("" if runs else "No run has been recorded yet."),
    )


def _unit(spec: AblationSpec) -> list[tuple[str, str]]:
    words = unit_words(spec, spec.metrics.primary)
    return [("unit", words)] if words else []


def _sizes(findings: AblationFindings) -> list[tuple[str, str]]:
    sizes = ", ".join(f"{split} {counted(size, 'example')}" for split, size in sorted(findings.sizes.items()))
    return [("sizes of the splits", sizes)] if sizes else []


def _varying(findings: AblationFindings) -> str:
    found = findings.varying
    same = f"; the same in all: {', '.join(found.same)}" if found.same else ""
    return f"differ in {', '.join(found.differs)}{same}"


def _machine(findings: AblationFindings) -> str:
    known = findings.provenance
    parts = [known.get("machine"), known.get("platform")]
    parts += [counted(known["cpus"], "CPU")] if known.get("cpus") else []
    parts += [f"{known['memory_gib']} GiB of memory"] if known.get("memory_gib") else []
    parts.append(f"GPU: {', '.join(findings.gpus)}" if findings.gpus else "no GPU recorded")
    return ", ".join(str(part) for part in parts if part)


def _design(spec: AblationSpec) -> str:
    words = {"matched": "matched: only the arm changes", "retuned": "re-tuned: each arm at its own best point"}
    designs = "; ".join(words[design] for design in spec.designs)
    return f"{designs}; factors arranged as {spec.arrangement}" if spec.factors else designs


def _looks(spec: AblationSpec) -> str:
    if spec.looks == "none":
        return "one test at the end"
    if spec.looks == "e_process":
        return "after every pair (e-process)"
    return f"planned at {', '.join(map(str, spec.looks))} pairs"


def _cost(findings: AblationFindings) -> str:
    budget = findings.spec.space.recipe.budget
    seconds, epochs = sum(run.seconds for run in findings.runs), sum(run.epoch for run in findings.runs)
    return f"{counted(len(findings.runs), 'run')}, {budget.counted(epochs)}, {number(seconds)} s of training"


def verdicts(findings: AblationFindings) -> Section:
    """Make the section with the table of verdicts."""
    levels = sorted({f"{100 * (1 - one.comparison.alpha):g} %" for one in findings.claims if one.comparison})
    kind = "confidence sequences" if findings.spec.looks == "e_process" else "paired t intervals"
    note = f"Intervals are {kind} ({' and '.join(levels)}), not adjusted for other claims."
    words = [note, _P_VALUES[_looks_kind(findings.spec)]]
    if (family := len(findings.spec.treatments)) > 1:
        words.append(f"p (Holm): p, adjusted for the {family} contrasts of a design.")
    unit = unit_words(findings.spec, metric := findings.spec.metrics.primary)
    unit = f" ({unit})" if unit else ""
    return section(
        1,
        "Verdicts",
        table("Verdicts by contrast", VERDICT_HEAD, [verdict_row(claim) for claim in findings.claims], words=2),
        text(" ".join(words) if levels else ""),
        table(
            f"{metric} of each arm{unit}",
            _ARM_HEAD,
            [_arm_row(arm) for arm in findings.arms if arm.mean is not None],
            words=2,
        ),
    )


_ARM_HEAD = ("arm", "design", "complete runs", "mean", "sd over pairs")


def _arm_row(arm: ArmFacts) -> tuple[str, ...]:
    complete = sum(isfinite(value) for value in arm.values)
    return (arm.arm, arm.design, str(complete), or_dash(arm.mean, number), or_dash(arm.sd, number))


_P_VALUES = {
    "none": "p: two-sided paired t-test, which rejects at .05 exactly where the 95 % interval excludes 0. Sign-flip p: "
    "permutation test of the same changes.",
    "looks": "p: paired t-test, for all looks taken together; the interval has the level of one look. Sign-flip p: "
    "permutation test at the last look, for this look alone.",
    "e_process": "p: 1 / e of the e-process. Sign-flip p: permutation test for a fixed number of pairs.",
}


def _looks_kind(spec: AblationSpec) -> str:
    return "looks" if isinstance(spec.looks, tuple) else spec.looks


def verdict_row(claim: Claim) -> tuple[str, ...]:
    """Return the row of a claim in the table of verdicts."""
    comparison = claim.comparison
    word = f"{SYMBOLS[claim.verdict]} {claim.verdict.value}"
    if comparison is None:
        return (claim.contrast.name, claim.design, NONE, NONE, f"0 of {claim.started}", NONE, NONE, NONE, word)
    return (
        claim.contrast.name,
        claim.design,
        signed(comparison.delta),
        or_dash(claim.interval, between),
        f"{comparison.wins} of {comparison.n}",
        or_dash(claim.p_raw, p_number),
        or_dash(comparison.p_permutation, p_number),
        or_dash(claim.p, p_number),
        word,
    )


def effects(findings: AblationFindings) -> Section:
    """Make the section with the forest plot."""
    drawing = forest(findings.claims, findings.spec.metrics) if findings.claims else None
    return section(2, "Effects", pictures(drawing), why="The ablation has no contrast.")


def pairs(findings: AblationFindings) -> Section:
    """Make the section with the results of single pairs."""
    rows = [_pairing_row(claim, one) for claim in findings.claims if (one := claim.comparison) is not None]
    found = [drawing for claim in findings.claims if (drawing := _slopes(findings, claim)) is not None]
    left = f"The first {MOST_SLOPES} of {len(found)} contrasts are drawn; pairs.csv has all pairs."
    return section(
        3,
        "Results by pair",
        pictures(*found[:MOST_SLOPES]),
        text(left if len(found) > MOST_SLOPES else ""),
        table("Effect of pairing and influence of single pairs", _PAIRING_HEAD, rows, words=2),
        text(_PAIRING if rows else ""),
        why="No pair is complete.",
    )


def _slopes(findings: AblationFindings, claim: Claim) -> Drawing | None:
    if claim.contrast.simple is None or claim.comparison is None:
        return None
    values = {arm.arm: arm.values for arm in findings.arms if arm.design == claim.design}
    control, treatment = claim.contrast.simple
    return slopes(claim, values[control], values[treatment], findings.spec.metrics.primary)


def _pairing_row(claim: Claim, one: Comparison) -> tuple[str, ...]:
    left, changed = one.leave_one_out, NONE
    if left is not None:
        changed = "the sign" if left.changes_sign else "the conclusion" if left.changes_conclusion else "no"
    return (
        claim.contrast.name,
        claim.design,
        or_dash(one.d_z, "{:+.2f}".format),
        or_dash(one.skewness, "{:+.2f}".format),
        between(one.p_win),
        or_dash(one.rho, "{:.3f}".format),
        or_dash(one.efficiency, number),
        NONE if left is None else f"{signed(left.low)} to {signed(left.high)}",
        changed,
    )
