"""One trial: its folder, its sweeps, the injected faults, the checked invariants, and the result."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from command import PATIENCE_S, Command
from kills import LOCAL_START_S, RAY_START_S, Trial, one
from retrain import retrained
from verdicts import Rule, Verdict, verdicts


@dataclass(frozen=True)
class Result:
    """The result of one trial.

    Attributes:
        fault: Name of the fault.
        how: How the fault was injected.
        count: Number of injections.
        checked: Invariants that held, with figures.
        lost: Breaches of invariants.
        seconds: Duration of the trial.
        command: Command that repeats the trial.
    """

    fault: str
    how: str
    count: int
    checked: tuple[str, ...]
    lost: tuple[str, ...]
    seconds: float
    command: str


@dataclass
class Stage:
    """The input of a trial, and what the trial records.

    Attributes:
        folder: Empty folder for the trial.
        rng: Random generator for all random moments.
        count: Number of faults to inject.
        ray_share: Share of drivers with Ray, in a trial with both runners.
        how: Further details of the injections, appended to the description of the fault.
        injected: Number of injected faults.
        verdicts: Results of the checks.
        stack: Context managers that are closed at the end of the trial.
    """

    folder: Path
    rng: random.Random
    count: int
    ray_share: float = 0.25
    how: str = ""
    injected: int = 0
    verdicts: list[Verdict] = field(default_factory=list)
    stack: ExitStack = field(default_factory=ExitStack)
    _commands: list[Command] = field(default_factory=list)
    _ray: str | None = None

    # --- commands -------------------------------------------------------------------------------------------

    def sweep(
        self, space: str, *more: str, url: str | None = None, ray: bool = False, name: str = "toy", **command: Any
    ) -> Trial:
        """Return a sweep of this space, not yet started; ``command`` are fields of its `Command`."""
        (self.folder / f"{name}.yaml").write_text(space)
        url = url or f"sqlite:///{self.folder / name / 'sweeps.db'}"
        return self.trial(
            ["run", f"{name}.yaml", "--storage", url, *([] if ray else ["--local"]), *more], url, **command
        )

    def trial(self, arguments: list[str], url: str, **command: Any) -> Trial:
        """Return any command with a database, not yet started."""
        log = self.folder / f"log-{len(self._commands)}.txt"
        if self._ray is None:
            self._ray = self.stack.enter_context(TemporaryDirectory(prefix="fr-", ignore_cleanup_errors=True))
        # The path is short because it contains sockets. The folder separates the sweep from any other Ray.
        command["environment"] = {"RAY_TMPDIR": self._ray, **command.get("environment", {})}
        one = self.track(Command(arguments, self.folder, log, **command))
        start_up = LOCAL_START_S if "--local" in arguments else RAY_START_S
        return Trial(one, url, self.rng, start_up_s=start_up)

    def track(self, command: Command) -> Command:
        """Register a command, so that its processes are checked and killed at the end."""
        self._commands.append(command)
        return command

    # --- checks ---------------------------------------------------------------------------------------------

    def check(self, invariant: str, breaches: Iterable[str] = (), note: str = "") -> None:
        """Record the result of one check."""
        self.verdicts.append(Verdict(invariant, list(breaches), note))

    def same(self, invariant: str, found: object, wanted: object) -> None:
        """Check that a value is as expected."""
        self.check(invariant, [] if found == wanted else [f"expected {wanted}, found {found}"], f"{found}")

    def code(self, found: int, wanted: int, trial: Trial, what: str = "the last command") -> None:
        """Check the exit code of a command."""
        self.check(f"{what} ends with {wanted}", [] if found == wanted else [f"{found}: {trial.tail()}"])

    def says(self, trial: Trial, *texts: str) -> None:
        """Check that the command printed these texts and no traceback."""
        said = trial.command.said()
        for text in texts:
            self.check(f"it says {text!r}", [] if text in said else ["it does not"])
        self.check("no traceback is shown", ["there is one"] if "Traceback" in said else [])

    def whole(
        self, trial: Trial, rule: Rule, name: str = "toy", again: int = 2, failed: bool = False, weights: bool = True
    ) -> None:
        """Check all invariants of a finished sweep; ``again`` runs are trained again."""
        self.check("0 recorded rows disappeared or changed", trial.breaches, f"{trial.looks} comparisons")
        found = verdicts(trial.url, name, rule, failed)
        self.verdicts += [verdict for verdict in found if weights or "weights" not in verdict.invariant]
        if again:
            self.verdicts.append(retrained(trial.url, name, again))

    def no_process_left(self, patience: float = PATIENCE_S, what: str = "the end") -> None:
        """Check that all processes of all commands have ended."""
        began = time.monotonic()
        left = [line for command in self._commands for line in command.left_behind(patience)]
        took = time.monotonic() - began
        if took > 1 and not left:
            print(f"{'':5}  the last process was gone {took:.0f} s after {what}", flush=True)
        self.check(f"0 processes are left {patience:.0f} s after {what}", left)

    def nothing_runs(self, trial: Trial, what: str) -> None:
        """Check that a command that ended by itself left no run RUNNING and released the lease."""
        running = one(trial.url, "SELECT count(*) FROM run WHERE state = 'RUNNING'")
        self.check(f"0 runs are RUNNING after {what}", [] if running == 0 else [f"{running}"])
        owner = one(trial.url, "SELECT max(lease_owner) FROM sweep")
        self.check(f"the lease is released after {what}", [] if owner is None else [f"held by {owner}"])

    def close(self) -> None:
        """Kill all remaining processes and close the context managers."""
        for command in self._commands:
            command.end()
        self.stack.close()


@dataclass(frozen=True)
class Fault:
    """A kind of fault.

    Attributes:
        name: Name on the command line.
        how: How the fault is injected.
        count: Number of injections.
        quick: Number of injections with --quick.
        play: Function that runs the trial.
    """

    name: str
    how: str
    count: int
    quick: int
    play: Callable[[Stage], None]


FAULTS: dict[str, Fault] = {}


def fault(name: str, how: str, count: int, quick: int) -> Callable[[Callable[[Stage], None]], Callable[[Stage], None]]:
    """Register the decorated function as a trial."""

    def register(play: Callable[[Stage], None]) -> Callable[[Stage], None]:
        FAULTS[name] = Fault(name, how, count, quick, play)
        return play

    return register


def played(fault: Fault, stage: Stage, command: str) -> Result:
    """Run a trial and return its result; an error of the trial itself is also a breach."""
    began = time.monotonic()
    try:
        try:
            fault.play(stage)
        except Exception as error:  # noqa: BLE001  after any error, nothing is known to have survived
            stage.check("the trial ended without an error", [f"{type(error).__name__}: {error}"])
        few = [] if stage.injected >= stage.count else [f"{stage.injected}: the sweep must be longer"]
        stage.check(f"{stage.count} faults were injected", few)
        stage.no_process_left()
    finally:
        stage.close()
    held = Counter(str(verdict).removeprefix("ok").strip() for verdict in stage.verdicts if not verdict.breaches)
    return Result(
        fault=fault.name,
        how=fault.how + stage.how,
        count=stage.injected,
        checked=tuple(name if times == 1 else f"{times} times: {name}" for name, times in held.items()),
        lost=tuple(f"{verdict.invariant}: {breach}" for verdict in stage.verdicts for breach in verdict.breaches),
        seconds=round(time.monotonic() - began, 1),
        command=command,
    )
