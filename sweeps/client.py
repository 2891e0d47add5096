"""Report metrics from a training script, and learn whether it should stop.

    from sweeps.client import report

    for step in range(1, 3001):
        ...
        if step % 100 == 0 and report({"val/loss": loss}, step=step):
            break

In a sweep, ``report`` returns once the metrics are recorded; elsewhere it prints them and returns False. This module
imports the standard library alone, so a script may import it whatever else it uses. docs/report.md has the rules.
"""

import json
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from queue import SimpleQueue

ADDRESS = "SWEEPS_REPORT"
"""Environment variable with the path of the socket that answers reports; without it, there is no sweep."""

_BLOCK = 1 << 16


def report(metrics: Mapping[str, object], *, step: int | None = None, epoch: int | None = None) -> bool:
    """Report metrics and return whether the program should stop, after it has saved what it needs.

    Of several processes, the one of rank 0 (``RANK``, otherwise ``LOCAL_RANK``) reports. The others call this as
    often as that one, and get the answers that it gets.

    Args:
        metrics: Values by name, such as ``val/loss``: numbers, or tensors and arrays with one element. None and NaN say
            that a value is undefined.
        step: Number of training steps so far.
        epoch: Number of epochs so far. Give both if both are known; the budget of the sweep decides which one counts.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument has the wrong value, or the sweep has no use for it.
    """
    values = {_name(name): _number(name, value) for name, value in _items(metrics)}
    progress = {name: _whole(name, count) for name, count in (("step", step), ("epoch", epoch)) if count is not None}
    if not values or not progress:
        raise ValueError("report needs metrics and a step or an epoch: report({'val/loss': 0.31}, step=100)")
    if (loop := getattr(_thread, "loop", None)) is not None:
        return bool(loop.ask(values, progress))
    if address := os.environ.get(ADDRESS):
        return _connection.ask(address, {"metrics": values, **progress})
    if _rank() == 0:
        sys.stdout.write(json.dumps({**progress, **values}) + "\n")
        sys.stdout.flush()
    return False


def as_loop(train: Callable[[dict[str, object], int], object]) -> Callable[..., Iterator[Mapping[str, object]]]:
    """Return a training loop, as a task may be, of a function that blocks and calls `report` once per epoch.

    With a budget of steps, it calls `report` with its step, the last time with the last one.

    The function runs in a thread of its own, but never at the same time as the code that it reports to. `report`
    returns True in it when its run ends; it should then return. It starts over after an interruption.

    Args:
        train: Called with the recipe as a dict and the seed. It calls `report` in the thread that it is called in.
    """

    @wraps(train)
    def loop(config: dict[str, object], seed: int, state: object = None) -> Iterator[Mapping[str, object]]:
        running = _Loop()
        thread = threading.Thread(target=running.run, args=(train, config, seed), daemon=True)
        thread.start()
        try:
            while (metrics := running.next()) is not None:
                yield metrics
                running.answers.put(False)
        except BaseException as end:
            running.answers.put(True)
            if isinstance(end, GeneratorExit):  # otherwise the function has ended, or a person does not want to wait
                thread.join()
            raise

    return loop


_thread = threading.local()


class _Loop:
    """A function in a thread, and the loop that its reports go to."""

    def __init__(self) -> None:
        self.answers: SimpleQueue[bool] = SimpleQueue()
        self._found: SimpleQueue[Mapping[str, object] | BaseException | None] = SimpleQueue()
        self._epochs = 0
        self._in_steps = False
        self._stopped = False

    def run(self, train: Callable[[dict[str, object], int], object], config: dict[str, object], seed: int) -> None:
        """Call the function in this thread; never raises."""
        _thread.loop = self
        budget = config.get("budget")
        self._in_steps = isinstance(budget, Mapping) and budget.get("steps") is not None
        try:
            train(config, seed)
            self._found.put(None)
        except BaseException as error:  # noqa: BLE001  the loop raises it
            self._found.put(error)

    def next(self) -> Mapping[str, object] | None:
        """Return the next report, or None if the function has returned; raise what it raised."""
        found = self._found.get()
        if isinstance(found, BaseException):
            raise found
        return found

    def ask(self, values: Mapping[str, object], progress: Mapping[str, int]) -> bool:
        """Hand over a report, and wait until the loop continues or is closed."""
        if self._stopped:
            raise RuntimeError("report has returned True before: the training must return then")
        self._epochs += 1
        if self._in_steps:
            return self._hand_over({"step": progress.get("step"), **values})
        epoch = progress.get("epoch")
        if epoch not in (None, self._epochs):
            raise ValueError(f"report: a loop reports once per epoch, so epoch must be {self._epochs}, found {epoch}")
        return self._hand_over(values)

    def _hand_over(self, yielded: Mapping[str, object]) -> bool:
        self._found.put(yielded)
        self._stopped = self.answers.get()
        return self._stopped


class _Connection:
    """The connection of this process to its sweep, opened when it is first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._process = 0
        self._calls = 0

    def ask(self, address: str, request: Mapping[str, object]) -> bool:
        with self._lock:
            self._calls += 1
            try:
                answer = self._exchange(address, request if _rank() == 0 else {"call": self._calls})
            except OSError as error:
                self._drop()
                sys.stderr.write(f"sweeps: the sweep of this run is gone, so it should stop ({error})\n")
                return True
            except BaseException:  # such as Ctrl-C: the answer would be taken for that of the next report
                self._drop()
                raise
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer["stop"] is True

    def _exchange(self, address: str, request: Mapping[str, object]) -> dict[str, object]:
        if self._socket is None or self._process != os.getpid():  # a fork has the connection of its parent
            self._socket, self._process = socket.socket(socket.AF_UNIX), os.getpid()
            self._socket.connect(address)
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        received = b""
        while not received.endswith(b"\n"):
            piece = self._socket.recv(_BLOCK)
            if not piece:
                raise ConnectionError("the connection was closed")
            received += piece
        answer: dict[str, object] = json.loads(received)
        return answer

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None


_connection = _Connection()


def _rank() -> int:
    found = os.environ.get("RANK") or os.environ.get("LOCAL_RANK") or "0"
    return int(found) if found.isdecimal() else 0


def _items(metrics: object) -> list[tuple[object, object]]:
    if not isinstance(metrics, Mapping):
        raise TypeError(f"report: metrics must be a dict such as {{'val/loss': 0.31}}, found {_shown(metrics)}")
    return list(metrics.items())


def _name(name: object) -> str:
    if not isinstance(name, str) or not name.strip():
        raise TypeError(f"report: the name of a metric must be a text such as 'val/loss', found {_shown(name)}")
    return name


def _number(name: object, value: object) -> float | None:
    if value is None:
        return None
    try:
        number = value.item() if hasattr(value, "item") else value
    except (TypeError, ValueError, RuntimeError):  # more than one element
        number = value
    if isinstance(number, bool) or not hasattr(number, "__float__"):
        raise TypeError(f"report: {name} must be a number or None, found {_shown(value)}")
    try:
        return float(number)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise TypeError(f"report: {name} must be one number that fits a float, found {_shown(value)}") from None


def _whole(name: str, count: object) -> int:
    try:
        whole = count.item() if hasattr(count, "item") else count
    except (TypeError, ValueError, RuntimeError):
        whole = count
    if isinstance(whole, bool) or not isinstance(whole, int) or whole < 0:
        raise TypeError(f"report: {name} must be a whole number of at least 0, found {_shown(count)}")
    return whole


def _shown(value: object) -> str:
    return f"{type(value).__name__} {' '.join(repr(value).split()):.60}"
