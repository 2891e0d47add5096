"""Train one run in several processes with torch's DistributedDataParallel, behind the interface of a training.

This file starts the processes, sends every call to all of them and returns the reply of the first one. How a process
handles a call is in rank_process.py; their joint operations are in compute/rank.py.

The processes stop at `close`, after any failure, and when this process dies. Only the idle server that they are forked
from remains until then.
"""

import multiprocessing
import pickle
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NoReturn

import torch

from search_spaces.errors import RunError, SweepsError
from search_spaces.recipe.recipe import Recipe
from trainers.compute.memory import RankMemoryError
from trainers.compute.rank import Rank
from trainers.distributed.rank_process import Call, Reply, Start, serve
from trainers.loop.advance import Advancing
from trainers.reports import EpochReport
from trainers.storage import checkpoints
from trainers.user_code import exit_cause

EXIT_TIMEOUT_S = 3.0  # for a process to exit by itself
GRACE_S = 0.5  # to detect that a process died after the others reported lost connections


class DistributedTraining(Advancing):
    """The same state machine as ``Training``, in several processes of this machine.

    Args:
        reference: Reference to a task; every process imports it.
        recipe: Recipe of the run; each process trains micro-batches of ``batch_size``.
        seed: Seed of the run.
        processes: Number of processes; on CUDA, each uses its own device.

    Raises:
        UsageError: This machine cannot run the training.
        RunError: A process failed to start.
    """

    def __init__(self, reference: str, recipe: Recipe, seed: int, processes: int) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="sweeps-ranks-", ignore_cleanup_errors=True)
        rendezvous_file = str(Path(self._folder.name) / "store")
        threads = max(1, torch.get_num_threads() // processes)
        # Not forked from this process, because CUDA and torch's threads do not survive a fork; not spawned, because the
        # imports take seconds. The fork server imports once for all runs.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["trainers.distributed.preload"])
        self._links: list[Connection] = []
        self._processes: list[BaseProcess] = []
        self._last = Reply()
        try:
            for index in range(processes):
                ours, theirs = context.Pipe()
                start = Start(reference, recipe, seed, Rank(index, processes), threads, rendezvous_file)
                process = context.Process(target=serve, args=(theirs, start), name=f"rank {index}", daemon=True)
                self._links.append(ours)
                process.start()
                self._processes.append(process)
                theirs.close()
            self._last = self._replies("open")
            self._fingerprint: Mapping[str, str]
            self._parameters: int | None
            self._fingerprint, self._parameters = self._last.value
        except BaseException:
            self.close()
            raise

    @property
    def epoch(self) -> int:
        """Number of completed epochs."""
        return self._last.epoch

    @property
    def step(self) -> int:
        """Number of optimizer steps done in the current epoch."""
        return self._last.step

    @property
    def parameters(self) -> int | None:
        """Number of parameters of the model in each process."""
        return self._parameters

    @property
    def fingerprint(self) -> Mapping[str, str]:
        """Fingerprint of the first rank's ``Training``."""
        return self._fingerprint

    @property
    def finished(self) -> bool:
        """Whether the budget or the patience of the recipe is used up."""
        return self._last.finished

    def advance(self, steps: int) -> EpochReport | None:
        """Train for at most ``steps`` optimizer steps in all processes; see ``Training``.

        Raises:
            RunError: A process raised an error (the message has its traceback) or died. All processes are stopped.
        """
        report: EpochReport | None = self._request("advance", steps)
        return report

    def state_dict(self) -> dict[str, Any]:
        """Return the first rank's ``Training`` snapshot, with its tensors on the CPU."""
        return checkpoints.decode(self._request("state_dict"), "the first rank")

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume all processes from a snapshot.

        Raises:
            CheckpointError: The snapshot is from another training. This training must not be used afterwards.
        """
        self._request("load_state_dict", checkpoints.encode(state))

    def close(self) -> None:
        """Stop the processes."""
        for link in self._links:
            link.close()
        for process in self._processes:
            process.join(EXIT_TIMEOUT_S)
            if process.is_alive():
                process.kill()
                process.join()
        self._links = []
        self._processes = []
        self._folder.cleanup()

    def _request(self, call: Call, argument: bytes | int = b"") -> Any:
        if not self._links:
            raise RunError("the processes of this training have been stopped")
        for link in self._links:
            with suppress(OSError):  # the process is dead, which is detected while waiting for its reply
                link.send_bytes(pickle.dumps((call, argument)))
        try:
            self._last = self._replies(call)
        except BaseException:  # including Ctrl-C: a pending reply would be taken for that of the next call
            self.close()
            raise
        return self._last.value

    def _replies(self, call: Call) -> Reply:
        """Wait until every process has replied; return the reply of the first one."""
        first = Reply()
        open_links = dict(enumerate(self._links))
        while open_links:
            wait([*open_links.values(), *(self._processes[index].sentinel for index in open_links)])
            for index, link in list(open_links.items()):
                if link.poll():
                    reply = _receive(link)
                    if reply is None or reply.error is not None:
                        self._fail(call, index, reply)
                    first = reply if index == 0 else first
                    del open_links[index]
                elif not self._processes[index].is_alive():
                    self._fail(call, index, None)
        return first

    def _fail(self, call: Call, index: int, reply: Reply | None) -> NoReturn:
        """Stop all processes and raise the error of one of them."""
        own_error = reply.error if reply is not None and isinstance(reply.error, SweepsError) else None
        if own_error is None:
            # If a process died, the others report lost connections, perhaps before the death is detected.
            wait([process.sentinel for process in self._processes], timeout=GRACE_S)
        count = len(self._processes)
        exits = {number: process.exitcode for number, process in enumerate(self._processes) if not process.is_alive()}
        for process in self._processes:
            process.kill()
        self.close()
        if exits:
            dead, code = exits.popitem()
            raise RunError(f"rank {dead} of {count} died during {call}: {exit_cause(code)}")
        if own_error is not None:
            raise own_error
        reason = "it closed its pipe" if reply is None else str(reply.error)
        message = f"rank {index} of {count} failed during {call}:\n{reason}"
        if reply is not None and reply.out_of_memory is not None:
            raise RankMemoryError(message, reply.out_of_memory)
        raise RunError(message)


def _receive(link: Connection) -> Reply | None:
    """Return the reply in a pipe, or None if its process is dead."""
    try:
        reply: Reply = pickle.loads(link.recv_bytes())  # noqa: S301  from our own process
    except (EOFError, OSError):
        return None
    return reply
