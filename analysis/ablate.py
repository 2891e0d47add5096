"""`sweeps ablate`: train the pairs of an ablation. The only module of analysis that starts runs."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from analysis.ablation.claims import settled
from analysis.ablation.evidence import read_evidence
from analysis.ablation.pilot import checked_margin, pilot_of, plan_of
from analysis.report.ablation.plan import plan_json, print_plan
from analysis.report.present import FOLDER, present
from search_spaces import AblationSpec, UsageError, diff_specs, dump_ablation, parse_ablation
from search_spaces.values import counted
from sweeps import exit_codes
from sweeps.console.summary import MOST_ERRORS, Phases, continuation, states
from sweeps.driver.driver import drive, register
from sweeps.driver.work import Options, Work
from sweeps.engine.conductor import Conductor
from sweeps.engine.failures import failures, warnings
from sweeps.engine.progress import Progress, ablation_progress
from sweeps.plan.ablation_plan import AblationPlan, AblationTable, Finals
from sweeps.store.database import shown
from sweeps.store.records import SweepRecord
from sweeps.store.store import Store


def ablate(
    spec: AblationSpec,
    options: Options,
    console: Console,
    began: float,
    more: int = 0,
    to: Path | None = None,
    source: str = "",
    confirms: bool = False,
) -> int:
    """Train an ablation, or resume it, and write its report.

    Args:
        spec: The ablation.
        options: Runner, database and resources.
        console: Console for all output.
        began: Value of `time.monotonic` when the command was started.
        more: Number of pairs to add to a finished ablation.
        to: Folder for the report; None for `reports/NAME`.
        source: Name of the sweep whose best runs are the arms; empty if there is none.
        confirms: Whether the ablation confirms this sweep, whose report then states the verdict.

    Returns:
        The exit code of `sweeps.driver.driver.drive`.

    Raises:
        UsageError: The input has to be fixed first.
        SweepError: The ablation cannot continue; running the same command again resumes it.
    """
    code = drive(ablation_work(spec, more, source, confirms), options, console, began)
    if code != exit_codes.INTERRUPTED:  # a report before the end would be an unplanned look
        present(options.storage, spec.name, console, to)
    return code


def plan(
    spec: AblationSpec,
    pairs: int,
    command: str,
    options: Options,
    console: Console,
    began: float,
    to: Path | None = None,
) -> int:
    """Train the pilot of an ablation, or resume it, and print and write how many pairs the ablation needs.

    Args:
        spec: The ablation.
        pairs: Number of pilot pairs.
        command: Command that trains the ablation, without its number of pairs.
        options: Runner, database and resources.
        console: Console for all output.
        began: Value of `time.monotonic` when the command was started.
        to: Folder for `plan.json`; None for `reports/NAME-pilot`.

    Returns:
        The exit code of `sweeps.driver.driver.drive`.

    Raises:
        UsageError: The input has to be fixed first, such as a file without a margin.
        SweepError: The pilot cannot continue; running the same command again resumes it.
    """
    checked_margin(spec)
    pilot = pilot_of(spec, pairs)
    code = drive(_pilot_work(pilot), options, console, began)
    if code == exit_codes.DONE:
        found = plan_of(spec, read_evidence(options.storage, pilot.name))
        folder = to or FOLDER / pilot.name
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "plan.json"
        file.write_text(plan_json(found), encoding="utf-8")
        print_plan(found, command, console, file)
    return code


def _pilot_work(pilot: AblationSpec) -> Work:
    """Return the work of a pilot, which may get more pairs at any time, since it tests nothing."""

    def reconcile_spec(store: Store, row: SweepRecord) -> tuple[str, tuple[str, ...]]:
        stored = parse_ablation(row.spec_yaml, f"{pilot.name} (stored)", pilot.name)
        most = max(stored.pairs, pilot.pairs)
        stored, wanted = (one.model_copy(update={"pairs": most}) for one in (stored, pilot))
        return dump_ablation(wanted), diff_specs(stored, wanted)

    return replace(ablation_work(pilot), reconcile_spec=reconcile_spec)


def ablate_tasks(
    specs: Sequence[AblationSpec], options: Options, console: Console, began: float, to: Path | None = None
) -> int:
    """Train the ablations of several tasks one after another, or resume them, and write their reports.

    Args:
        specs: Ablation of each task, from `load_ablations`.
        options: Runner, database and resources.
        console: Console for all output.
        began: Value of `time.monotonic` when the command was started.
        to: Folder for the reports; None for `reports/NAME`.

    Returns:
        The exit code of `sweeps.driver.driver.drive` for the first task that was interrupted, or else the largest one.

    Raises:
        UsageError: The input has to be fixed first.
        SweepError: A task cannot continue; running the same command again resumes it.
    """
    group = specs[0].group
    if group is None:
        raise ValueError(f"{specs[0].name} is not an ablation of several tasks")
    works = [ablation_work(spec) for spec in specs]
    register(works, group.name, options.storage)
    code = exit_codes.DONE
    for number, work in enumerate(works):
        console.print(f"task {number + 1} of {len(works)}: {group.tasks[number]}", soft_wrap=True)
        found = drive(work, options, console, began if number == 0 else time.monotonic())
        if found == exit_codes.INTERRUPTED:  # a report before the end would be an unplanned look
            return found
        code = max(code, found)
    present(options.storage, group.name, console, to)
    return code


def ablation_work(spec: AblationSpec, more: int = 0, source: str = "", confirms: bool = False) -> Work:
    """Return the work of an ablation for the driver."""

    def reconcile_spec(store: Store, row: SweepRecord) -> tuple[str, tuple[str, ...]]:
        stored = parse_ablation(row.spec_yaml, f"{spec.name} (stored)", spec.name)
        # After --add-pairs, the ablation.yaml of the report already equals what is stored.
        differences = () if spec == stored else diff_specs(_as_first_written(stored, spec), spec)
        if more and not differences and _ended(stored, store, row):
            stored = _with_more_pairs(stored, more)
        return dump_ablation(stored), differences

    def plan(store: Store, row: SweepRecord) -> AblationPlan:
        stored = parse_ablation(row.spec_yaml, f"{spec.name} (stored)", spec.name)

        def decided(finals: Finals, pairs: int) -> bool:
            return settled(stored, finals, pairs)

        return AblationPlan(stored, decided)

    def progress(conductor: Conductor, eta_s: float | None) -> Progress:
        return ablation_progress(spec, list(conductor.runs), eta_s, conductor.plan.total)

    table = AblationTable(spec)
    return Work(
        spec=spec.space,
        kind="ablation",
        text=dump_ablation(spec),
        metric=spec.metrics.primary,
        reconcile_spec=reconcile_spec,
        plan=plan,
        what=f"{counted(table.until(spec.pairs), 'run')} ({len(table.arms)} arms, {counted(spec.pairs, 'pair')})",
        progress=progress,
        summary=_summary,
        facts={"question": spec.question, "primary": spec.metrics.primary, "design": spec.design},
        notes={"confirms": source} if confirms else {},
        source=source,
        arms={name: spec.all_arms[name] for name in table.arms},
        arm_metrics=spec.arm_metrics(),
    )


def _as_first_written(stored: AblationSpec, spec: AblationSpec) -> AblationSpec:
    """Return the stored ablation as it was before pairs were added."""
    if not stored.looks_taken or isinstance(spec.looks, tuple):
        return stored
    return stored.model_copy(update={"pairs": stored.looks_taken[0], "looks": spec.looks, "looks_taken": ()})


def _ended(stored: AblationSpec, store: Store, row: SweepRecord) -> bool:
    """Return whether every planned run has finished: an interrupted ablation is resumed before pairs are added."""
    runs = store.runs(row.id)
    return len(runs) >= AblationTable(stored).until(stored.pairs) and all(run.state.finished for run in runs)


def _with_more_pairs(stored: AblationSpec, more: int) -> AblationSpec:
    """Return the ablation with more pairs and the e-process, which stays valid when pairs are added after a result.

    Raises:
        UsageError: The ablation has planned looks, and all of them were taken.
    """
    if isinstance(stored.looks, tuple):
        raise UsageError(
            f"--add-pairs: the looks of {stored.name!r} were planned at {list(stored.looks)} pairs, and more pairs "
            "would add an unplanned look; run a new ablation with --name NEW --seed OTHER and looks: e_process, which "
            "may stop after any pair"
        )
    taken = (*stored.looks_taken, stored.pairs)
    return stored.model_copy(update={"pairs": stored.pairs + more, "looks": "e_process", "looks_taken": taken})


def _summary(conductor: Conductor, phases: Phases, storage: str, console: Console) -> None:
    """Print the states of the runs and the time taken, before the report."""
    rows = [("runs", states(conductor)), ("time", str(phases)), ("stored", shown(storage))]
    rows += [("failed", text) for text in failures(conductor.runs)[:MOST_ERRORS]]
    rows += [("warning", f" {text}") for text in warnings(conductor.runs)]
    if not conductor.finished:
        rows.append(("next", continuation(conductor)))
    for name, text in rows:
        console.print(f"{name:<8}{text}", soft_wrap=True)
