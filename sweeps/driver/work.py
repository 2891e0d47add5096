"""What is driven: a sweep or an ablation, and how."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from rich.console import Console

from search_spaces import SpaceSpec, diff_specs, dump_space, parse_space
from search_spaces.files.dump import DRIVING
from sweeps.console.summary import Phases, summary
from sweeps.engine.conductor import Conductor
from sweeps.engine.progress import Progress, sweep_progress
from sweeps.plan.plan import Plan
from sweeps.plan.search_plan import SearchPlan
from sweeps.store.records import SweepRecord
from sweeps.store.store import Store


@dataclass(frozen=True)
class Options:
    """How a sweep is driven; nothing here changes what it finds.

    Attributes:
        storage: Database URL.
        address: Of a running Ray cluster; None starts one here.
        local: Train in this process, without Ray.
        checkpoints: Path or URL of their folder; None puts them beside a SQLite file, or under ``runs``.
        wait: For another driver of the same sweep to end, in place of an error.
    """

    storage: str
    address: str | None = None
    local: bool = False
    checkpoints: str | None = None
    wait: bool = False


@dataclass(frozen=True)
class Work:
    """What is driven: a sweep, or an ablation.

    Attributes:
        spec: Task, recipe and metric; its name is the sweep's.
        kind: As the database calls it.
        text: The file, spelled out.
        metric: What the work is about in the end.
        adopt: The row -> the file that it is to hold from now on, and how the new one differs from that, a line each.
        plan: Made over the open database for the row.
        what: What one says of its size: "32 runs".
        progress: Where its runs stand, with the seconds that are left.
        summary: Prints where it stands, at the end.
        facts: What the study in the dashboard tells besides.
        notes: What its provenance tells besides.
    """

    spec: SpaceSpec
    kind: Literal["sweep", "ablation"]
    text: str
    metric: str
    adopt: Callable[[Store, SweepRecord], tuple[str, tuple[str, ...]]]
    plan: Callable[[Store, SweepRecord], Plan]
    what: str
    progress: Callable[[Conductor, float | None], Progress]
    summary: Callable[[Conductor, Phases, str, Console], None]
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)


def sweep_work(spec: SpaceSpec, forced: tuple[str, ...] = ()) -> Work:
    """A sweep over a space.

    Args:
        spec: The space.
        forced: Codes of the red flags that it is run in spite of; they stand with its provenance.
    """

    def adopt(store: Store, row: SweepRecord) -> tuple[str, tuple[str, ...]]:
        stored = parse_space(row.spec_yaml, f"{spec.name} (stored)", spec.name)
        driving: dict[str, Any] = {name: getattr(spec, name) for name in DRIVING}
        # More of the same changes nothing that is recorded.
        stored = stored.model_copy(update={**driving, "runs": max(spec.runs, stored.runs)})
        return dump_space(stored), diff_specs(stored, spec)

    return Work(
        spec=spec,
        kind="sweep",
        text=dump_space(spec),
        metric=spec.metric.name,
        adopt=adopt,
        plan=lambda store, row: SearchPlan(spec),
        what=f"{spec.runs} runs",
        progress=lambda conductor, eta_s: sweep_progress(spec, list(conductor.runs), eta_s),
        summary=summary,
        notes={"forced": forced} if forced else {},
    )
