"""The messages between the driver and its workers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trainers.reports import START, EpochReport, Position
from trainers.usage import Usage


@dataclass(frozen=True)
class Job:
    """One run for a worker; plain values that can be sent to another process.

    Attributes:
        number: Number of the run in its sweep.
        task: Name of a built-in task, dotted path of a user's own, or name of a command.
        recipe: Recipe as JSON.
        seed: Seed for all random streams of the training.
        rungs: Epochs at which ASHA decides; a step never continues past one.
        directory: Path or URL of the folder for the run's checkpoints; empty for none.
        checkpoint_every_s: Seconds of training between checkpoints outside rungs.
        threads: Number of CPU threads for torch.
        recorded: Number of recorded epochs; a checkpoint of a later epoch is not used.
        import_paths: Folders from which a user's own task is imported.
        processes: Number of processes that train the run together and share the threads.
        command: Command that trains the run, as JSON; None for a task that the worker imports.
        attempt: Number of this start of the run, from 1.
        outputs: Folder for the files of a command.
        gpu: Number of GPUs, or a share of one; 0 hides all of them from the run.
        folder: Folder in which a command runs; empty for that of the driver.
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
    command: Mapping[str, Any] | None = None
    attempt: int = 1
    outputs: str = ""
    gpu: float = 0.0
    folder: str = ""


@dataclass(frozen=True)
class Step:
    """The work of a worker since its last step.

    Attributes:
        reports: Reports of the epochs, in order; empty if none was completed.
        finished: Whether the whole budget is trained.
        error: Traceback of the exception of the training.
        out_of_memory: Whether the exception is an out-of-memory error.
        fingerprint: Digests, by name, of the initial state of the training, and its GPU; empty for a user's own loop,
            and if the training could not be opened.
        reports_all: Whether every epoch reports all metrics; an epoch of a user's own loop may leave some out.
        warning: A problem that does not stop the training; repeated in every later step of the run.
        unfinished_s: Seconds of training in the epoch that is not complete.
        saved: Position of the last checkpoint, from which the run would continue; the start if there is none.
        usage: What this start of the run has used so far; None if it is unknown.
    """

    reports: tuple[EpochReport, ...] = ()
    finished: bool = False
    error: str | None = None
    out_of_memory: bool = False
    fingerprint: Mapping[str, str] = field(default_factory=dict)
    reports_all: bool = False
    warning: str | None = None
    unfinished_s: float = 0.0
    saved: Position = START
    usage: Usage | None = None
