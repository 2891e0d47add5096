"""What is driven, a sweep or an ablation, and with which options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from rich.console import Console

from search_spaces import Arm, SpaceSpec, diff_specs, dump_space, parse_space
from search_spaces.files.dump import DRIVING
from search_spaces.specs.ablation_parts import ArmMetric
from search_spaces.values import counted
from sweeps.console.summary import Phases, summary
from sweeps.engine.conductor import Conductor
from sweeps.engine.progress import Progress, sweep_progress
from sweeps.listener import Listener
from sweeps.plan.plan import Plan
from sweeps.plan.search_plan import SearchPlan
from sweeps.store.records import SweepRecord
from sweeps.store.store import Store
from sweeps.store.writer import Writer


@dataclass(frozen=True)
class Options:
    """How a sweep is driven; no option changes the results of a run.

    Attributes:
        storage: Database URL.
        address: Address of a running Ray cluster; None starts one on this machine.
        local: Train in this process, without Ray.
        checkpoints: Path or URL of the folder for checkpoints; None puts them beside a SQLite file, or under ``runs``.
        wait: Wait until another driver of the same sweep ends, instead of raising an error.
        listeners: Factories of additional listeners, by name.
        accept_changes: Continue although code, data or packages have changed, and record what has.
        keep_going: Continue after the first runs have failed with the same error.
        probe: Check before the first run of a command, by short starts here, whether its arguments take effect.
    """

    storage: str
    address: str | None = None
    local: bool = False
    checkpoints: str | None = None
    wait: bool = False
    listeners: Mapping[str, ListenerFactory] = field(default_factory=dict)
    accept_changes: bool = False
    keep_going: bool = False
    probe: bool = False


@dataclass(frozen=True)
class Work:
    """A sweep or an ablation to run.

    Attributes:
        spec: Space with task, recipe and metric; its name is the name of the sweep.
        kind: Kind in the database.
        text: YAML text of the complete file.
        metric: Primary metric of the work.
        reconcile_spec: Returns the text to store from now on, and its differences from the new file, a line each.
        plan: Makes the plan from the open database and the row.
        what: Size of the work for users: "32 runs".
        progress: Returns the progress of the runs, given the estimated seconds left.
        summary: Prints the summary at the end of the command.
        facts: Additional attributes of the study in the dashboard.
        notes: Additional entries of the provenance.
        source: Name of the sweep whose best runs this work trains again; empty if there is none.
        arms: Trained arms of an ablation.
        arm_metrics: What each arm of an ablation reports.
    """

    spec: SpaceSpec
    kind: Literal["sweep", "ablation"]
    text: str
    metric: str
    reconcile_spec: Callable[[Store, SweepRecord], tuple[str, tuple[str, ...]]]
    plan: Callable[[Store, SweepRecord], Plan]
    what: str
    progress: Callable[[Conductor, float | None], Progress]
    summary: Callable[[Conductor, Phases, str, Console], None]
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""
    arms: Mapping[str, Arm] = field(default_factory=dict)
    arm_metrics: tuple[ArmMetric, ...] = ()


@dataclass(frozen=True)
class Session:
    """The open sweep of one command, from which its listeners are made."""

    work: Work
    options: Options
    console: Console
    store: Store
    writer: Writer
    conductor: Conductor


ListenerFactory = Callable[[Session], Listener]


def sweep_work(spec: SpaceSpec, forced: tuple[str, ...] = (), source: str = "") -> Work:
    """Return the work of a sweep over a space.

    Args:
        spec: The space.
        forced: Codes of the lint errors that were overridden with --force; stored with the provenance.
        source: Name of the sweep that this one extends; empty if there is none.
    """

    def reconcile_spec(store: Store, row: SweepRecord) -> tuple[str, tuple[str, ...]]:
        stored = parse_space(row.spec_yaml, f"{spec.name} (stored)", spec.name)
        driving: dict[str, Any] = {name: getattr(spec, name) for name in DRIVING}
        # More runs of the same space do not change what is recorded, and runs that were asked for once stay planned.
        stored = stored.model_copy(update={**driving, "runs": max(spec.runs, stored.runs)})
        return dump_space(stored), diff_specs(stored, spec.model_copy(update={"runs": stored.runs}))

    def planned(runs: int) -> SpaceSpec:
        return spec.model_copy(update={"runs": runs})

    return Work(
        spec=spec,
        kind="sweep",
        text=dump_space(spec),
        metric=spec.metric.name,
        reconcile_spec=reconcile_spec,
        plan=lambda store, row: SearchPlan(planned(parse_space(row.spec_yaml, "stored", spec.name).runs)),
        what=counted(spec.runs, "run"),
        progress=lambda conductor, eta_s: sweep_progress(planned(conductor.plan.total), list(conductor.runs), eta_s),
        summary=summary,
        notes={"forced": forced} if forced else {},
        source=source,
    )
