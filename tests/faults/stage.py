"""Where one trial is played: its folder, its sweeps, what was injected, what was checked, and the result of it all."""

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
    """What one trial came to.

    Attributes:
        fault: Its name.
        how: How the fault was injected.
        count: How often it was.
        checked: Every law that held, with figures.
        lost: Every breach of a law; nothing else is in here.
        seconds: It took.
        command: Repeats it.
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
    """What a trial is given, and fills.

    Attributes:
        folder: An empty one.
        rng: Of every random moment.
        count: How many faults are wanted.
        ray_share: Of the lives of a driver, where a trial mixes both runners.
        how: What is to be said of the injections besides the fault's own words.
        injected: How many there were.
        verdicts: What was checked.
        stack: Closed at the end, whatever happens.
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

    # --- what is played -------------------------------------------------------------------------------------

    def sweep(
        self, space: str, *more: str, url: str | None = None, ray: bool = False, name: str = "toy", **command: Any
    ) -> Trial:
        """A sweep that was not started yet, of a space given as text; ``command`` are fields of its `Command`."""
        (self.folder / f"{name}.yaml").write_text(space)
        url = url or f"sqlite:///{self.folder / name / 'sweeps.db'}"
        return self.trial(
            ["run", f"{name}.yaml", "--storage", url, *([] if ray else ["--local"]), *more], url, **command
        )

    def trial(self, arguments: list[str], url: str, **command: Any) -> Trial:
        """Any command over a database."""
        log = self.folder / f"log-{len(self._commands)}.txt"
        if self._ray is None:
            self._ray = self.stack.enter_context(TemporaryDirectory(prefix="fr-", ignore_cleanup_errors=True))
        # Sockets lie there, so its path is short; and no sweep meets another one's Ray.
        command["environment"] = {"RAY_TMPDIR": self._ray, **command.get("environment", {})}
        one = self.adopt(Command(arguments, self.folder, log, **command))
        start_up = LOCAL_START_S if "--local" in arguments else RAY_START_S
        return Trial(one, url, self.rng, start_up_s=start_up)

    def adopt(self, command: Command) -> Command:
        """See to it that nothing is left of a command in the end."""
        self._commands.append(command)
        return command

    # --- what is checked ------------------------------------------------------------------------------------

    def check(self, law: str, breaches: Iterable[str] = (), note: str = "") -> None:
        """One invariant and where it does not hold."""
        self.verdicts.append(Verdict(law, list(breaches), note))

    def same(self, law: str, found: object, wanted: object) -> None:
        """That something is what it has to be."""
        self.check(law, [] if found == wanted else [f"wanted {wanted}, found {found}"], f"{found}")

    def code(self, found: int, wanted: int, trial: Trial, what: str = "the last command") -> None:
        """That a command ended with the right code."""
        self.check(f"{what} ends with {wanted}", [] if found == wanted else [f"{found}: {trial.tail()}"])

    def says(self, trial: Trial, *texts: str) -> None:
        """That a person was told, and was shown no traceback."""
        said = trial.command.said()
        for text in texts:
            self.check(f"it says {text!r}", [] if text in said else ["it does not"])
        self.check("no traceback is shown", ["there is one"] if "Traceback" in said else [])

    def whole(
        self, trial: Trial, rule: Rule, name: str = "toy", again: int = 2, failed: bool = False, weights: bool = True
    ) -> None:
        """Everything that must hold for a sweep that has survived; ``again`` runs are trained once more."""
        self.check("0 recorded rows disappeared or changed", trial.breaches, f"{trial.looks} comparisons")
        found = verdicts(trial.url, name, rule, failed)
        self.verdicts += [verdict for verdict in found if weights or "weights" not in verdict.law]
        if again:
            self.verdicts.append(retrained(trial.url, name, again))

    def nobody_left(self, patience: float = PATIENCE_S, what: str = "the end") -> None:
        """That every process of every command is gone."""
        began = time.monotonic()
        left = [line for command in self._commands for line in command.left_behind(patience)]
        took = time.monotonic() - began
        if took > 1 and not left:
            print(f"{'':5}  the last process was gone {took:.0f} s after {what}", flush=True)
        self.check(f"0 processes are left {patience:.0f} s after {what}", left)

    def nothing_runs(self, trial: Trial, what: str) -> None:
        """That a command which ended by itself left no run RUNNING, and gave the lease back."""
        running = one(trial.url, "SELECT count(*) FROM run WHERE state = 'RUNNING'")
        self.check(f"0 runs are RUNNING after {what}", [] if running == 0 else [f"{running}"])
        owner = one(trial.url, "SELECT max(lease_owner) FROM sweep")
        self.check(f"the lease is given back after {what}", [] if owner is None else [f"held by {owner}"])

    def close(self) -> None:
        """End what is left of it."""
        for command in self._commands:
            command.end()
        self.stack.close()


@dataclass(frozen=True)
class Fault:
    """A family of faults.

    Attributes:
        name: As it is called on the command line.
        how: How it is injected.
        count: How often, at full size.
        quick: How often, to see that the trial works.
        play: Does it.
    """

    name: str
    how: str
    count: int
    quick: int
    play: Callable[[Stage], None]


FAULTS: dict[str, Fault] = {}


def fault(name: str, how: str, count: int, quick: int) -> Callable[[Callable[[Stage], None]], Callable[[Stage], None]]:
    """Register a trial."""

    def register(play: Callable[[Stage], None]) -> Callable[[Stage], None]:
        FAULTS[name] = Fault(name, how, count, quick, play)
        return play

    return register


def played(fault: Fault, stage: Stage, command: str) -> Result:
    """Play a trial to its end; an error of the trial itself is a breach, too."""
    began = time.monotonic()
    try:
        try:
            fault.play(stage)
        except Exception as error:  # noqa: BLE001  whatever it was, nothing is known to have survived
            stage.check("the trial came to its end", [f"{type(error).__name__}: {error}"])
        few = [] if stage.injected >= stage.count else [f"{stage.injected}: the sweep has to be longer"]
        stage.check(f"{stage.count} faults were injected", few)
        stage.nobody_left()
    finally:
        stage.close()
    held = Counter(str(verdict).removeprefix("ok").strip() for verdict in stage.verdicts if not verdict.breaches)
    return Result(
        fault=fault.name,
        how=fault.how + stage.how,
        count=stage.injected,
        checked=tuple(law if times == 1 else f"{times} times: {law}" for law, times in held.items()),
        lost=tuple(f"{verdict.law}: {breach}" for verdict in stage.verdicts for breach in verdict.breaches),
        seconds=round(time.monotonic() - began, 1),
        command=command,
    )
