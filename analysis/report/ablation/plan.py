"""Print the plan of an ablation: pairs needed, what they cost, the odds of each verdict, and the next command."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.ablation.pilot import POWERS, ContrastPlan, Cost, PairsAt, Plan
from analysis.report.to_json import to_json
from analysis.statistics.permutation import MIN_PAIRS
from analysis.statistics.sequential import E_PROCESS
from analysis.statistics.verdicts import Verdict
from analysis.wording import NONE, number, or_dash, time_text
from search_spaces import MATCHED
from search_spaces.values import counted

_HEAD = ("contrast", "sd of the change", "correlation", *(f"pairs for power {power}" for power in POWERS))
_COST = ("cost", "runs", "run time", "CPU time", "wall time", "GPU time")


def print_plan(plan: Plan, command: str, console: Console, file: Path | None = None) -> None:
    """Print a plan.

    Args:
        plan: The plan.
        command: Command that trains the ablation, without its number of pairs.
        console: Console to print to; text of the ablation is not interpreted as markup.
        file: File with the plan as JSON, if it was written.
    """
    first = f"margin {number(plan.margin)} of {plan.metric}, each contrast tested at {number(plan.level)}"
    console.print(Text(f"plan of {plan.name} from {counted(plan.pilot_pairs, 'pilot pair')}: {first}"), soft_wrap=True)
    head = (*_HEAD, f"power with {counted(plan.file_pairs, 'pair')}")
    console.print(_table(head, [line for one in plan.contrasts for line in _needs(one)]))
    gpu = any(one.gpu_hours for one in plan.costs)
    console.print(_table(_COST if gpu else _COST[:-1], [_cost(one, gpu) for one in plan.costs]))
    verdicts = [one for one in Verdict if any(one in odds.verdicts for row in plan.contrasts for odds in row.odds)]
    if verdicts:
        head = ("odds of verdicts", "true improvement", *(one.value for one in verdicts))
        console.print(_table(head, [line for row in plan.contrasts for line in _odds(row, verdicts)]))
    for line in notes(plan):
        console.print(Text(line), soft_wrap=True)
    if file is not None:
        console.print(Text(f"plan     {file}"), soft_wrap=True)
    console.print(Text(f"next     {next_step(plan, command)}"), soft_wrap=True)


def plan_json(plan: Plan) -> str:
    """Return every number of a plan as JSON."""
    return to_json(plan)


def notes(plan: Plan) -> tuple[str, ...]:
    """Return the sentences below the tables of a plan."""
    lines = [f"An sd from {counted(plan.pilot_pairs, 'pair')} is rough, so the plan uses its upper 80 % limit."]
    if any(one.odds for one in plan.contrasts):
        studies = f"{plan.studies} simulated studies of {counted(plan.costs[0].pairs, 'pair')}"
        others = "; the other contrasts have no difference in them" if len(plan.contrasts) > 1 else ""
        lines[0] += f" The odds are those of {studies}{others}."
    if plan.pairs is not None and plan.pairs <= MIN_PAIRS:
        lines.append(f"With {MIN_PAIRS} or fewer pairs, a verdict rests on deltas that are normal.")
    if plan.looks == E_PROCESS:
        lines.append("The pairs are those of a t-test; the e-process may need more, as the odds show.")
    if plan.design != MATCHED:
        lines.append("The pilot compared the arms at their recipes; re-tuned arms may vary more or less.")
    return (*lines, *(_unknown(one) for one in plan.contrasts if one.upper is None))


def next_step(plan: Plan, command: str) -> str:
    """Return what to do after a plan."""
    if any(one.upper is None for one in plan.contrasts):
        return f"sweeps report {plan.pilot} shows the runs of the pilot"
    if plan.pairs is None:
        return "no feasible number of pairs detects the margin: a larger margin, or a metric that varies less"
    step = f"{command} --pairs {plan.pairs}"
    if isinstance(plan.looks, tuple) and plan.pairs != plan.file_pairs:
        return f"{step}, with looks: {list(plan.looks)} in the file"
    return step


def _unknown(one: ContrastPlan) -> str:
    if one.pairs < 2:
        return f"{one.contrast.name}: {counted(one.pairs, 'pilot pair')} complete, but an sd needs two."
    return (
        f"{one.contrast.name}: all deltas of the pilot are equal, so nothing can be planned; does the arm take effect?"
    )


def _needs(one: ContrastPlan) -> list[tuple[str, ...]]:
    """Return a row for the observed standard deviation, and one for its upper limit."""
    rho = or_dash(one.rho, "{:.2f}".format)
    if one.observed is None or one.upper is None:
        return [(one.contrast.name, NONE, rho, *(NONE for _ in POWERS), NONE)]
    return [
        (one.contrast.name, f"{number(one.observed.sd)} observed", rho, *_counts(one.observed)),
        ("", f"{number(one.upper.sd)} upper 80 %", "", *_counts(one.upper)),
    ]


def _counts(at: PairsAt) -> tuple[str, ...]:
    counts = ("> 10,000" if count is None else str(count) for count in at.needed.values())
    return (*counts, or_dash(at.power, "{:.2f}".format))


def _cost(one: Cost, gpu: bool) -> tuple[str, ...]:
    hours = (one.hours, one.cpu_hours, one.wall_hours, *((one.gpu_hours,) if gpu else ()))
    return (counted(one.pairs, "pair"), str(one.runs), *(or_dash(hour, time_text) for hour in hours))


def _odds(one: ContrastPlan, verdicts: Sequence[Verdict]) -> list[tuple[str, ...]]:
    return [
        (
            one.contrast.name if index == 0 else "",
            number(odds.improvement),
            *(f"{100 * odds.verdicts.get(verdict, 0.0):.0f} %" for verdict in verdicts),
        )
        for index, odds in enumerate(one.odds)
    ]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for index, name in enumerate(head):
        table.add_column(name, justify="right" if index else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table
