"""Sections 9 to 12: diagnosis of the curves, failures, caveats and next steps."""

from analysis.diagnosis.finding_table import RegionShare
from analysis.diagnosis.findings import Code, Finding, Severity
from analysis.figures.sweep import finding_shares
from analysis.report.blocks import Block, Bullets, CodeBlock, Note, Section, Text, notes, pictures, section, table, text
from analysis.sweep.findings import SweepFindings
from analysis.wording import a_unit, error_line
from search_spaces.values import counted
from sweeps.run_state import RunState

MOST_FINDINGS = 3
MOST_REGIONS = 12
MOST_FAILURES = 20
LEAST = 2  # runs with a finding: a single one may be chance
_SHORT = (
    "Runs that are too short to diagnose count as runs without errors or warnings. Regions with many promoted runs"
    " therefore show more errors and warnings."
)
_TONES = {Severity.ERROR: "bad", Severity.WARNING: "even", Severity.INFO: "even"}
_SIGNS = {Severity.ERROR: "✗", Severity.WARNING: "!", Severity.INFO: "i"}

SHARE_HEAD = ("finding", "severity", "runs", "share")
REGION_HEAD = ("finding", "region", "runs", "share in region", "share of all")


def diagnosis(findings: SweepFindings) -> Section:
    """Make the section with the findings of all curves, by region of the space, and for the best runs."""
    found = findings.diagnosis
    return section(
        9,
        "Diagnosis of the curves",
        pictures(finding_shares(findings)),
        table("Findings", SHARE_HEAD, share_rows(findings), words=2),
        table("Regions with more errors and warnings than elsewhere", REGION_HEAD, region_rows(findings), words=2),
        text(_SHORT if too_short(findings) else ""),
        *_of_best(findings),
        why=f"{counted(found.runs, 'curve')} checked, no findings."
        if found.runs
        else f"No run reported {a_unit(findings.spec)}.",
    )


def too_short(findings: SweepFindings) -> int:
    """Return the number of runs that are too short for most rules."""
    return next((one.runs for one in findings.diagnosis.shares if one.code is Code.TOO_SHORT), 0)


def share_rows(findings: SweepFindings) -> list[tuple[str, ...]]:
    """Return one row per finding with the number of runs that have it."""
    shares = findings.diagnosis.shares
    return [(one.code.value, one.severity.value, f"{one.runs} of {one.of}", f"{one.share:.0%}") for one in shares]


def region_rows(findings: SweepFindings) -> list[tuple[str, ...]]:
    """Return the regions in which the share of runs with an error or warning exceeds the overall share most."""
    whole = {(one.code, one.severity): one for one in findings.diagnosis.shares}

    def excess(one: RegionShare) -> float:
        return one.share - whole[one.code, one.severity].share

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
            f"{whole[one.code, one.severity].share:.0%}",
        )
        for one in alarms[:MOST_REGIONS]
    ]


def finding_note(one: Finding) -> Note:
    """Return a finding with its evidence."""
    tone, sign = _TONES[one.severity], _SIGNS[one.severity]
    return Note(tone, sign, one.severity.value.upper(), one.code.value, one.evidence, one.next_step)


def _of_best(findings: SweepFindings) -> list[Block | None]:
    """Return the first findings of each of the best runs."""
    blocks: list[Block | None] = []
    for one in findings.best:
        every, run = findings.findings.get(one.run.number, ()), one.run.number
        left = len(every) - MOST_FINDINGS
        more = f"; the first {MOST_FINDINGS} are shown, report.json has all" if left > 0 else ""
        blocks += [
            Text(f"Run {run} (rank {one.rank}): {counted(len(every), 'finding')}{more}."),
            notes([finding_note(each) for each in every[:MOST_FINDINGS]]),
        ]
    return blocks


def failures(findings: SweepFindings) -> Section:
    """Make the section with the runs that diverged or failed."""
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
        (str(number), state.value, str(epoch), error_line(errors.get(number), "non-finite value"))
        for number, state, epoch in broken
    ]
    left = len(rows) - MOST_FAILURES
    return section(
        10,
        "Failures",
        Text(
            f"{len(rows)} of {counted(len(data.numbers), 'run')} diverged or failed. A diverged run counts as the worst"
            " score."
        ),
        table(
            "Runs that diverged or failed",
            ("run", "state", findings.spec.recipe.budget.unit, "error"),
            rows[:MOST_FAILURES],
            words=4,
        ),
        text(f"runs.csv lists {left} more." if left > 0 else ""),
    )


def caveats(findings: SweepFindings) -> Section:
    """Make the section with the limits of the conclusions."""
    noise = findings.noise
    known = "This sweep shows neither the noise of a final score nor how much selection improved the winner's score."
    if noise is not None:
        least = " (a lower bound)" if noise.bound else ""
        known = f"The noise of a final score has a standard deviation of {noise.sd:.2g}{least}, from {noise.method}."
        if findings.optimism is not None and findings.best and findings.best[0].run.number:
            at_least = "at least " if noise.bound else ""
            known += (
                f" The score of the best run is optimistic by {at_least}about {findings.optimism:.2g}, because it was"
                " selected."
            )
    return section(11, "Caveats", Bullets((*findings.caveats, known)))


def reproduce(findings: SweepFindings) -> Section:
    """Make the section with the next commands and the files of the report."""
    spec = findings.spec
    files = (
        "runs.csv: all runs with state, seed and all recipe fields",
        f"epochs.csv: all metrics of all {findings.spec.recipe.budget.unit}s",
        "space.yaml: the space file of this sweep with all defaults",
        *(("best.yaml: the recipe of the best run as a space file",) if findings.best else ()),
        "report.json: all numbers and sentences of this report",
    )
    again = f"sweeps run space.yaml --name {spec.name}_again    # repeat this sweep from its file"
    return section(
        12,
        "Next steps and reproduction",
        CodeBlock("\n".join([*findings.commands, again])),
        Text(f"All sampled points and training seeds are derived from seed {spec.sampler.seed} and the run number."),
        Text("Files in this folder:"),
        Bullets(files),
    )
