"""The text of an imported space: a YAML file for the user to edit."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from search_spaces.errors import UsageError
from search_spaces.importers.field_names import metric_of
from search_spaces.importers.imported import Imported
from search_spaces.recipe.recipe import Recipe
from search_spaces.search.distributions import Choice, Distribution, RandInt, canonical
from search_spaces.search.parameters import OneOf
from search_spaces.search.sequences import grid_points
from search_spaces.specs.space_parts import SAMPLERS

_TASK = "my_package.my_module:MyTask"
_RUNS = 32
_NO_OPTIMIZER = "guessed: the file names no known optimizer"
_MOST_RUNS = 10**6
_PLAIN = re.compile(r"[A-Za-z_][\w.]*", re.ASCII)


def space_text(
    found: Imported,
    source: str,
    recipe: Recipe,
    search: Mapping[str, Distribution],
    one_of: OneOf,
    comments: Mapping[str, str],
    left: Sequence[str],
    guessed: bool,
) -> str:
    """Write a space file.

    Args:
        found: The sweep of the other tool.
        source: Name of its file.
        recipe: The baseline.
        search: Distribution of each searched field.
        one_of: Alternatives of sections, without ranges of their own.
        comments: Comments on searched and on fixed fields.
        left: A line about each parameter that is left out.
        guessed: Whether the optimizer is a guess.
    """
    metric, about = metric_of(found.metric, found.goal)
    kinds = {f"{name}.kind": Choice([one.kind for one in ones]) for name, ones in one_of.items()}
    sampler, runs, notes = sampler_and_runs(found, {**search, **kinds})
    lines = [
        comment_line(f"Imported from {source}, {found.origin}. Check every comment that says `guessed`."),
        *map(comment_line, (*found.notes, *notes)),
        "kind: sweep",
        f"task: {_TASK} # replace with your task or training loop, or a built-in task",
        f"metric: {{name: {flow(metric)}, goal: {found.goal}}}{aside(about)}",
        "",
        "# Run 0, the baseline. Missing values are guessed as the middle of their range; write those you use today.",
        "recipe:",
        *_recipe_lines(recipe, _NO_OPTIMIZER if guessed else ""),
        *(comment_line(f"{name}: {comment}", "  ") for name, comment in comments.items() if name not in search),
        "",
        "search:" if search or one_of else "search: {}",
        *(f"  {name}: {{one_of: {flow([{'kind': one.kind} for one in ones])}}}" for name, ones in one_of.items()),
        *(f"  {name}: {flow(canonical(one))}{aside(comments[name])}" for name, one in search.items()),
        *(comment_line(f"left out: {line}", "  ") for line in left),
        "",
        f"sampler: {flow(sampler)}",
        stopping_line(found.stopping, f"{recipe.budget.unit}s"),
        f"runs: {runs} # including run 0, the baseline",
    ]
    return "\n".join(lines) + "\n"


def sampler_and_runs(
    found: Imported, search: Mapping[str, Distribution]
) -> tuple[Mapping[str, str | int], int, tuple[str, ...]]:
    """Return the sampler, the number of runs, and notes on them."""
    if SAMPLERS[str(found.sampler["kind"])].exhaustive:
        try:
            points = grid_points(search)
        except UsageError:
            note = "guessed: a grid needs finitely many values, so the sampler is random"
            runs = min(_MOST_RUNS, 1 + (found.points or _RUNS))
            return {**found.sampler, "kind": "random"}, runs, (note,)
        return found.sampler, 1 + min(points, found.points or points, _MOST_RUNS - 1), ()
    most = SAMPLERS[str(found.sampler["kind"])].most_integers
    if most is not None and any(isinstance(one, RandInt) and one.size > most for one in search.values()):
        kind = found.sampler["kind"]
        note = f"guessed: {kind} needs at most {most:,} whole numbers in a range, so the sampler is tpe"
        sampler, runs, more = sampler_and_runs(replace(found, sampler={**found.sampler, "kind": "tpe"}), search)
        return sampler, runs, (note, *more)
    if found.points is None:
        return found.sampler, _RUNS, ("guessed: the file does not limit the number of runs",)
    return found.sampler, min(_MOST_RUNS, 1 + found.points), ()


def _recipe_lines(recipe: Recipe, about_optimizer: str) -> Iterator[str]:
    for name, part in recipe:
        if name == "custom":
            values = dict(part)
        elif part is None or name == "args":
            continue
        else:
            values = part.model_dump(mode="json", exclude_defaults=True)
            if getattr(part, "kind", None) and (values or name == "optimizer" or part != getattr(Recipe(), name)):
                values = {"kind": part.kind, **values}
        if values:
            yield f"  {name}: {flow(values)}{aside(about_optimizer if name == 'optimizer' else '')}"


def stopping_line(stopping: tuple[int, int] | None, unit: str) -> str:
    """Return the line of the stopping rule of runs that count ``epochs`` or ``steps``."""
    if stopping is None:
        return f"early_stopping: {{kind: none}} # the file has none; asha would save most of the {unit}"
    return f"early_stopping: {{kind: asha, grace_{unit}: {stopping[0]}, reduction_factor: {stopping[1]}}}"


def flow(value: object) -> str:
    """Return a value on one line of YAML."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{flow(key)}: {flow(inner)}' for key, inner in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(flow, value))}]"
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in ("true", "false", "null"):
        return value
    return json.dumps(value)


def aside(text: str) -> str:
    """Return a text as a comment after a value; nothing without a text."""
    return f" {comment_line(text)}" if text else ""


def comment_line(text: str, indent: str = "") -> str:
    """Return a comment on one line, without characters that could end it."""
    safe = "".join(char if char.isprintable() else " " for char in text)
    return f"{indent}# {safe[:500]}"
