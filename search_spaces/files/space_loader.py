"""YAML text -> SpaceSpec. The only place where untyped dicts exist; it reports every problem at once.

A file goes through four stages: nodes (`yaml_text`), nodes merged with the space that it extends (`sources`),
plain values, and the spec. Problems of the last two are found under a dotted path, and the nodes know the
line on which that path was written.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from search_spaces.errors import Problem, SpecError, UsageError, suggest
from search_spaces.files.lookup import locate, read_nodes, read_text
from search_spaces.files.nodes import Leaf, Mark, Node, Section, find, plain, put, written_names
from search_spaces.files.overrides import Override, apply_overrides, parse_override
from search_spaces.files.search_section import SearchParts, fix, fix_start, read_search
from search_spaces.recipe.fields import flatten
from search_spaces.recipe.recipe import Recipe
from search_spaces.recipe.validation import MISSING, refusals
from search_spaces.search.field_checks import validate_search
from search_spaces.search.parameters import overlap
from search_spaces.specs.space import SpaceSpec
from search_spaces.values import Value, show

_UNWRITTEN = ("name", "one_of", "when")  # the last two stand under `search`
_NAMES = ("kind", "extends", *(name for name in SpaceSpec.model_fields if name not in _UNWRITTEN))


def load_space(
    name_or_path: str,
    settings: Sequence[str] = (),
    runs: int | None = None,
    seed: int | None = None,
    name: str | None = None,
) -> SpaceSpec:
    """Read a space from an existing file, or else from the library.

    Args:
        name_or_path: Path of a file, or name of a shipped space.
        settings: Texts such as `budget.epochs=9` that fix recipe fields; what is fixed leaves the search.
        runs: Takes the place of the file's `runs`.
        seed: Takes the place of the file's `sampler.seed`.
        name: Takes the place of the stem of the file's name.

    Raises:
        UsageError: When there is no such space.
        SpecError: With every problem of the file, in the order of its lines, and then of the options.
    """
    path = locate(name_or_path)
    tree = _override(read_nodes(read_text(path), str(path)), runs, seed)
    return assemble(tree, str(path), path.stem if name is None else name, settings)


def parse_space(text: str, source: str, name: str) -> SpaceSpec:
    """Read a space from a text.

    Args:
        text: YAML.
        source: Name of the file, for messages; a relative `extends` is relative to it.
        name: Name of the space.

    Raises:
        SpecError: With every problem of the text, in the order of its lines.
    """
    return assemble(read_nodes(text, source), source, name)


def assemble(tree: Section, source: str, name: str, settings: Sequence[str] = ()) -> SpaceSpec:
    """Turn the nodes of a space into its spec.

    Args:
        tree: The file, merged with what it extends.
        source: Name of the file, for messages.
        name: Name of the space.
        settings: As for `load_space`.

    Raises:
        SpecError: With every problem, in the order of the lines.
    """
    return _Assembly(tree, source).spec(name, settings)


def _override(tree: Section, runs: int | None, seed: int | None) -> Section:
    """Put the values of options in the place of the file's, marked by the name of the option."""
    if runs is not None:
        mark = Mark(f"--runs {runs}")
        tree = put(tree, "runs", Leaf(mark, runs), mark)
    sampler = tree.entries.get("sampler", Section(tree.mark))
    if seed is not None and isinstance(sampler, Section):
        mark = Mark(f"--seed {seed}")
        tree = put(tree, "sampler", put(sampler, "seed", Leaf(mark, seed), mark), tree.keys.get("sampler", mark))
    return tree


@dataclass
class _Assembly:
    """Turns a tree into a spec, and gathers what is wrong on the way.

    Attributes:
        tree: The file, merged with what it extends.
        source: The file's name.
        found: Problems with their marks.
    """

    tree: Section
    source: str
    found: list[tuple[Mark, Problem]] = field(default_factory=list)

    def spec(self, name: str, settings: Iterable[str]) -> SpaceSpec:
        """Return the spec, or raise every problem."""
        values = self._values()
        draft = _draft(values.get("recipe", {}))
        base = {} if draft.recipe is None else flatten(draft.recipe)
        written = read_search(self._searched(), self._add)
        search, fixed = _without(written, self._settings(settings))
        values["starts"] = _starts(values.get("starts", ()), fixed, base, written.fields - search.fields)
        if draft.recipe is not None:
            recipe = self._apply(draft.recipe, [setting for setting in fixed if draft.knows(setting.field)])
            if draft.complete:
                values["recipe"] = recipe
            self._check(recipe, draft, search)
        parts = {"search": search.search, "one_of": search.one_of, "when": search.when}
        spec = self._validated({**values, "name": name, **parts})
        if spec is None or self.found:
            raise self._error()
        return spec

    def _add(self, path: Sequence[str], message: str) -> None:
        """Keep a problem, at the line of the deepest name of its path that was written."""
        mark = find(self.tree, path)
        self.found.append((mark, Problem(str(mark), ".".join(path), message)))

    def _values(self) -> dict[str, Any]:
        values = {name: plain(node) for name, node in self.tree.entries.items()}
        for name in [name for name in values if name not in _NAMES]:
            self._add((name,), f"unknown name; {suggest(name, _NAMES)}")
            del values[name]
        kind = values.pop("kind", None)
        if kind != "sweep":
            self._add(("kind",), f"must be kind: sweep, found {'none' if kind is None else show(kind)}")
        return values

    def _settings(self, texts: Iterable[str]) -> list[Override]:
        settings: list[Override] = []
        for text in texts:
            try:
                settings.append(parse_override(text))
            except UsageError as error:
                self._add_options(error)
        return settings

    def _apply(self, recipe: Recipe, settings: Sequence[Override]) -> Recipe:
        try:
            return apply_overrides(recipe, settings)
        except UsageError as error:
            self._add_options(error)
            return recipe

    def _add_options(self, error: UsageError) -> None:
        self.found += ((Mark(problem.where), problem) for problem in _typed(error))

    def _searched(self) -> Node:
        return self.tree.entries.get("search", Section(self.tree.mark))

    def _check(self, recipe: Recipe, draft: _Draft, parts: SearchParts) -> None:
        """Find what the recipe does not allow, as far as it can be read."""
        search = {field: parts.search[field] for field in parts.search if draft.knows(field)}
        one_of = {section: parts.one_of[section] for section in parts.one_of if draft.knows(section)}
        when = {
            field: conditions
            for field, conditions in parts.when.items()
            if field in search and all(draft.knows(name) and not _unread(name, parts) for name in conditions)
        }
        search = {field: search[field] for field in search if field in when or field not in parts.when}
        for problem in validate_search(recipe, search, one_of, when):
            self._add(written_names(self.tree, problem.field), problem.message)

    def _validated(self, values: Mapping[str, Any]) -> SpaceSpec | None:
        try:
            return SpaceSpec.model_validate(values)
        except ValidationError as error:
            for path, message in refusals(error, SpaceSpec):
                self._add(path, message)
        except UsageError as error:
            # The search does not fit. Where that is known already, a grid of what is left would mislead.
            if not any(problem.field.startswith("search") for _, problem in self.found):
                for problem in _typed(error):
                    self._add(written_names(self.tree, problem.field), problem.message)
        return None

    def _error(self) -> SpecError:
        """Return every problem: those of the file first, then of what it extends, then of options."""
        found = [item for item in self.found if not self._misspelt(item[1])]
        files = dict.fromkeys([self.source, *(mark.source for mark, _ in found if mark.line)])
        order = {source: index for index, source in enumerate(files)}
        ranked = sorted(found, key=lambda item: (order.get(item[0].source, len(order)), item[0].line))
        return SpecError(*(problem for _, problem in ranked))

    def _misspelt(self, missing: Problem) -> bool:
        """Return whether a field is missing only because its name is misspelt, which is said already."""
        section, _, name = missing.field.rpartition(".")
        return missing.message == MISSING and any(
            other.field.rpartition(".")[0] == section and f"did you mean {name}? " in other.message
            for _, other in self.found
        )


def _typed(error: UsageError) -> Iterator[Problem]:
    for problem in error.problems:
        yield problem if isinstance(problem, Problem) else Problem("", "", problem)


def _without(search: SearchParts, settings: Sequence[Override]) -> tuple[SearchParts, list[Override]]:
    """Take what settings fix out of a search; the values that come with it go before the settings."""
    more: list[Override] = []
    for setting in settings:
        search, own = fix(search, setting)
        more += own
    return search, [*more, *settings]


def _unread(field: str, parts: SearchParts) -> bool:
    return any(overlap(field, name) for name in parts.unread)


def _starts(starts: Any, settings: Sequence[Override], base: Mapping[str, Value], gone: Collection[str]) -> Any:
    """Take what settings fix out of the starts; what is no list of sections is left to be refused."""
    if not settings or not isinstance(starts, list):
        return starts
    fixed = (fix_start(one, settings, base, gone) if isinstance(one, dict) else one for one in starts)
    return [one for one in fixed if one is not None]


@dataclass(frozen=True)
class _Draft:
    """The recipe of a file, as far as it can be read.

    Attributes:
        recipe: With the broken fields at their defaults; None when nothing can be said.
        complete: Whether nothing was broken.
        unknown: Sections that are broken as a whole, so that their fields are anybody's guess.
    """

    recipe: Recipe | None
    complete: bool = True
    unknown: frozenset[str] = frozenset()

    def knows(self, field: str) -> bool:
        """Return whether anything can be said about a dotted field."""
        return field.partition(".")[0] not in self.unknown


def _draft(values: Any) -> _Draft:
    """Read a recipe so that its search can be checked in the same pass as its own mistakes are found."""
    try:
        return _Draft(Recipe.model_validate(values))
    except ValidationError as error:
        paths = [refusal.path for refusal in refusals(error, Recipe)]
    if not isinstance(values, dict):
        return _Draft(None, complete=False)
    values = {name: dict(section) if isinstance(section, dict) else section for name, section in values.items()}
    unknown = {path[0] for path in paths if len(path) == 1 or path[1] == "kind" or path[0] == "custom"}
    for section, *names in paths:
        if section in unknown:
            values.pop(section, None)
        else:
            values[section].pop(names[0], None)
    try:
        return _Draft(Recipe.model_validate(values), complete=False, unknown=frozenset(unknown))
    except ValidationError:
        return _Draft(None, complete=False)
