"""One of the processes of a distributed training: it holds a `Training` and does what its parent calls for.

One that waits for a call ends when the pipe to its parent does, and one that computes is ended by its own thread that
watches the parent.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import Connection
from typing import Any, Literal

import torch
from torch import distributed

from search_spaces.errors import SweepsError
from search_spaces.recipe.recipe import Recipe
from trainers.compute.precision import choose_device
from trainers.compute.rank import Rank
from trainers.loop.training import Training
from trainers.reports import EpochReport
from trainers.task_lookup import load_task

# A rank waits for the first one's evaluations however long they take: that nothing hangs is the parent's business.
PATIENCE = timedelta(days=7)

Call = Literal["open", "run_epoch", "state_dict", "load_state_dict"]


@dataclass(frozen=True)
class Start:
    """What one process is started with."""

    reference: str
    recipe: Recipe
    seed: int
    rank: Rank
    threads: int
    rendezvous_file: str


@dataclass(frozen=True)
class Answer:
    """What one process answers to a call.

    Attributes:
        epoch: Epochs done.
        finished: Whether the training is.
        value: What the call returned, of the first rank.
        error: What it raised: an exception of ours, or the text of another's traceback.
    """

    epoch: int = 0
    finished: bool = False
    value: Any = None
    error: SweepsError | str | None = None


def packed(state: dict[str, Any]) -> bytes:
    """Return a snapshot as a checkpoint's bytes; torch's own way to send tensors would share their memory."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def unpacked(content: bytes) -> dict[str, Any]:
    """Return the snapshot in a checkpoint's bytes, its tensors on the CPU."""
    state: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return state


def serve(link: Connection, start: Start) -> None:
    """Be one rank: open the training, then do what the parent calls for until it closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        training = _open(start)
        _send(link, training, dict(training.fingerprint) if start.rank.first else None)
        while (called := _call(link)) is not None:
            value = _execute(training, *called)
            _send(link, training, value if start.rank.first else None)
        distributed.destroy_process_group()
    except Exception as error:  # noqa: BLE001  the user's code may raise anything; the parent raises it again
        failure = error if isinstance(error, SweepsError) else traceback.format_exc()
        with suppress(OSError):  # the parent is gone itself
            link.send_bytes(pickle.dumps(Answer(error=failure)))
        # Not gone before the parent has ended the others: they would complain of lost connections.
        _call(link)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _open(start: Start) -> Training:
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
        timeout=PATIENCE,
    )
    return Training(start.recipe, task, start.seed, start.rank)


def _call(link: Connection) -> tuple[Call, bytes] | None:
    """Wait for the parent's next call; None when there will be none."""
    try:
        called: tuple[Call, bytes] = pickle.loads(link.recv_bytes())  # noqa: S301  from our own parent
    except (EOFError, OSError):
        return None
    return called


def _execute(training: Training, call: Call, argument: bytes) -> EpochReport | bytes | None:
    match call:
        case "run_epoch":
            return training.run_epoch()
        case "state_dict":
            return packed(training.state_dict())
        case "load_state_dict":
            training.load_state_dict(unpacked(argument))
    return None


def _send(link: Connection, training: Training, value: EpochReport | bytes | dict[str, str] | None = None) -> None:
    link.send_bytes(pickle.dumps(Answer(training.epoch, training.finished, value)))
