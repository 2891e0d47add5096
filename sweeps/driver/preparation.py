"""Prepares the task of a sweep, and refuses to mix runs that were trained with other code, data or packages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from search_spaces import SweepError, UsageError
from sweeps.changes import OURS, REFUSED, ArmCode, Change, Difference, TrainedWith, differences, recorded_arms
from sweeps.driver.arm_code import PreparedArms, prepare_arms
from sweeps.driver.interrupts import Interrupts
from sweeps.driver.provenance import code_state
from sweeps.driver.work import Work
from sweeps.preflight.child import Child, needs_preparation
from sweeps.preflight.command_check import check_before_runs
from sweeps.runners.ray.node_check import versions
from sweeps.store.records import Fence, SweepRecord
from sweeps.store.store import Store


@dataclass(frozen=True)
class Continuation:
    """What a command continues, and whether it may.

    Attributes:
        work: The sweep or ablation.
        store: Open database.
        fence: The right to write.
        runs: Number of recorded runs that have been trained.
        accepted: Whether the user accepts every difference.
        say: Prints a line for the user.
        probes: Whether to check by short starts that the arguments of a command take effect.
        code_folder: Folder for the files of the arms that run another revision.
    """

    work: Work
    store: Store
    fence: Fence
    runs: int
    accepted: bool
    say: Callable[[str], None]
    probes: bool = False
    code_folder: Path = Path()

    def recorded(self) -> TrainedWith:
        """Return what the runs of this sweep were trained with; before the first run, those of its source."""
        if self.runs:
            return TrainedWith.recorded(self._row().provenance)
        source = self.store.sweep(self.work.source) if self.work.source else None
        if source is None:
            return TrainedWith()
        recorded = TrainedWith.recorded(source.provenance)
        # The seed of this sweep is another one, which moves examples between train and val.
        return replace(recorded, data={name: digest for name, digest in recorded.data.items() if name == "test"})

    def prepare_arms(self) -> PreparedArms:
        """Prepare a command, in the files of each arm of an ablation.

        Raises:
            UsageError: A command or the code of an arm cannot be used.
        """
        command, spec = self.work.spec.command, self.work.spec
        if command is None:
            raise TypeError("only a command has arms with code of their own")
        recorded = recorded_arms(self._row().provenance) if self.runs else {}
        return prepare_arms(self.work.arms, command, spec.recipe, recorded, self.code_folder, self.say)

    def check(self, prepared: Mapping[str, Any], arms: Mapping[str, ArmCode] = MappingProxyType({})) -> None:
        """Compare what the next runs will be trained with to what is recorded, then record it.

        Args:
            prepared: Answer of the child that prepared the task; empty if there was none.
            arms: Code of the arms of an ablation.

        Raises:
            UsageError: It differs, and the user has not accepted that.
        """
        row, recorded, ours = self._row(), self.recorded(), versions()
        current = TrainedWith(packages={name: ours[name] for name in (*REFUSED, OURS)}, **prepared)
        found = differences(recorded, current)
        refused = [one for one in found if one.refused]
        if refused and not self.accepted:
            raise UsageError(*self._refusal(refused))
        provenance = {**row.provenance, "trained_with": asdict(current.filled_from(recorded))}
        now = datetime.now(UTC).isoformat(timespec="seconds")
        if self.work.spec.command is not None and (found or not self.runs):
            provenance["code"] = self._code(row, now)
        if arms:
            provenance["arms"] = {name: asdict(one) for name, one in arms.items()}
        if found:
            changes = [Change(f"{one.text}{self._since}", now, self.runs) for one in found]
            provenance["changes"] = [*row.provenance.get("changes", ()), *map(asdict, changes)]
            for change in changes:
                self.say(f"recorded as changed: {change}")
        if provenance != row.provenance:
            self.store.set_provenance(self.fence, provenance)

    def _code(self, row: SweepRecord, now: str) -> list[dict[str, Any]]:
        """Return the recorded states of the code with the current one; before the first run, the current one only."""
        state = code_state(now, self.runs)
        before = row.provenance.get("code", ()) if self.runs else ()
        return [*before, *([] if state is None else [asdict(state)])]

    @property
    def _since(self) -> str:
        return "" if self.runs else f" since sweep {self.work.source!r}"

    def _row(self) -> SweepRecord:
        row = self.store.sweep(self.work.spec.name)
        if row is None:
            raise SweepError(f"sweep {self.work.spec.name!r} is no longer in the database")
        return row

    def _refusal(self, refused: Sequence[Difference]) -> tuple[str, ...]:
        kind, name, source = self.work.kind, self.work.spec.name, self.work.source
        if self.runs:
            head = f"{kind} {name!r}: its {self.runs} trained runs and the next ones would not be comparable:"
            ways = "restore the old state, keep both with --name OTHER"
        else:
            head = f"{kind} {name!r} trains runs of sweep {source!r} again, but no longer with the same code or data:"
            ways = "restore the old state, run the sweep again with --name OTHER and follow that one up"
        return (
            head,
            *(f"  {one.text}" for one in refused),
            f"{ways}, or continue with --accept-changes, which every report then states",
        )


class Preparation:
    """Prepares the task in a child process if that is needed, and checks the continuation; it starts at once.

    Attributes:
        folders: Arm of an ablation -> folder in which its command runs, if that is not the driver's. `wait` sets it.
    """

    def __init__(self, continuation: Continuation) -> None:
        spec, arms = continuation.work.spec, continuation.work.arm_metrics
        self._continuation = continuation
        needed = needs_preparation(spec)
        self._child = Child("prepare", spec, continuation.recorded().sources, arms) if needed else None
        self._done = False
        self.folders: Mapping[str, str] = {}

    @property
    def early(self) -> bool:
        """Whether to wait for it before anything else starts: the user's code may have mistakes or changes."""
        return self._child is None or self._continuation.work.spec.own_code

    def wait(self, interrupts: Interrupts) -> None:
        """Return when the task is prepared and its runs may be trained; a second call returns at once.

        Raises:
            UsageError: The task cannot be trained, or its runs would not be comparable with the recorded ones.
        """
        if self._done:
            return
        spec = self._continuation.work.spec
        if spec.command is not None:
            with interrupts.at_once():
                arms = self._continuation.prepare_arms()
            self._continuation.check(arms.prepared, arms.code)
            self.folders = arms.folders
        else:
            with interrupts.at_once():
                prepared = {} if self._child is None else self._child.wait()
            self._continuation.check(prepared)
        if spec.command is not None and self._continuation.probes:
            with interrupts.at_once():
                check_before_runs(spec, self._continuation.say)
        self._done = True

    def stop(self) -> None:
        """Kill the child if it still runs."""
        if self._child is not None:
            self._child.stop()
