"""The exceptions of this project.

SweepsError
├── UsageError          the user can fix it: exit code 2, one line per problem
│   └── SpecError       the same for a YAML file: every problem of the file at once
├── RunError            this run failed; the sweep continues
│   └── CheckpointError a checkpoint is damaged: the run uses an earlier one or starts again
└── SweepError          the sweep stopped: exit code 1, the same command continues it
    └── LeaseLostError  another driver has taken over the sweep
"""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a file or with the options of a command.

    Attributes:
        where: ``file:line`` or the name of a command-line option.
        field: Dotted path of the field (``optimizer.lr``), or ``""``.
        message: The rule, what was found, and what to do.
    """

    where: str
    field: str
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.where, self.field, self.message) if part)


class SweepsError(Exception):
    """Base class of the exceptions of this project."""


class UsageError(SweepsError):
    """A file or an option is invalid.

    Args:
        problems: Problems, or their texts, of one line each.
    """

    def __init__(self, *problems: Problem | str) -> None:
        self.problems: Sequence[Problem | str] = problems
        super().__init__("\n".join(str(problem) for problem in problems))


class SpecError(UsageError):
    """A spec file is invalid; holds every problem of the file."""


class RunError(SweepsError):
    """This run failed; the sweep continues."""


class CheckpointError(RunError):
    """A checkpoint is missing, truncated or altered."""


class SweepError(SweepsError):
    """The sweep stopped; the same command continues it later."""


class LeaseLostError(SweepError):
    """Another driver has taken over the sweep; this one must not write any more."""


def suggest(name: str, valid: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: the nearest valid name, and the list of valid names."""
    names = list(valid)
    near = difflib.get_close_matches(name[:100], names, n=1)
    return (f"did you mean {near[0]}? " if near else "") + f"valid: {', '.join(names) or 'none'}"
