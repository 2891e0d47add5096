"""Sections 9 to 12: how the trainings went, what failed, what cannot be said, and how to do it again."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.ablation.findings import ArmFacts, Findings
from analysis.figures import Drawing, costs, curves
from analysis.report.blocks import Bullets, CodeBlock, Section, Text, pictures, section, table
from analysis.wording import NONE, error_line, number, or_dash
from sweeps.run_state import RunState
from sweeps.store.records import RunRecord

MOST_CURVES = 8
MOST_FAILURES = 20


def health(findings: Findings) -> Section:
    """What the trainings reported of themselves, and what they cost."""
    own = [arm for arm in findings.arms if arm.trained_as == arm.arm]
    names = list(dict.fromkeys(name for arm in own for name in arm.health))
    head = ("arm", "design", "epochs", "seconds", *(name.partition("/")[2].replace("_", " ") for name in names))
    drawn = _curves(findings)
    seconds = _seconds(findings, own)
    known = any(sum(each.values()) > 0 for each in seconds.values())
    return section(
        9,
        "Training health and cost",
        pictures([*drawn, costs(seconds)] if known else drawn),
        table("Last epoch, means over complete runs", head, [_health_row(arm, names) for arm in own], words=2),
        Text("Arms that read another arm's training have no line of their own.") if own != [*findings.arms] else None,
        why="No run has been recorded yet.",
    )


def _health_row(arm: ArmFacts, names: Sequence[str]) -> tuple[str, ...]:
    values = (or_dash(arm.health.get(name), number) for name in names)
    return (arm.arm, arm.design, str(arm.epochs), number(arm.seconds), *values)


def _curves(findings: Findings) -> list[Drawing]:
    groups = dict.fromkeys((one.design, one.metric) for one in findings.curves)
    members = ([one for one in findings.curves if (one.design, one.metric) == group] for group in groups)
    return [curves(group[:MOST_CURVES]) for group in members]


def _seconds(findings: Findings, own: Sequence[ArmFacts]) -> dict[str, dict[str, float]]:
    seconds: dict[str, dict[str, float]] = {arm.arm: {} for arm in own}
    for tuning in findings.tunings:
        seconds[tuning.arm]["tuning"] = tuning.seconds
    for arm in own:
        seconds[arm.arm][arm.design] = arm.seconds
    return seconds


def failures(findings: Findings) -> Section:
    """What did not finish, and whether that makes the result."""
    if not findings.failures:
        pending = sum(not run.state.finished for run in findings.runs)
        still = f" {pending} have not ended yet." if pending else ""
        return section(10, "Failures and exclusions", why=f"No run diverged or failed, and none was left out.{still}")
    counts = [
        (arm.arm, arm.design, *(str(arm.states.get(state, 0)) for state in _ENDS))
        for arm in findings.arms
        if arm.trained_as == arm.arm
    ]
    worst = tuple(f"{one.contrast.name} ({one.design}): {one.worst_rank}." for one in findings.claims if one.worst_rank)
    shown = findings.failures[:MOST_FAILURES]
    left = len(findings.failures) - len(shown)
    return section(
        10,
        "Failures and exclusions",
        Text(_EXCLUDED),
        table("How the runs of each arm ended", _COUNTS, counts, words=2),
        table("What did not finish", _FAILURES, [_failure(run) for run in shown], words=7),
        Text(f"{left} more are in runs.csv.") if left else None,
        Text("Sensitivity, with failed runs counted as the worst:") if worst else None,
        Bullets(worst) if worst else None,
    )


_ENDS = (RunState.COMPLETE, RunState.DIVERGED, RunState.FAILED)
_COUNTS = ("arm", "design", *(state.value.lower() for state in _ENDS))
_FAILURES = ("run", "arm", "design", "pair", "state", "epoch", "error")
_EXCLUDED = (
    "Comparisons are over complete pairs: a pair with a run that diverged or failed is left out of them, in every arm "
    "of the contrast."
)


def _failure(run: RunRecord) -> tuple[str, ...]:
    what = error_line(run.error, "a number that is not finite" if run.state is RunState.DIVERGED else NONE)
    return (str(run.number), run.arm, run.design, str(run.pair), run.state.value, str(run.epoch), what)


def caveats(findings: Findings) -> Section:
    """What the design does not let one say."""
    return section(
        11, "Caveats", Bullets(findings.caveats) if findings.caveats else None, why="None follows from the design."
    )


def reproduce(findings: Findings) -> Section:
    """How to do it again."""
    files = (
        "pairs.csv: the metrics of every design, pair and arm, with the seed and the run they come from",
        "runs.csv: every run with its state, seed, recipe and fingerprint",
        "report.json: every number and sentence of this report",
        "ablation.yaml: the ablation, with every default spelled out",
    )
    seed = findings.spec.space.sampler.seed
    return section(
        12,
        "Reproduce",
        CodeBlock("\n".join(findings.commands)),
        Text(f"Every random stream follows from seed {seed}, the design and the pair; pairs.csv has each run's seed."),
        Text("Beside this page:"),
        Bullets(files),
    )
