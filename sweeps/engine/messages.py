"""What the driver and its workers send each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trainers.reports import EpochReport


@dataclass(frozen=True)
class Job:
    """One run as a worker sees it; plain values, so that it can cross processes.

    Attributes:
        number: Of the run in its sweep.
        task: Name of a built-in task or dotted path of the user's own.
        recipe: As JSON.
        seed: Of every random stream of the training.
        rungs: Epochs at which the driver decides; a step never runs past one.
        directory: Path or URL of the folder where this run keeps its checkpoints; empty for none.
        checkpoint_every_s: Seconds of training between checkpoints that are at no rung.
        threads: CPU threads of torch.
        recorded: Epochs of the run that are recorded; a checkpoint that is ahead of them is of no use.
        import_paths: Folders where the user's own task is looked for.
        processes: How many train the run together; they share the threads.
    """

    number: int
    task: str
    recipe: Mapping[str, Any]
    seed: int
    rungs: Sequence[int]
    directory: str
    checkpoint_every_s: float
    threads: int
    recorded: int
    import_paths: Sequence[str] = ()
    processes: int = 1


@dataclass(frozen=True)
class Step:
    """What a worker did since it was last asked.

    Attributes:
        reports: Epochs, in order; empty when the run failed before the end of one.
        finished: The whole budget is trained.
        error: Traceback of what the training raised.
        out_of_memory: The error is that memory ran out.
        fingerprint: Digests by name of what the training started from; empty for a user's own loop, and when the
            training could not be opened.
        warning: What went wrong although the training goes on; told again with every later step of the run.
    """

    reports: tuple[EpochReport, ...] = ()
    finished: bool = False
    error: str | None = None
    out_of_memory: bool = False
    fingerprint: Mapping[str, str] = field(default_factory=dict)
    warning: str | None = None
