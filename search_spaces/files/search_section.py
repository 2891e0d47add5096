"""Read the `search` section of a file, and remove from it what `--set` fixes."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from search_spaces.errors import UsageError, suggest
from search_spaces.files.nodes import Items, Leaf, Node, Section, drop, plain
from search_spaces.files.overrides import Override
from search_spaces.recipe.fields import KINDS, is_open
from search_spaces.search.distributions import DISTRIBUTION_NAMES, Distribution, Value, make_distribution
from search_spaces.search.parameters import Alternative, overlap
from search_spaces.values import checked_value, identity, show

Report = Callable[[Sequence[str], str], None]
"""Receives the path and the message of a problem."""


@dataclass(frozen=True)
class SearchParts:
    """The contents of a `search` section, as `SpaceSpec` stores them.

    Attributes:
        search: Plain field -> distribution.
        one_of: Section -> alternatives.
        when: Plain field -> conditions.
        invalid: Invalid names of the section. What depends on them cannot be checked.
    """

    search: Mapping[str, Distribution] = field(default_factory=dict)
    one_of: Mapping[str, tuple[Alternative, ...]] = field(default_factory=dict)
    when: Mapping[str, Mapping[str, tuple[Value, ...]]] = field(default_factory=dict)
    invalid: frozenset[str] = frozenset()

    @property
    def fields(self) -> set[str]:
        """Every field of the recipe that is searched in some run."""
        own = {
            f"{section}.{name}"
            for section, ones in self.one_of.items()
            for one in ones
            for name in ("kind", *one.search)
        }
        return own | self.search.keys()


def read_distribution(node: Node) -> Distribution:
    """Read a distribution such as `{loguniform: [1e-5, 1e-1]}`.

    Raises:
        UsageError: The node is not a valid distribution.
    """
    names = ", ".join(DISTRIBUTION_NAMES)
    prior = node.entries.get("prior") if isinstance(node, Section) else None
    rest = drop(node, ["prior"]) if isinstance(node, Section) else node
    if not isinstance(rest, Section) or len(rest.entries) != 1:
        found = f"{len(rest.entries)} names" if isinstance(rest, Section) else show(plain(node))
        raise UsageError(f"must be one distribution, such as {{uniform: [0, 1]}}, found {found}; valid: {names}")
    [(name, arguments)] = rest.entries.items()
    if name not in DISTRIBUTION_NAMES:
        raise UsageError(f"unknown distribution {show(name)}; {suggest(name, DISTRIBUTION_NAMES)}")
    return make_distribution(name, plain(arguments), None if prior is None else plain(prior))


def read_search(node: Node, report: Report) -> SearchParts:
    """Read a `search` section. Invalid parts are reported and left out."""
    if not isinstance(node, Section):
        rule = "must be a section of `field: {distribution: arguments}` lines"
        report(("search",), f"{rule}, found {show(plain(node))}")
        return SearchParts()
    search: dict[str, Distribution] = {}
    one_of: dict[str, tuple[Alternative, ...]] = {}
    when: dict[str, Mapping[str, tuple[Value, ...]]] = {}
    for name, entry in node.entries.items():
        path = ("search", name)
        if isinstance(entry, Section) and "one_of" in entry.entries:
            alternatives = _alternatives(entry, path, report)
            if alternatives is not None:
                one_of[name] = alternatives
            continue
        conditions = _conditions(entry, path, report)
        try:
            search[name] = read_distribution(drop(entry, ["when"]) if isinstance(entry, Section) else entry)
        except UsageError as error:
            report(path, str(error))
        if conditions:
            when[name] = conditions
    invalid = node.entries.keys() - search.keys() - one_of.keys()
    return SearchParts(search, one_of, {name: when[name] for name in when if name in search}, frozenset(invalid))


def _conditions(entry: Node, path: Sequence[str], report: Report) -> dict[str, tuple[Value, ...]]:
    """Read conditions such as `when: {optimizer.kind: sgd}`; a list means any of its values."""
    if not isinstance(entry, Section) or "when" not in entry.entries:
        return {}
    node, path = entry.entries["when"], (*path, "when")
    if not isinstance(node, Section) or not node.entries:
        found = "nothing" if isinstance(node, Section) else show(plain(node))
        report(path, f"must be `field: value` lines, such as {{optimizer.kind: sgd}}, found {found}")
        return {}
    conditions: dict[str, tuple[Value, ...]] = {}
    for name, values in node.entries.items():
        items = values.items if isinstance(values, Items) else [values]
        scalars = tuple(item.value for item in items if isinstance(item, Leaf))
        if not items or len(scalars) < len(items):
            report((*path, name), f"must be a value or a list of values, found {show(plain(values))}")
        else:
            conditions[name] = scalars
    return conditions


def _alternatives(entry: Section, path: Sequence[str], report: Report) -> tuple[Alternative, ...] | None:
    """Read the alternatives, or return None if one is invalid."""
    others = [name for name in entry.entries if name != "one_of"]
    for name in others:
        report((*path, name), "must not be beside one_of; move it into the alternatives")
    node, path = entry.entries["one_of"], (*path, "one_of")
    if not isinstance(node, Items):
        report(path, f"must be a list of alternatives, such as [{{kind: sgd}}], found {show(plain(node))}")
        return None
    read = [_alternative(item, (*path, str(index)), report) for index, item in enumerate(node.items)]
    return None if others or None in read else tuple(one for one in read if one is not None)


def _alternative(node: Node, path: Sequence[str], report: Report) -> Alternative | None:
    if not isinstance(node, Section):
        report(
            path, f"must be a section such as {{kind: sgd, lr: {{loguniform: [1e-2, 1]}}}}, found {show(plain(node))}"
        )
        return None
    kind = plain(node.entries["kind"]) if "kind" in node.entries else None
    valid = isinstance(kind, str)
    if not valid:
        report(path, f"must have a kind, found {'none' if kind is None else show(kind)}")
    settings: dict[str, Value] = {}
    search: dict[str, Distribution] = {}
    for name, entry in node.entries.items():
        try:
            if name == "kind":
                continue
            if isinstance(entry, Section):
                search[name] = _own_range(entry)
            else:
                settings[name] = checked_value(plain(entry))
        except UsageError as error:
            report((*path, name), str(error))
            valid = False
    return Alternative(str(kind), settings, search) if valid else None


def _own_range(entry: Section) -> Distribution:
    if "when" in entry.entries:
        raise UsageError("a range in an alternative must not have when; remove when, or make it a plain field")
    return read_distribution(entry)


# --- what is fixed ----------------------------------------------------------------------------------------------


def fix(parts: SearchParts, override: Override) -> tuple[SearchParts, tuple[Override, ...]]:
    """Remove what a `--set` fixes from a search.

    If a kind is fixed, its alternative is selected: its ranges become plain ones, and its settings overrides of the
    recipe. Any other fixed field is set in each alternative that has it.

    Returns:
        The remaining search, and the overrides that follow from a fixed kind.
    """
    section, _, name = override.field.partition(".")
    settings: tuple[Override, ...] = ()
    if section in parts.one_of and name == "kind":
        parts, settings = _fix_kind(parts, section, override)
    elif section in parts.one_of:
        ones = tuple(_with_value(one, section, name, override.value) for one in parts.one_of[section])
        parts = replace(parts, one_of={**parts.one_of, section: ones})
    when = {
        field: {name: values for name, values in conditions.items() if name != override.field}
        for field, conditions in parts.when.items()
    }
    removed = {field for field in parts.search if overlap(field, override.field)}
    removed |= {
        field
        for field, conditions in parts.when.items()
        if override.field in conditions and not _among(override.value, conditions[override.field])
    }
    search = {field: values for field, values in parts.search.items() if field not in removed}
    return replace(parts, search=search, when={key: when[key] for key in when if key in search and when[key]}), settings


def _fix_kind(parts: SearchParts, section: str, override: Override) -> tuple[SearchParts, tuple[Override, ...]]:
    left = {key: ones for key, ones in parts.one_of.items() if key != section}
    for one in parts.one_of[section]:
        if one.kind == override.value:
            own = {f"{section}.{name}": values for name, values in one.search.items()}
            settings = (Override(override.where, f"{section}.{name}", value) for name, value in one.settings.items())
            return replace(parts, search={**own, **parts.search}, one_of=left), tuple(settings)
    return replace(parts, one_of=left), ()


def _with_value(one: Alternative, section: str, name: str, value: Value) -> Alternative:
    part = KINDS.get(section, {}).get(one.kind)
    if part is None or name.partition(".")[0] not in part.model_fields:
        return one
    settings = {key: old for key, old in one.settings.items() if not key.startswith(f"{name}.")}
    search = {key: values for key, values in one.search.items() if not overlap(key, name)}
    return replace(one, settings={**settings, name: value}, search=search)


def fix_start(
    start: Mapping[str, Value], settings: Sequence[Override], base: Mapping[str, Value], removed: Collection[str]
) -> Mapping[str, Value] | None:
    """Return a start without fixed fields, or None if no field is left.

    Args:
        start: Values of searched fields.
        settings: Overrides.
        base: Values of the base recipe, whose kinds are those of a start that sets none.
        removed: Fields that are no longer searched.
    """
    others = [
        override.field.removesuffix("kind")
        for override in settings
        if override.field.endswith(".kind")
        and not is_open(override.field)
        and start.get(override.field, base.get(override.field)) != override.value
    ]
    left = {
        field: value for field, value in start.items() if field not in removed and not field.startswith(tuple(others))
    }
    return left or None


def _among(value: Value, values: Sequence[Value]) -> bool:
    return identity(value) in map(identity, values)
