"""One run in several processes: torch's DistributedDataParallel behind the interface of a training.

This file starts the processes, hands every call to all of them and returns what the first one answers. What one of them
does with a call is in rank_process.py, what they compute together in ranks.py.

No process outlives its use: they are ended by `close` and after any failure, and see to it themselves when this process
dies. What stays until then is the server that they are forked from; it only waits.
"""

from __future__ import annotations

import multiprocessing
import pickle
import signal
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
from trainers.compute.rank import Rank
from trainers.distributed.rank_process import Answer, Call, Start, packed, serve, unpacked
from trainers.reports import EpochReport

EXIT_TIMEOUT_S = 3.0  # for a process to end by itself
GRACE_S = 0.5  # for the death of a process to show after the others have complained of it


class DistributedTraining:
    """The same state machine as ``Training``, in several processes of this machine.

    Args:
        reference: Of a task; every process imports it for itself.
        recipe: Of the run; each process trains micro-batches of ``batch_size``.
        seed: Of the run.
        processes: How many; on CUDA each takes a device of its own.

    Raises:
        UsageError: This cannot be trained here.
        RunError: A process failed to start.
    """

    def __init__(self, reference: str, recipe: Recipe, seed: int, processes: int) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="sweeps-ranks-", ignore_cleanup_errors=True)
        rendezvous_file = str(Path(self._folder.name) / "store")
        threads = max(1, torch.get_num_threads() // processes)
        # Not forked from this process: neither CUDA nor the threads of torch survive that. And not spawned: the imports
        # of a process take seconds, which the server that they are forked from spends once for all runs.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["trainers.distributed.preload"])
        self._links: list[Connection] = []
        self._processes: list[BaseProcess] = []
        self._last = Answer()
        try:
            for index in range(processes):
                ours, theirs = context.Pipe()
                start = Start(reference, recipe, seed, Rank(index, processes), threads, rendezvous_file)
                process = context.Process(target=serve, args=(theirs, start), name=f"rank {index}", daemon=True)
                self._links.append(ours)
                process.start()
                self._processes.append(process)
                theirs.close()
            self._last = self._answers("open")
            self._fingerprint: Mapping[str, str] = self._last.value
        except BaseException:
            self.close()
            raise

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return self._last.epoch

    @property
    def fingerprint(self) -> Mapping[str, str]:
        """That of the first rank's ``Training``."""
        return self._fingerprint

    @property
    def finished(self) -> bool:
        """Whether the budget or the recipe's patience is spent."""
        return self._last.finished

    def run_epoch(self) -> EpochReport:
        """Train one epoch in all processes.

        Raises:
            RunError: A process raised, with its traceback, or died. All of them are ended.
        """
        report: EpochReport = self._ask("run_epoch")
        return report

    def state_dict(self) -> dict[str, Any]:
        """Return the first rank's snapshot, with its tensors on the CPU; it is that of a ``Training``."""
        return unpacked(self._ask("state_dict"))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue all processes from a snapshot.

        Raises:
            CheckpointError: It is none of this training. This training is then not to be used any more.
        """
        self._ask("load_state_dict", packed(state))

    def close(self) -> None:
        """End the processes."""
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

    def _ask(self, call: Call, argument: bytes = b"") -> Any:
        if not self._links:
            raise RunError("the processes of this training have been ended")
        for link in self._links:
            with suppress(OSError):  # the process is gone, which shows when its answer is waited for
                link.send_bytes(pickle.dumps((call, argument)))
        try:
            self._last = self._answers(call)
        except BaseException:  # Ctrl-C included: an answer that nobody has waited for would be taken for the next one's
            self.close()
            raise
        return self._last.value

    def _answers(self, call: Call) -> Answer:
        """Wait until every process has answered; return the first one's answer."""
        first = Answer()
        open_links = dict(enumerate(self._links))
        while open_links:
            wait([*open_links.values(), *(self._processes[index].sentinel for index in open_links)])
            for index, link in list(open_links.items()):
                if link.poll():
                    answer = _received(link)
                    if answer is None or answer.error is not None:
                        self._fail(call, index, answer)
                    first = answer if index == 0 else first
                    del open_links[index]
                elif not self._processes[index].is_alive():
                    self._fail(call, index, None)
        return first

    def _fail(self, call: Call, index: int, answer: Answer | None) -> NoReturn:
        """End all processes and raise what was wrong with one of them."""
        refused = answer.error if answer is not None and isinstance(answer.error, SweepsError) else None
        if refused is None:
            # The others of a process that died complain of lost connections, and may be heard first.
            wait([process.sentinel for process in self._processes], timeout=GRACE_S)
        count = len(self._processes)
        exits = {number: process.exitcode for number, process in enumerate(self._processes) if not process.is_alive()}
        for process in self._processes:
            process.kill()
        self.close()
        if exits:
            dead, code = exits.popitem()
            raise RunError(f"rank {dead} of {count} died during {call}: {_cause(code)}")
        if refused is not None:
            raise refused
        reason = "it closed its pipe" if answer is None else str(answer.error)
        raise RunError(f"rank {index} of {count} failed during {call}:\n{reason}")


def _cause(code: int | None) -> str:
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"


def _received(link: Connection) -> Answer | None:
    """Return the answer that waits in a pipe, or None when its process has gone."""
    try:
        answer: Answer = pickle.loads(link.recv_bytes())  # noqa: S301  from our own process
    except (EOFError, OSError):
        return None
    return answer
