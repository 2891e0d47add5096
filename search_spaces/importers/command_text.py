"""The text of an imported space whose task is the program of the other tool's file: it runs as it is."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from search_spaces.importers.field_names import field_of
from search_spaces.importers.imported import Imported, Parameter, Program, middle
from search_spaces.importers.space_text import aside, comment_line, flow, sampler_and_runs, stopping_line
from search_spaces.metric_names import metric_of
from search_spaces.recipe.recipe import Recipe
from search_spaces.search.distributions import Constant, Distribution, Value, canonical

_UNITS = {"budget.steps": "steps", "budget.epochs": "epochs"}
_EPOCHS = 27
_GUESSED = "guessed: write how many epochs, or {steps: N}, a run reports"
_UNSELECTABLE = ("test/", "train/")


@dataclass
class _Parts:
    """The parts of a space, filled with one parameter after the other.

    Attributes:
        words: Words of the command after those of its arguments.
        args: Value of each argument in the baseline.
        search: Distribution of each searched argument.
        comments: Comment on each of them.
        left: A line about each parameter that is left out.
        budget: Unit and length of a run; None if the file does not say.
    """

    words: list[str] = field(default_factory=list)
    args: dict[str, Value] = field(default_factory=dict)
    search: dict[str, Distribution] = field(default_factory=dict)
    comments: dict[str, str] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    budget: tuple[str, int] | None = None

    def add(self, parameter: Parameter, given: Value, program: Program) -> None:
        """Add a parameter: the seed and the length of a run get placeholders, the others become arguments."""
        name, distribution = parameter.name, parameter.distribution
        notes = "; ".join(parameter.notes)
        unit = _unit(name)
        if name.rpartition(".")[2].lower() == "seed":
            self._add_seed(name, middle(distribution) if given is None else given, program)
        elif distribution is None:
            self.left.append(f"{name}: {notes}")
        elif unit and isinstance(distribution, Constant) and isinstance(distribution.value, int) and not self.budget:
            self.budget = (unit, distribution.value)
            if program.form == "json":
                self.args[name] = distribution.value
            else:
                self.words.append(program.word(name, unit))
        elif isinstance(distribution, Constant):
            self.args[name] = distribution.value
        else:
            self.args[name] = middle(distribution) if given is None else given
            self.search[f"args.{name}"] = distribution
            self.comments[f"args.{name}"] = notes

    def _add_seed(self, name: str, value: Value, program: Program) -> None:
        if program.form == "json":
            self.args[name] = value
            self.left.append(f"{name}: every run has the same, since a JSON text has no place for ${{seed}}")
        else:
            self.words.append(program.word(name, "seed"))
            self.left.append(f"{name}: each run gets a seed of the sweep, as ${{seed}}")


def command_text(found: Imported, program: Program, source: str) -> str:
    """Write a space file whose task is a program.

    Args:
        found: The sweep of the other tool.
        program: Its program.
        source: Name of its file.
    """
    parts = _Parts()
    for parameter in found.parameters:
        parts.add(parameter, found.baseline.get(parameter.name), program)
    sampler, runs, notes = sampler_and_runs(found, parts.search)
    metric, rename, about = _metric(found)
    unit, length = parts.budget or ("epochs", _EPOCHS)
    task = {"command": program.with_words(parts.words), **({"rename": rename} if rename else {})}
    task |= {"booleans": program.booleans} if program.booleans != "pair" else {}
    lines = [
        comment_line(f"Imported from {source}, {found.origin}. Check every comment that says `guessed`."),
        *map(comment_line, (*found.notes, *program.notes, *notes)),
        comment_line(f"The program must print its metrics, such as val_loss=0.5 after {unit[:-1]} 3, or write a file."),
        "kind: sweep",
        "task:",
        *(f"  {name}: {flow(value)}" for name, value in task.items()),
        f"metric: {{name: {flow(metric)}, goal: {found.goal}}}{aside(about)}",
        f"budget: {{{unit}: {length}}}{aside('' if parts.budget else _GUESSED)}",
        "",
        "# Run 0, the baseline. Missing values are guessed as the middle of their range; write those you use today.",
        f"args: {flow(parts.args)}",
        "",
        *_search_lines(parts),
        "",
        f"sampler: {flow(sampler)}",
        stopping_line(found.stopping, unit),
        f"runs: {runs} # including run 0, the baseline",
    ]
    return "\n".join(lines) + "\n"


def _search_lines(parts: _Parts) -> Iterator[str]:
    yield "search:" if parts.search else "search: {}"
    for name, one in parts.search.items():
        yield f"  {flow(name)}: {flow(canonical(one))}{aside(parts.comments[name])}"
    yield from (comment_line(f"left out: {line}", "  ") for line in parts.left)


def _unit(name: str) -> str | None:
    """Return the unit of progress that a parameter counts, or None."""
    return _UNITS.get(field_of(name, Recipe()) or "")


def _metric(found: Imported) -> tuple[str, Mapping[str, str], str]:
    """Return the metric as it is recorded, the names to rename for that, and a comment."""
    if found.metric is None:
        return "val/accuracy" if found.goal == "maximize" else "val/loss", {}, "guessed: the file names no metric"
    recorded = metric_of(found.metric)
    if not recorded.startswith(_UNSELECTABLE):
        return recorded, {}, "" if recorded == found.metric else f"from {found.metric}"
    selected = f"val/{recorded.partition('/')[2]}"
    return selected, {found.metric: selected}, f"guessed: {found.metric} is measured on validation data"
