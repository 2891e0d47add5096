"""`sweeps ablate`: a question in a file -> its pairs, trained. The one file of analysis that starts runs."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from analysis.ablation.claims import settled
from analysis.report.present import present
from search_spaces import AblationSpec, UsageError, diff_specs, dump_ablation, parse_ablation
from sweeps.console.summary import Phases, states
from sweeps.driver.driver import INTERRUPTED_EXIT, drive
from sweeps.driver.work import Options, Work
from sweeps.engine.conductor import Conductor
from sweeps.engine.live_run import warnings
from sweeps.engine.progress import Progress, ablation_progress
from sweeps.plan.ablation_plan import AblationPlan, AblationTable, Finals
from sweeps.store.database import shown
from sweeps.store.records import SweepRecord
from sweeps.store.store import Store


def ablate(
    spec: AblationSpec, options: Options, console: Console, began: float, more: int = 0, to: Path | None = None
) -> int:
    """Train an ablation, or go on where it stopped.

    Args:
        spec: The ablation.
        options: Where and how.
        console: What a person sees.
        began: `time.monotonic` when the command was typed.
        more: Pairs to add to one that has ended.
        to: Folder of the report; None for `reports/NAME`.

    Returns:
        As `sweeps.driver.driver.drive`.

    Raises:
        UsageError: Something has to be mended first.
        SweepError: The ablation cannot go on; the same command continues it.
    """
    code = drive(ablation_work(spec, more), options, console, began)
    if code != INTERRUPTED_EXIT:  # a report of what is not over would be a look that nobody planned
        present(options.storage, spec.name, console, to)
    return code


def ablation_work(spec: AblationSpec, more: int = 0) -> Work:
    """An ablation, as it is driven."""

    def reconcile_spec(store: Store, row: SweepRecord) -> tuple[str, tuple[str, ...]]:
        stored = parse_ablation(row.spec_yaml, f"{spec.name} (stored)", spec.name)
        # The file that a report of more pairs carries is the ablation as it is now.
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
        what=f"{table.until(spec.pairs)} runs ({len(table.arms)} arms, {spec.pairs} pairs)",
        progress=progress,
        summary=_summary,
        facts={"question": spec.question, "primary": spec.metrics.primary, "design": spec.design},
    )


def _as_first_written(stored: AblationSpec, spec: AblationSpec) -> AblationSpec:
    """The stored file as it was before pairs were added to it."""
    if not stored.looks_taken or isinstance(spec.looks, tuple):
        return stored
    return stored.model_copy(update={"pairs": stored.looks_taken[0], "looks": spec.looks, "looks_taken": ()})


def _ended(stored: AblationSpec, store: Store, row: SweepRecord) -> bool:
    """Whether every planned pair was trained: an ablation that was interrupted goes on before it grows."""
    runs = store.runs(row.id)
    return len(runs) >= AblationTable(stored).until(stored.pairs) and all(run.state.finished for run in runs)


def _with_more_pairs(stored: AblationSpec, more: int) -> AblationSpec:
    """The ablation with more pairs. Whoever adds pairs has seen the result, which only the e-process forgives.

    Raises:
        UsageError: Its looks were planned, and are over.
    """
    if isinstance(stored.looks, tuple):
        raise UsageError(
            f"--add-pairs: the looks of {stored.name!r} were planned at {list(stored.looks)} pairs, and more would be "
            "one that was not; ask again with --name NEW --seed OTHER and looks: e_process, which may end anywhere"
        )
    taken = (*stored.looks_taken, stored.pairs)
    return stored.model_copy(update={"pairs": stored.pairs + more, "looks": "e_process", "looks_taken": taken})


def _summary(conductor: Conductor, phases: Phases, storage: str, console: Console) -> None:
    """Where the runs stand, before the report says what they mean."""
    rows = [("runs", states(conductor)), ("time", str(phases)), ("stored", shown(storage))]
    rows += [("warning", f" {text}") for text in warnings(conductor.runs)]
    if not conductor.finished:
        rows.append(("next", "the same command continues"))
    for name, text in rows:
        console.print(f"{name:<8}{text}", highlight=False, markup=False, soft_wrap=True)
