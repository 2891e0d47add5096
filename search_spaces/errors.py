"""Every exception that this project raises on purpose.

SweepsError
├── UsageError          the person can mend it: exit code 2, one line per problem
│   └── SpecError       ... in a YAML file: every problem of the file at once
├── RunError            this run failed; the sweep goes on
│   └── CheckpointError a checkpoint is damaged: an earlier one, or a restart, takes its place
└── SweepError          the sweep cannot go on: exit code 1, the same command continues it
    └── LeaseLostError  another driver has taken the sweep over
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with what a person wrote.

    Attributes:
        where: ``file:line`` or the name of a command-line option.
        field: Dotted path of the field (``optimizer.lr``), or ``""``.
        message: The law, what was found, and what to do.
    """

    where: str
    field: str
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.where, self.field, self.message) if part)


class SweepsError(Exception):
    """The root of the tree above."""


class UsageError(SweepsError):
    """Something that a person wrote cannot be used.

    Args:
        problems: One line each, or the texts of the lines.
    """

    def __init__(self, *problems: Problem | str) -> None:
        self.problems: Sequence[Problem | str] = problems
        super().__init__("\n".join(str(problem) for problem in problems))


class SpecError(UsageError):
    """A spec file breaks the law; carries every problem of the file."""


class RunError(SweepsError):
    """This run failed; the sweep goes on."""


class CheckpointError(RunError):
    """A checkpoint is missing, truncated or altered."""


class SweepError(SweepsError):
    """The sweep cannot go on; the same command continues it later."""


class LeaseLostError(SweepError):
    """Another driver has taken the sweep over; this one must write nothing more."""


def suggest(name: str, valid: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: the nearest valid name, and all of them."""
    names = list(valid)
    near = difflib.get_close_matches(name[:100], names, n=1)
    return (f"did you mean {near[0]}? " if near else "") + f"valid: {', '.join(names) or 'none'}"
