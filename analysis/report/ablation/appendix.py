"""Sections 9 to 12: training health and cost, failures, caveats and reproduction."""

from collections.abc import Sequence

from analysis.ablation.arms.facts import ArmFacts
from analysis.ablation.arms.training_problems import ArmProblem
from analysis.ablation.findings import AblationFindings
from analysis.figures import Drawing, costs, curves
from analysis.report.blocks import Bullets, CodeBlock, Section, Text, pictures, section, table, text
from analysis.report.compute import compute_blocks
from analysis.wording import NONE, error_line, number, or_dash
from search_spaces.values import counted
from sweeps.run_state import RunState
from sweeps.store.records import RunRecord

MOST_CURVES = 8
MOST_FAILURES = 20
_NO_ROW = "Arms that evaluate the training of another arm have no row of their own."


def health(findings: AblationFindings) -> Section:
    """Make the section with learning curves, training health and cost."""
    own = [arm for arm in findings.arms if arm.trained_as == arm.arm]
    names = list(dict.fromkeys(name for arm in own for name in arm.health))
    unit = findings.spec.space.recipe.budget.unit
    head = ("arm", "design", f"{unit}s", "seconds", *(name.partition("/")[2].replace("_", " ") for name in names))
    drawn = _curves(findings)
    seconds = _seconds(findings, own)
    known = any(sum(each.values()) > 0 for each in seconds.values())
    return section(
        9,
        "Training health and cost",
        pictures(*drawn, costs(seconds) if known else None),
        table(
            f"Metrics of the last {unit} (means over complete runs)",
            head,
            [_health_row(arm, names) for arm in own],
            words=2,
        ),
        text(_NO_ROW if own != [*findings.arms] else ""),
        table("Problems in the training curves", _PROBLEMS, [_problem_row(one) for one in findings.problems], words=6),
        text("" if findings.problems or not findings.pairs else _NO_PROBLEM),
        *compute_blocks(findings.compute, "arm and design"),
        why="No run has been recorded yet.",
    )


_PROBLEMS = ("arm", "design", "problem", "severity", "runs", "evidence of the first")
_NO_PROBLEM = "The curves of no run have an error or a warning of the diagnosis; short curves are only partly checked."


def _problem_row(one: ArmProblem) -> tuple[str, ...]:
    return (one.arm, one.design, one.code.value, one.severity.value, f"{one.runs} of {one.of}", one.evidence)


def _health_row(arm: ArmFacts, names: Sequence[str]) -> tuple[str, ...]:
    values = (or_dash(arm.health.get(name), number) for name in names)
    return (arm.arm, arm.design, str(arm.epochs), number(arm.seconds), *values)


def _curves(findings: AblationFindings) -> list[Drawing]:
    groups = dict.fromkeys((one.design, one.metric) for one in findings.curves)
    members = ([one for one in findings.curves if (one.design, one.metric) == group] for group in groups)
    return [curves(group[:MOST_CURVES]) for group in members]


def _seconds(findings: AblationFindings, own: Sequence[ArmFacts]) -> dict[str, dict[str, float]]:
    seconds: dict[str, dict[str, float]] = {arm.arm: {} for arm in own}
    for tuning in findings.tunings:
        seconds[tuning.arm]["tuning"] = tuning.seconds
    for arm in own:
        seconds[arm.arm][arm.design] = arm.seconds
    return seconds


def failures(findings: AblationFindings) -> Section:
    """Make the section with the runs that diverged or failed, and the sensitivity of the result to them."""
    if not findings.failures:
        pending = sum(not run.state.finished for run in findings.runs)
        still = f" {counted(pending, 'run')} {'has' if pending == 1 else 'have'} not finished yet." if pending else ""
        return section(10, "Failures and exclusions", why=f"No run diverged or failed, and none was excluded.{still}")
    counts = [
        (arm.arm, arm.design, *(str(arm.states.get(state, 0)) for state in _ENDS))
        for arm in findings.arms
        if arm.trained_as == arm.arm
    ]
    worst = tuple(f"{one.contrast.name} ({one.design}): {one.worst_rank}." for one in findings.claims if one.worst_rank)
    shown = findings.failures[:MOST_FAILURES]
    left = len(findings.failures) - len(shown)
    head = ("run", "arm", "design", "pair", "state", findings.spec.space.recipe.budget.unit, "error")
    return section(
        10,
        "Failures and exclusions",
        Text(_EXCLUDED),
        table("Run states by arm", _COUNTS, counts, words=2),
        table("Runs that diverged or failed", head, [_failure(run) for run in shown], words=7),
        text(f"runs.csv lists {left} more." if left else ""),
        text("Sensitivity analysis with failed runs ranked as the worst:" if worst else ""),
        Bullets(worst) if worst else None,
    )


_ENDS = (RunState.COMPLETE, RunState.DIVERGED, RunState.FAILED)
_COUNTS = ("arm", "design", *(state.value.lower() for state in _ENDS))
_EXCLUDED = (
    "Comparisons use complete pairs only: a pair with a diverged or failed run is excluded in every arm of the "
    "contrast."
)


def _failure(run: RunRecord) -> tuple[str, ...]:
    what = error_line(run.error, "non-finite value" if run.state is RunState.DIVERGED else NONE)
    return (str(run.number), run.arm, run.design, str(run.pair), run.state.value, str(run.epoch), what)


def caveats(findings: AblationFindings) -> Section:
    """Make the section with the limits of the conclusions."""
    return section(
        11, "Caveats", Bullets(findings.caveats) if findings.caveats else None, why="The design implies no caveats."
    )


def reproduce(findings: AblationFindings) -> Section:
    """Make the section with the commands, the seeds and the files of the report."""
    own = findings.spec.space.command is None
    files = (
        "pairs.csv: metrics of every design, pair and arm, with the run they come from and its seed",
        f"runs.csv: all runs with state, seed{', recipe and fingerprint' if own else ' and arguments'}",
        "report.json: all numbers and sentences of this report",
        "ablation.yaml: the ablation with all defaults",
        "report.tex and references.bib: tables, methods, compute and answers to checklists for a paper",
    )
    seed = findings.spec.space.sampler.seed
    return section(
        12,
        "Reproduce",
        CodeBlock("\n".join(findings.commands)),
        Text(f"All random streams are derived from seed {seed}, the design and the pair; pairs.csv has the seeds."),
        Text("Files in this folder:"),
        Bullets(files),
    )
