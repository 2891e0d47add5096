"""The reports that a program sends with `sweeps.client`, and the answers to them.

The protocol is one line of JSON each way, on a Unix domain socket. A program sends
``{"metrics": {"val/loss": 0.31}, "step": 100}`` (or ``"epoch"``, or both) and waits for ``{"stop": false}``,
``{"stop": true}`` or ``{"error": "..."}``. Its other ranks send ``{"call": 3}`` and get the answer to its third report.
"""

import json
import math
import os
import select
import socket
import tempfile
from collections.abc import Mapping
from contextlib import suppress

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trainers.command.metrics.names import Names
from trainers.command.metrics.reading import Reading, Remarks, Unit

ADDRESS = "SWEEPS_REPORT"
"""Environment variable with the path of the socket; `sweeps.client` imports nothing, so it has its own."""

_LONGEST_PATH = 100  # bytes of the path of a socket; macOS allows 103, Linux 107
_LONGEST_REQUEST = 1 << 20
_BLOCK = 1 << 16
_MOST_WAITING = 128


class _Request(BaseModel):
    """A line that a program sent."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    metrics: dict[str, float | None] = {}
    step: int | None = Field(default=None, ge=0)
    epoch: int | None = Field(default=None, ge=0)
    call: int | None = None


class ProgramReports:
    """Receives the reports of the processes of one run. A report waits for its answer until it is recorded.

    Args:
        rename: Names of metrics by the names that they replace.
        unit: What counts: steps or epochs.
    """

    def __init__(self, rename: Mapping[str, str], unit: Unit) -> None:
        self._remarks = Remarks()
        self._names, self._unit = Names(rename, self._remarks), unit
        self._folder = tempfile.TemporaryDirectory(prefix="sweeps-", dir=_short_folder())
        self.path = os.path.join(self._folder.name, "report")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen(_MOST_WAITING)
        self._received: dict[socket.socket, bytes] = {}  # by connection: the line that is not complete
        self._asking: dict[socket.socket, int] = {}  # by connection: the number of the report whose answer it wants
        self._reported = self._recorded = 0

    @property
    def sources(self) -> list[socket.socket]:
        """What is readable when `readings` has something to do."""
        return [self._listener, *self._received]

    @property
    def connected(self) -> bool:
        """Whether a program has reported and may report again."""
        return bool(self._received)

    @property
    def unanswered(self) -> int:
        """Number of reports that have no answer."""
        return self._reported - self._recorded

    def readings(self) -> list[Reading]:
        """Return what was reported since the last call, without waiting."""
        found: list[Reading] = []
        for one in select.select(self.sources, [], [], 0.0)[0]:
            if one is self._listener:
                connection, _ = self._listener.accept()
                connection.setblocking(False)
                self._received[connection] = b""
            else:
                found += [reading for line in self._lines(one) if (reading := self._read(one, line)) is not None]
        return found

    def answer(self, stop: bool) -> None:
        """Answer every report so far: it is recorded, or the program should stop."""
        if not stop:
            self._recorded = self._reported
        for connection, number in list(self._asking.items()):
            if stop or number <= self._recorded:
                self._send(connection, {"stop": number > self._recorded})

    def close(self) -> None:
        """Close the socket; whoever still waits learns that the run is gone."""
        for one in self.sources:
            one.close()
        self._received.clear()
        self._folder.cleanup()

    def _lines(self, connection: socket.socket) -> list[bytes]:
        try:
            piece = connection.recv(_BLOCK)
        except OSError:
            piece = b""
        *lines, rest = (self._received[connection] + piece).split(b"\n")
        self._received[connection] = rest
        if not piece or len(rest) > _LONGEST_REQUEST:
            del self._received[connection]
            self._asking.pop(connection, None)
            connection.close()
        return lines

    def _read(self, connection: socket.socket, line: bytes) -> Reading | None:
        """Return the reading of a line and keep its sender waiting; answer at once if it is wrong."""
        try:
            request = _Request.model_validate_json(line)
            if request.call is not None:
                self._asking[connection] = request.call
                return None
            self._reported += 1
            self._asking[connection] = self._reported
            return self._reading(request)
        except ValueError as error:
            self._send(connection, {"error": f"report: {_text(error)}"})
            return None

    def _reading(self, request: _Request) -> Reading:
        progress = request.step if self._unit == "step" else request.epoch
        if progress is None:
            raise ValueError(f"the budget of this sweep is in {self._unit}s: pass {self._unit}=...")
        written = {name: math.nan if value is None else value for name, value in request.metrics.items()}
        values = self._names.apply(written)
        if problems := self._remarks.take():
            raise ValueError("; ".join(problems))
        if len(values) < len(written):
            raise ValueError("a name of a metric was refused before; correct it")
        return Reading(progress, self._unit, values)

    def _send(self, connection: socket.socket, answer: dict[str, object]) -> None:
        self._asking.pop(connection, None)
        with suppress(OSError):  # the program has died
            connection.send(json.dumps(answer).encode() + b"\n")


def _text(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())


def _short_folder() -> str | None:
    """Return where a socket may be: the path of one has to be short."""
    longest = os.path.join(tempfile.gettempdir(), "sweeps-12345678", "report")
    return "/tmp" if len(os.fsencode(longest)) > _LONGEST_PATH else None  # noqa: S108  for a folder of this user alone
