"""One process of a distributed training: it runs a `Training` and executes the calls of its parent.

A process that waits for a call exits when the pipe to its parent closes. A process that computes is stopped by its own
thread, which watches the parent.
"""

import io
import multiprocessing
import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing.connection import Connection
from multiprocessing.reduction import DupFd
from typing import Any, Literal

import torch
from torch import distributed

from search_spaces.errors import SweepsError
from search_spaces.recipe.recipe import Recipe
from trainers.compute.cards import cuda_environment, take_environment
from trainers.compute.memory import memory_ran_out
from trainers.compute.precision import choose_device
from trainers.compute.rank import Rank
from trainers.data.loader_process import end_with_parent
from trainers.loop.training import Training
from trainers.reports import EpochReport
from trainers.storage import checkpoints
from trainers.task_lookup import load_task

# Longer than any evaluation of the first rank, for which the others wait, and short enough to end a run that hangs
# without a death. The parent handles dead processes.
COLLECTIVE_TIMEOUT = timedelta(hours=2)

Call = Literal["open", "advance", "state_dict", "load_state_dict"]


class Streams:
    """Standard output and error of the process that starts a rank; the fork server may have those of an earlier run."""

    def __reduce__(self) -> tuple[Callable[..., "Streams"], tuple[Any, ...]]:
        return _adopt, (DupFd(1), DupFd(2))


def _adopt(out: Any, err: Any) -> Streams:
    """Write from now on where the process that starts this one does, line by line."""
    for passed, stream in ((out, sys.stdout), (err, sys.stderr)):
        descriptor = passed.detach()
        os.dup2(descriptor, stream.fileno())
        os.close(descriptor)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)
    return Streams()


@dataclass(frozen=True)
class Start:
    """Arguments of one process."""

    reference: str
    recipe: Recipe
    seed: int
    rank: Rank
    threads: int
    rendezvous_file: str
    streams: Streams = field(default_factory=Streams)
    environment: Mapping[str, str] = field(default_factory=cuda_environment)


@dataclass(frozen=True)
class Reply:
    """Reply of one process to a call.

    Attributes:
        epoch: Number of completed epochs.
        step: Number of optimizer steps done in the current epoch.
        finished: Whether the training is finished.
        value: Return value of the call in the first rank.
        error: Exception of the call if it is a `SweepsError`, otherwise the text of its traceback.
        out_of_memory: Where memory ran out, if that is the error.
    """

    epoch: int = 0
    step: int = 0
    finished: bool = False
    value: Any = None
    error: SweepsError | str | None = None
    out_of_memory: str | None = None


def serve(link: Connection, start: Start) -> None:
    """Run one rank: open the training, then execute the calls of the parent until it closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # only the parent handles Ctrl-C
    multiprocessing.current_process().daemon = False  # a daemon may not start processes that load data
    end_with_parent()
    try:
        training = _open(start)
        _send(link, training, (dict(training.fingerprint), training.parameters) if start.rank.first else None)
        while (called := _call(link)) is not None:
            value = _execute(training, *called)
            _send(link, training, value if start.rank.first else None)
        distributed.destroy_process_group()
    except BaseException as error:  # noqa: BLE001  user code may raise anything; the parent raises it again
        failure = error if isinstance(error, SweepsError) else traceback.format_exc()
        with suppress(OSError):  # the parent is dead
            link.send_bytes(pickle.dumps(Reply(error=failure, out_of_memory=memory_ran_out(error))))
        # Stay alive until the parent has stopped the others, which would report lost connections.
        _call(link)


def _open(start: Start) -> Training:
    take_environment(start.environment)  # the fork server may have that of an earlier run
    torch.set_num_threads(start.threads)
    task = load_task(start.reference)
    device = choose_device(start.recipe.precision, start.rank)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    distributed.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        init_method=f"file://{start.rendezvous_file}",
        rank=start.rank.index,
        world_size=start.rank.count,
        timeout=COLLECTIVE_TIMEOUT,
    )
    return Training(start.recipe, task, start.seed, start.rank)


def _call(link: Connection) -> tuple[Call, Any] | None:
    """Wait for the next call of the parent; return None if the pipe is closed."""
    try:
        called: tuple[Call, Any] = pickle.loads(link.recv_bytes())  # noqa: S301  from our own parent
    except (EOFError, OSError):
        return None
    return called


def _execute(training: Training, call: Call, argument: Any) -> EpochReport | bytes | None:
    match call:
        case "advance":
            return training.advance(argument)
        case "state_dict":
            # As bytes: torch would send the tensors in shared memory.
            return checkpoints.encode(training.state_dict())
        case "load_state_dict":
            training.load_state_dict(checkpoints.decode(argument, "the parent process"))
    return None


def _send(link: Connection, training: Training, value: object = None) -> None:
    link.send_bytes(pickle.dumps(Reply(training.epoch, training.step, training.finished, value)))
