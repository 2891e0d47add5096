"""Load a space from YAML and report every problem at once.

A file goes through four stages: nodes (`yaml_parser`), nodes merged with the space that it extends (`lookup`), plain
values, and the spec. Problems of the last two have a dotted path, and the nodes give the line of that path.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from search_spaces.errors import Problem, SpecError, UsageError, suggest
from search_spaces.files.command_section import (
    MOVED,
    has_command,
    read_command,
    with_metric_of,
    with_recipe,
    without_budget,
)
from search_spaces.files.lookup import locate, read_nodes, read_text
from search_spaces.files.nodes import Leaf, Mark, Node, Section, find, plain, put, written_names
from search_spaces.files.overrides import Override, apply_overrides, parse_override
from search_spaces.files.search_section import SearchParts, fix, fix_start, read_search
from search_spaces.files.valid_rest import ValidRest
from search_spaces.recipe.fields import flatten
from search_spaces.recipe.recipe import OPEN_SECTIONS, Recipe
from search_spaces.recipe.validation import MISSING, InvalidValue, invalid_values
from search_spaces.specs.space import SpaceSpec
from search_spaces.values import Value, show

_UNWRITTEN = ("name", "one_of", "when")  # the last two are written under `search`
_NAMES = ("kind", "extends", *(name for name in SpaceSpec.model_fields if name not in _UNWRITTEN))


def load_space(
    name_or_path: str,
    overrides: Sequence[str] = (),
    runs: int | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> SpaceSpec:
    """Read a space from an existing file, or else from the library.

    Args:
        name_or_path: Path of a file, or name of a shipped space.
        overrides: Texts such as `budget.epochs=9` that fix recipe fields. A fixed field is not searched.
        runs: Number of runs; by default, that of the file.
        seed: Seed of the sampler; by default, that of the file.
        name: Name of the space; by default, the stem of the file name.

    Raises:
        UsageError: There is no such space.
        SpecError: The file or an option is invalid; problems are in the order of lines, those of options last.
    """
    path = locate(name_or_path)
    root = _with_options(read_nodes(read_text(path), str(path)), runs, seed)
    return assemble(root, str(path), path.stem if name is None else name, overrides)


def parse_space(text: str, source: str, name: str) -> SpaceSpec:
    """Read a space from a text.

    Args:
        text: YAML.
        source: Name of the file, for messages; a relative `extends` is relative to it.
        name: Name of the space.

    Raises:
        SpecError: The text is invalid; problems are in the order of its lines.
    """
    return assemble(read_nodes(text, source), source, name)


def assemble(root: Section, source: str, name: str, overrides: Sequence[str] = ()) -> SpaceSpec:
    """Turn the nodes of a space into its spec.

    Args:
        root: Nodes of the file, merged with those that it extends.
        source: Name of the file, for messages.
        name: Name of the space.
        overrides: As for `load_space`.

    Raises:
        SpecError: The space is invalid; problems are in the order of lines.
    """
    return _Assembly(root, source).spec(name, overrides)


def assemble_rest(
    root: Section, source: str, name: str, overrides: Sequence[str] = ()
) -> tuple[ValidRest, tuple[Problem, ...]]:
    """Return the valid parts of a space and every problem of the others. The arguments are those of `assemble`."""
    assembly = _Assembly(root, source)
    rest = assembly.rest(name, overrides)
    return rest, tuple(problems_of(assembly.error()))


def _with_options(root: Section, runs: int | None, seed: int | None) -> Section:
    """Return the nodes with the values of options, marked by the name of the option."""
    if runs is not None:
        mark = Mark(f"--runs {runs}")
        root = put(root, "runs", Leaf(mark, runs), mark)
    sampler = root.entries.get("sampler", Section(root.mark))
    if seed is not None and isinstance(sampler, Section):
        mark = Mark(f"--seed {seed}")
        root = put(root, "sampler", put(sampler, "seed", Leaf(mark, seed), mark), root.keys.get("sampler", mark))
    return root


@dataclass
class _Assembly:
    """Turns nodes into a spec and collects problems.

    Attributes:
        root: Nodes of the file, merged with those that it extends.
        source: Name of the file.
        found: Problems with their marks.
        command: Whether the task is a command.
        paths: Path of each problem of the file.
    """

    root: Section
    source: str
    found: list[tuple[Mark, Problem]] = field(default_factory=list)
    paths: list[tuple[str, ...]] = field(default_factory=list)
    command: bool = False

    def __post_init__(self) -> None:
        self.command = has_command(self.root)
        if self.command:
            if "recipe" in self.root.entries:
                self._add(
                    ("recipe",), "a command has no recipe; write its arguments under args, its length under budget"
                )
            self.root = with_recipe(self.root)

    def spec(self, name: str, overrides: Iterable[str]) -> SpaceSpec:
        """Return the spec, or raise a `SpecError` with every problem."""
        rest = self.rest(name, overrides)
        if self.found:
            raise self.error()
        return SpaceSpec.model_validate(rest.values)

    def rest(self, name: str, overrides: Iterable[str]) -> ValidRest:
        """Return the valid parts of the space; `found` has the problems of the others."""
        values = self._values()
        if self.command:
            values = with_metric_of({**values, "task": read_command(self.root, self._add)})
        draft = _draft(values.get("recipe", {}))
        if self.command and any(path[:1] == ("budget",) for path, _ in draft.problems):
            values["task"] = without_budget(values["task"])
        for path, message in draft.problems:
            self._add(("recipe", *path), message)
        written = read_search(self._searched(), self._add)
        search, fixed = _fix_all(written, self._overrides(overrides))
        values["recipe"] = self._apply(draft.recipe, [one for one in fixed if draft.readable(one.field)])
        lost = written.fields - search.fields
        values["starts"] = _starts(values.get("starts", ()), fixed, flatten(draft.recipe), lost)
        parts = {"search": search.search, "one_of": search.one_of, "when": search.when}
        rest = ValidRest.of({**values, "name": name, **parts})
        for path, message in self._invalid_values(rest):
            self._add(path, message)
        for path in [*self.paths, *(("search", one) for one in written.invalid)]:
            rest = rest.without(path)
        return self._valid(rest.without_sections(sorted(draft.unknown)) if draft.unknown else rest)

    def _add(self, path: Sequence[str], message: str) -> None:
        """Add a problem, at the line of the deepest part of its path that is in the file."""
        mark = find(self.root, path)
        written = path[1:] if self.command and len(path) > 1 and path[0] == "recipe" else path
        self.paths.append(tuple(path))
        self.found.append((mark, Problem(str(mark), ".".join(written), message)))

    def _values(self) -> dict[str, Any]:
        values = {name: plain(node) for name, node in self.root.entries.items()}
        if values.get("kind") == "ablation":  # every other problem follows from it
            rule = f"must be kind: sweep, found 'ablation'; run it with: sweeps ablate {self.source}"
            raise SpecError(Problem(str(find(self.root, ["kind"])), "kind", rule))
        for name in [name for name in values if name not in _NAMES]:
            rule = "only a task with a command has it" if name in MOVED else "unknown name"
            self._add((name,), f"{rule}; {suggest(name, _NAMES)}")
            del values[name]
        kind = values.pop("kind", None)
        if kind != "sweep":
            self._add(("kind",), f"must be kind: sweep, found {'none' if kind is None else show(kind)}")
        return values

    def _overrides(self, texts: Iterable[str]) -> list[Override]:
        overrides: list[Override] = []
        for text in texts:
            try:
                overrides.append(parse_override(text))
            except UsageError as error:
                self._add_options(error)
        return overrides

    def _apply(self, recipe: Recipe, overrides: Sequence[Override]) -> Recipe:
        try:
            return apply_overrides(recipe, overrides)
        except UsageError as error:
            self._add_options(error)
            return recipe

    def _add_options(self, error: UsageError) -> None:
        self.found += ((Mark(problem.where), problem) for problem in problems_of(error))

    def _searched(self) -> Node:
        return self.root.entries.get("search", Section(self.root.mark))

    def _valid(self, rest: ValidRest) -> ValidRest:
        """Add the problems of what is left, leave out the invalid parts, and repeat until there are none."""
        seen: set[tuple[tuple[str, ...], str]] = set()
        while problems := [one for one in self._problems(rest) if one not in seen]:
            seen.update(problems)
            for path, message in problems:
                self._add(path, message)
                rest = rest.without(path)
        return rest

    def _invalid_values(self, rest: ValidRest) -> tuple[InvalidValue, ...]:
        """Return the values that are invalid by themselves, whatever the other parts are."""
        try:
            SpaceSpec.model_validate(rest.values)
        except ValidationError as error:
            return invalid_values(error, SpaceSpec)
        except UsageError:
            pass  # the parts do not fit each other; `_valid` says which
        return ()

    def _problems(self, rest: ValidRest) -> list[tuple[tuple[str, ...], str]]:
        """Return the path and the message of each problem between the parts that are left."""
        try:
            SpaceSpec.model_validate(rest.values)
        except UsageError as error:
            found = [(rest.path_in_file(one.field.split(".")), one.message) for one in problems_of(error)]
            return [(tuple(written_names(self.root, ".".join(path))), message) for path, message in found]
        return []

    def error(self) -> SpecError:
        """Return an error with every problem: those of the file, then of files that it extends, then of options."""
        found = [item for item in self.found if not self._is_misspelt(item[1])]
        files = dict.fromkeys([self.source, *(mark.source for mark, _ in found if mark.line)])
        order = {source: index for index, source in enumerate(files)}
        ranked = sorted(found, key=lambda item: (order.get(item[0].source, len(order)), item[0].line))
        return SpecError(*(problem for _, problem in ranked))

    def _is_misspelt(self, missing: Problem) -> bool:
        """Return whether a field is missing only because its name is misspelt, which another problem reports."""
        section, _, name = missing.field.rpartition(".")
        return missing.message == MISSING and any(
            other.field.rpartition(".")[0] == section and f"did you mean {name}? " in other.message
            for _, other in self.found
        )


def problems_of(error: UsageError) -> Iterator[Problem]:
    """Yield the problems of an error; a text becomes a problem without a place."""
    for problem in error.problems:
        yield problem if isinstance(problem, Problem) else Problem("", "", problem)


def _fix_all(search: SearchParts, overrides: Sequence[Override]) -> tuple[SearchParts, list[Override]]:
    """Remove what overrides fix from a search. Overrides that follow from a fixed kind come first."""
    more: list[Override] = []
    for override in overrides:
        search, own = fix(search, override)
        more += own
    return search, [*more, *overrides]


def _starts(
    starts: Any, overrides: Sequence[Override], base: Mapping[str, Value], fixed_fields: Collection[str]
) -> Any:
    """Remove what overrides fix from the starts. Anything but a list of sections is kept, for validation to reject."""
    if not overrides or not isinstance(starts, list):
        return starts
    fixed = (fix_start(one, overrides, base, fixed_fields) if isinstance(one, dict) else one for one in starts)
    return [one for one in fixed if one is not None]


@dataclass(frozen=True)
class _Draft:
    """The readable part of the recipe of a file.

    Attributes:
        recipe: Recipe with invalid fields at their defaults.
        problems: Path and message of each invalid field.
        unknown: Sections that are invalid as a whole, so that their fields are unknown.
    """

    recipe: Recipe
    problems: tuple[InvalidValue, ...] = ()
    unknown: frozenset[str] = frozenset()

    def readable(self, field: str) -> bool:
        """Return whether the section of a dotted field could be read."""
        return field.partition(".")[0] not in self.unknown


def _draft(values: Any) -> _Draft:
    """Read the valid part of a recipe, so that everything else can be checked in the same pass."""
    problems: list[InvalidValue] = []
    unknown: set[str] = set()
    left = values
    while True:
        try:
            return _Draft(Recipe.model_validate(left), tuple(problems), frozenset(unknown))
        except ValidationError as error:
            found = invalid_values(error, Recipe)
        problems += found
        if not isinstance(left, dict) or any(not one.path for one in found):  # several sections do not fit each other
            return _Draft(Recipe(), tuple(problems), frozenset(Recipe.model_fields))
        left = {name: dict(section) if isinstance(section, dict) else section for name, section in left.items()}
        for section, *names in (one.path for one in found):
            if not names or names[0] == "kind" or section in OPEN_SECTIONS or names[0] not in left.get(section, {}):
                unknown.add(section)
                left.pop(section, None)
            else:
                del left[section][names[0]]
                if (section, *names) == ("budget", "steps"):
                    left[section].pop("report_every", None)  # it has no meaning without them
