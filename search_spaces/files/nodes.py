"""The nodes of a parsed YAML file, each with its line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from search_spaces.values import Scalar


@dataclass(frozen=True)
class Mark:
    """The place of a node or key.

    Attributes:
        source: Name of a file, or a command-line option.
        line: Line number from 1; 0 for an option.
    """

    source: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}" if self.line else self.source


@dataclass(frozen=True)
class Leaf:
    """A scalar."""

    mark: Mark
    value: Scalar


@dataclass(frozen=True)
class Items:
    """A sequence."""

    mark: Mark
    items: Sequence[Node]


@dataclass(frozen=True)
class Section:
    """A mapping from texts to nodes, with the mark of each key."""

    mark: Mark
    entries: Mapping[str, Node] = field(default_factory=dict)
    keys: Mapping[str, Mark] = field(default_factory=dict)


Node = Leaf | Items | Section


def put(section: Section, name: str, node: Node, key: Mark) -> Section:
    """Return the section with one entry set."""
    return Section(section.mark, {**section.entries, name: node}, {**section.keys, name: key})


def drop(section: Section, names: Sequence[str]) -> Section:
    """Return the section without some entries."""
    kept = {name: node for name, node in section.entries.items() if name not in names}
    return Section(section.mark, kept, {name: section.keys[name] for name in kept})


def plain(node: Node) -> object:
    """Return a node as dicts, lists and scalars."""
    match node:
        case Leaf():
            return node.value
        case Items():
            return [plain(item) for item in node.items]
        case Section():
            return {name: plain(entry) for name, entry in node.entries.items()}


def find(node: Node, path: Sequence[str]) -> Mark:
    """Return the mark of the deepest part of a path that is in the file."""
    mark = node.mark
    for name in path:
        if isinstance(node, Section) and name in node.entries:
            mark = node.keys[name]
            node = node.entries[name]
        elif isinstance(node, Items) and name.isdecimal() and int(name) < len(node.items):
            node = node.items[int(name)]
            mark = node.mark
        else:
            break
    return mark


def written_names(node: Node, path: str) -> list[str]:
    """Split a dotted path into names as in the file, since names of arms and of searched fields may have dots."""
    names: list[str] = []
    while path:
        if isinstance(node, Items) and (index := path.partition(".")[0]).isdecimal() and int(index) < len(node.items):
            name, inner = index, node.items[int(index)]
        elif isinstance(node, Section) and (known := [one for one in node.entries if f"{path}.".startswith(f"{one}.")]):
            name = max(known, key=len)
            inner = node.entries[name]
        else:
            return [*names, *path.split(".")]
        names.append(name)
        node, path = inner, path[len(name) + 1 :]
    return names


def merge(base: Node, over: Node, path: tuple[str, ...] = ()) -> Node:
    """Return `base` with the overrides of a file that extends it.

    Sections are merged, and everything else is replaced. There are three exceptions: a section with another `kind`
    replaces the whole section, and under `search` each entry is replaced as a whole or removed by null. A budget in
    steps replaces one in epochs, and the other way round.
    """
    if not (isinstance(base, Section) and isinstance(over, Section)):
        return over
    if path[:1] == ("search",) and len(path) > 1:
        return over
    kinds = [plain(section.entries["kind"]) for section in (base, over) if "kind" in section.entries]
    if path and len(kinds) == 2 and kinds[0] != kinds[1]:
        return over
    merged = drop(base, _replaced_length(over)) if path[-1:] == ("budget",) else base
    for name, node in over.entries.items():
        if path == ("search",) and name in base.entries and node == Leaf(node.mark, None):
            merged = drop(merged, [name])
        elif name in base.entries:
            merged = put(merged, name, merge(base.entries[name], node, (*path, name)), over.keys[name])
        else:
            merged = put(merged, name, node, over.keys[name])
    return Section(over.mark, merged.entries, merged.keys)


def _replaced_length(budget: Section) -> tuple[str, ...]:
    """Return the fields of a budget that its length in another unit replaces."""
    if "steps" in budget.entries:
        return ("epochs",)
    return ("steps", "report_every") if "epochs" in budget.entries else ()
