"""The content of another tool's sweep file, before it becomes a space."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from search_spaces.errors import UsageError
from search_spaces.search.distributions import (
    Choice,
    Constant,
    Distribution,
    LogUniform,
    QUniform,
    RandInt,
    Uniform,
    Value,
)

_MOST_STEPS = 1000
_MOST_CHOICES = 10


@dataclass(frozen=True)
class Parameter:
    """One hyperparameter of the other tool's file.

    Attributes:
        name: Name in the file; nested names are joined by dots.
        distribution: Corresponding distribution; `Constant` for a fixed value, None if there is none.
        notes: Changes made to the parameter, or why it has no distribution.
    """

    name: str
    distribution: Distribution | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Program:
    """The program that a file names.

    Attributes:
        words: Its command, with one placeholder for all arguments.
        form: How an argument is written: `--name=value`, `name=value` of Hydra, or all in one JSON text.
        booleans: How true and false are written, as in a task.
        notes: Remarks for the user.
    """

    words: tuple[str, ...]
    form: Literal["equals", "hydra", "json"]
    booleans: str = "pair"
    notes: tuple[str, ...] = ()

    def word(self, name: str, setting: str) -> str:
        """Return the word that gives the program a setting, such as its seed, under its own name."""
        return f"{'' if self.form == 'hydra' else '--'}{name}=${{{setting}}}"

    def with_words(self, more: Sequence[str]) -> tuple[str, ...]:
        """Return the command with more words after those of the arguments."""
        place = self.words.index(f"${{args:{self.form}}}") + 1
        return (*self.words[:place], *more, *self.words[place:])


@dataclass(frozen=True)
class Imported:
    """The sweep of another tool.

    Attributes:
        origin: Name of the tool, for the first line.
        parameters: In the order of the file.
        metric: Name of the metric in the file, or None.
        goal: `maximize` or `minimize`.
        sampler: Section `sampler` of the space.
        points: Maximum number of runs; None for no limit.
        stopping: Grace epochs and reduction factor of ASHA, or None.
        baseline: Values of parameters in the file's own configuration.
        notes: Remarks for the user.
        program: Program that the file names, or None.
    """

    origin: str
    parameters: Sequence[Parameter]
    metric: str | None = None
    goal: str = "minimize"
    sampler: Mapping[str, str | int] = field(default_factory=lambda: {"kind": "tpe"})
    points: int | None = None
    stopping: tuple[int, int] | None = None
    baseline: Mapping[str, Value] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    program: Program | None = None


def middle(distribution: Distribution | None) -> Value:
    """Return the middle of a range, rounded to two digits."""
    if distribution is None:
        return None
    value = distribution.from_unit(0.5)
    if isinstance(distribution, LogUniform | Uniform) and isinstance(value, float):
        short = float(f"{value:.2g}")
        return short if distribution.low <= short <= distribution.high else value
    return value


def stepped(name: str, low: float, high: float, step: float, whole: bool) -> Parameter:
    """Return a parameter with the values low, low + step, ..., at most high.

    Args:
        name: Name of the parameter.
        low: First value.
        high: Upper bound of the last value.
        step: Distance between two values.
        whole: Whether the values are whole numbers.
    """
    if step <= 0 or high < low:
        return Parameter(name, None, (f"low {low:g}, high {high:g} and step {step:g} leave no value",))
    exact_low, exact_step = Fraction(repr(low)), Fraction(repr(step))
    count = int((Fraction(repr(high)) - exact_low) // exact_step)
    last = exact_low + count * exact_step
    notes = () if last == Fraction(repr(high)) else (f"the last value is {float(last):g}, below {high:g}",)
    if count == 0:
        return Parameter(name, Constant(int(last) if whole else float(last)), notes)
    if whole and step == 1:
        return Parameter(name, RandInt(int(low), int(last)), notes)
    if whole and count < _MOST_STEPS:
        return Parameter(name, Choice([int(exact_low + i * exact_step) for i in range(count + 1)]), notes)
    return Parameter(name, QUniform(float(exact_low), float(last), step), notes)


def log_whole(name: str, low: int, high: int, step: int = 1) -> Parameter:
    """Return a parameter with whole numbers on a logarithmic scale, as a choice of values."""
    if not 0 < low <= high:
        return Parameter(name, None, (f"a logarithmic scale needs 0 < low <= high, found {low} and {high}",))
    count = min(_MOST_CHOICES, max(2, round(math.log2(high / low)) + 1))
    spaced = [low * (high / low) ** (i / (count - 1)) for i in range(count)]
    # If the step does not divide the bounds, rounding must not lead outside them.
    values = sorted({min(max(round(value / step) * step, low), high) for value in spaced})
    note = "whole numbers on a logarithmic scale became a list of choices"
    return Parameter(name, Choice(values), (note,))


def log_between(name: str, low: float, high: float, notes: tuple[str, ...] = ()) -> Parameter:
    """Return a parameter that is uniform on a logarithmic scale."""
    return made(name, lambda: LogUniform(low, high), notes)


def made(name: str, make: Callable[[], Distribution], notes: tuple[str, ...] = ()) -> Parameter:
    """Return a parameter with a distribution, or with a note on why its arguments are invalid."""
    try:
        return Parameter(name, make(), notes)
    except UsageError as error:
        return Parameter(name, None, (str(error),))
