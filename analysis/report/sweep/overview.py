"""Sections 0 to 2: what was searched, the best runs, and the checks of the search."""

from analysis.export import best_yaml
from analysis.report.blocks import CodeBlock, Note, Section, Text, notes, section, table, text
from analysis.report.provenance import provenance_rows
from analysis.report.sweep.headline import SIGNS, TONES
from analysis.sweep.checks.range_checks import search_line
from analysis.sweep.findings import BestRun, SweepFindings
from analysis.wording import NONE, number, signed, value_text
from search_spaces import Asha, SpaceSpec, Value, flatten
from trainers.check import Check, Outcome


def searched(findings: SweepFindings) -> Section:
    """Make the section with the setup, the search space and the cost."""
    spec, budget = findings.spec, findings.spec.recipe.budget
    facts = [
        ("task", spec.task_name),
        ("metric", f"{spec.metric.name}, {spec.metric.goal}"),
        ("sampler", f"{spec.sampler.kind}, seed {spec.sampler.seed}"),
        ("early stopping", _stopping(spec)),
        ("runs", f"{len(findings.data.numbers)} of {spec.runs}: {_states(findings)}"),
        ("budget", budget.text if spec.command else f"{budget.text}, batch size {budget.batch_size}"),
        (
            "cost",
            f"{budget.counted(findings.epochs_spent)}, {number(sum(one.seconds for one in findings.ledger))} s of"
            " training",
        ),
        *provenance_rows(findings.created_at, findings.digest, findings.provenance),
    ]
    base = flatten(spec.recipe)
    space = [(search_line(field, one), _cell(base.get(field))) for field, one in sorted(spec.search.items())]
    return section(
        0,
        "What was searched",
        table("Sweep", ("", ""), facts, words=2),
        table("Search space (run 0 is the baseline)", ("search", "baseline"), space, words=2),
        text("" if space else "The search space is empty: every run uses the baseline recipe."),
    )


def _stopping(spec: SpaceSpec) -> str:
    rule = spec.early_stopping
    if not isinstance(rule, Asha):
        return "none: every run trains for the full budget"
    first = f"{spec.recipe.budget.unit} {rule.first_rung(spec.recipe.budget)}"
    return f"ASHA: promotes the top 1/{rule.reduction_factor} at each rung, from {first}"


def _states(findings: SweepFindings) -> str:
    return ", ".join(f"{row.runs} {row.state.value.lower()}" for row in findings.ledger) or "none started"


def best_runs(findings: SweepFindings) -> Section:
    """Make the section with the best complete runs, the changes of the best one, and its recipe as a space file."""
    if not findings.best:
        return section(1, "Best runs", why="No run is complete.")
    winner, spec = findings.best[0], findings.spec
    fields = sorted(spec.search)
    head = ("rank", "run", spec.metric.name, "gain over baseline", f"{spec.recipe.budget.unit}s", "seconds", *fields)
    changes = [(field, _cell(before), _cell(now)) for field, (before, now) in sorted(winner.changes.items())]
    return section(
        1,
        "Best runs",
        table("Complete runs, best first", head, [_best_row(one, fields) for one in findings.best], words=0),
        table(f"Changes in run {winner.run.number}", ("field", "baseline", f"run {winner.run.number}"), changes),
        text("" if changes else "The best run uses the baseline recipe."),
        Text(
            "The recipe of the best run as a space file (best.yaml in this folder). To train it again: sweeps run"
            f" best.yaml. To print the recipe of rank 2: sweeps apply {spec.name} --top 2."
        ),
        CodeBlock(best_yaml(spec, winner.run.recipe).rstrip()),
    )


def _best_row(one: BestRun, fields: list[str]) -> tuple[str, ...]:
    run = one.run
    name = f"{run.number} (baseline)" if not run.number else str(run.number)
    gain = NONE if one.gain is None or not run.number else signed(one.gain)
    facts = (str(one.rank), name, number(run.value or 0.0), gain, str(run.epoch), number(run.seconds))
    return (*facts, *(_cell(run.values.get(field)) for field in fields))


def _cell(value: Value) -> str:
    return NONE if value is None else value_text(value)


def checks(findings: SweepFindings) -> Section:
    """Make the section with the checks of the search and the suggested ranges."""
    order = list(Outcome)[::-1]
    ranked = sorted(findings.checks, key=lambda one: order.index(one.outcome))
    lines = "\n".join(["search:", *(f"  {search_line(*one)}" for one in sorted(findings.ranges.items()))])
    suggested = f"Suggested ranges, which sweeps extend {findings.spec.name} --edge would search:"
    return section(
        2,
        "Checks of the search",
        Text(check_counts(findings)),
        notes([_note(one) for one in ranked]),
        Text(suggested if findings.ranges else "No range needs to be changed."),
        CodeBlock(lines) if findings.ranges else None,
    )


def check_counts(findings: SweepFindings) -> str:
    """Return the number of checks with each outcome, as a sentence."""
    outcomes = [one.outcome for one in findings.checks]
    counts = ", ".join(f"{outcomes.count(one)} {one.value}" for one in list(Outcome)[::-1])
    return f"{len(outcomes)} checks: {counts}."


def _note(check: Check) -> Note:
    word = check.outcome.value
    return Note(TONES[check.outcome], SIGNS[check.outcome], word, check.name, check.evidence, check.next_step)
