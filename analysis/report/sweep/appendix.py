"""Sections 9 to 12: what the curves show, what failed, what cannot be said, and how to go on."""

from __future__ import annotations

from analysis.diagnosis.finding_table import RegionShare, Share
from analysis.diagnosis.findings import Code, Finding, Severity
from analysis.figures.sweep import finding_shares
from analysis.report.blocks import Block, Bullets, CodeBlock, Note, Section, Text, notes, pictures, section, table
from analysis.sweep.findings import SweepFindings
from analysis.wording import error_line
from sweeps.run_state import RunState

MOST_FINDINGS = 3
MOST_REGIONS = 12
MOST_FAILURES = 20
LEAST = 2  # runs with a finding: a region with one has it by chance
_SHORT = (
    "Runs that are too short to tell count among those without an alarm: where runs were let through the rungs, alarms"
    " are more frequent for that reason alone."
)
_TONES = {Severity.ERROR: "bad", Severity.WARNING: "even", Severity.INFO: "even"}
_SIGNS = {Severity.ERROR: "✗", Severity.WARNING: "!", Severity.INFO: "i"}

SHARE_HEAD = ("finding", "severity", "runs", "share")
REGION_HEAD = ("finding", "where", "runs", "share there", "share of all")


def diagnosis(findings: SweepFindings) -> Section:
    """Which curves have which problem, where in the space, and those of the best runs."""
    found, drawing = findings.diagnosis, finding_shares(findings)
    return section(
        9,
        "What the curves show",
        pictures([drawing] if drawing else []),
        table("Findings", SHARE_HEAD, share_rows(findings), words=2),
        table("Where alarms are more frequent than elsewhere", REGION_HEAD, region_rows(findings), words=2),
        Text(_SHORT) if too_short(findings) else None,
        *_of_best(findings),
        why=f"None of {found.runs} curves has a finding." if found.runs else "No run reported an epoch.",
    )


def too_short(findings: SweepFindings) -> int:
    """How many runs are too short for most rules."""
    return next((one.runs for one in findings.diagnosis.shares if one.code is Code.TOO_SHORT), 0)


def share_rows(findings: SweepFindings) -> list[tuple[str, ...]]:
    """One row a finding: how many of the runs have it."""
    shares = findings.diagnosis.shares
    return [(one.code.value, one.severity.value, f"{one.runs} of {one.of}", f"{one.share:.0%}") for one in shares]


def region_rows(findings: SweepFindings) -> list[tuple[str, ...]]:
    """The regions in which an alarm is most above its share of all runs."""
    whole = {(one.code, one.severity): one for one in findings.diagnosis.shares}

    def excess(one: RegionShare) -> float:
        return one.share - _share(whole[one.code, one.severity])

    alarms = [
        one
        for one in findings.diagnosis.regions
        if one.severity is not Severity.INFO and one.runs >= LEAST and excess(one) > 0
    ]
    alarms.sort(key=lambda one: -excess(one))
    return [
        (
            one.code.value,
            f"{one.field}: {one.region}",
            f"{one.runs} of {one.of}",
            f"{one.share:.0%}",
            f"{_share(whole[one.code, one.severity]):.0%}",
        )
        for one in alarms[:MOST_REGIONS]
    ]


def _share(one: Share) -> float:
    return one.share


def finding_note(one: Finding) -> Note:
    """A finding with its reasons."""
    tone, sign = _TONES[one.severity], _SIGNS[one.severity]
    return Note(tone, sign, one.severity.value.upper(), one.code.value, one.evidence, one.next_step)


def _of_best(findings: SweepFindings) -> list[Block | None]:
    """The findings of the best runs, the first ones of each."""
    blocks: list[Block | None] = []
    for one in findings.best:
        every, run = findings.findings.get(one.run.number, ()), one.run.number
        left = len(every) - MOST_FINDINGS
        more = f"; the first {MOST_FINDINGS}, sweeps diagnose {findings.spec.name} {run} has all" if left > 0 else ""
        blocks += [
            Text(f"Run {run}, rank {one.rank}: {len(every)} finding{'s' * (len(every) != 1)}{more}."),
            notes([finding_note(each) for each in every[:MOST_FINDINGS]]),
        ]
    return blocks


def failures(findings: SweepFindings) -> Section:
    """What diverged and what failed."""
    data = findings.data
    errors = {run.number: run.error for run in findings.failures}
    broken = [
        (number, state, epoch)
        for number, state, epoch in zip(data.numbers, data.states, data.epochs, strict=True)
        if state in (RunState.DIVERGED, RunState.FAILED)
    ]
    if not broken:
        return section(10, "Failures", why="No run diverged or failed.")
    rows = [
        (str(number), state.value, str(epoch), error_line(errors.get(number), "a number that is not finite"))
        for number, state, epoch in broken
    ]
    left = len(rows) - MOST_FAILURES
    return section(
        10,
        "Failures",
        Text(f"{len(rows)} of {len(data.numbers)} runs diverged or failed; a diverged one counts as the worst score."),
        table("What did not finish", ("run", "state", "epoch", "error"), rows[:MOST_FAILURES], words=4),
        Text(f"{left} more are in runs.csv.") if left > 0 else None,
    )


def caveats(findings: SweepFindings) -> Section:
    """What the sweep does not let one say."""
    noise = findings.noise
    known = "The noise of a final score cannot be told from this sweep, nor by how much selecting flattered the winner."
    if noise is not None:
        least = ", a lower bound" if noise.bound else ""
        known = f"The noise of a final score has a standard deviation of {noise.sd:.2g}, from {noise.method}{least}"
        worth = findings.optimism
        known += "." if worth is None else f"; to be the best of these runs is worth about {worth:.2g} by itself."
    return section(11, "Caveats", Bullets((*findings.caveats, known)))


def reproduce(findings: SweepFindings) -> Section:
    """What to do next, and how to do it again."""
    spec = findings.spec
    files = (
        "runs.csv: every run with its state, seed and every field of its recipe",
        "epochs.csv: every number that an epoch reported",
        "space.yaml: the sweep, with every default spelled out",
        *(("best.yaml: the best run's recipe as a space of its own",) if findings.best else ()),
        "report.json: every number and sentence of this report",
    )
    again = f"sweeps run space.yaml --name {spec.name}_again    # the same sweep from its file"
    return section(
        12,
        "Next, and again",
        CodeBlock("\n".join([*findings.commands, again])),
        Text(f"Points and the seed of every training follow from seed {spec.sampler.seed} and the run's number."),
        Text("Beside this page:"),
        Bullets(files),
    )
