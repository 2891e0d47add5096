"""The `search` section of a file: nodes -> ranges, alternatives and conditions; and what `--set` takes out of it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from search_spaces.errors import UsageError, suggest
from search_spaces.files.nodes import Items, Leaf, Node, Section, drop, plain
from search_spaces.files.overrides import Override
from search_spaces.recipe.fields import KINDS
from search_spaces.search.distributions import DISTRIBUTION_NAMES, Distribution, Value, make_distribution
from search_spaces.search.parameters import Alternative, overlap
from search_spaces.values import checked_value, identity, show

Complain = Callable[[Sequence[str], str], None]
"""Takes the path of a problem and its message."""


@dataclass(frozen=True)
class SearchParts:
    """What a `search` section says, as `SpaceSpec` has it.

    Attributes:
        search: Plain fields.
        one_of: Alternatives of sections.
        when: Conditions of plain fields.
        unread: Names of the section that could not be read, so that what depends on them is anybody's guess.
    """

    search: Mapping[str, Distribution] = field(default_factory=dict)
    one_of: Mapping[str, tuple[Alternative, ...]] = field(default_factory=dict)
    when: Mapping[str, Mapping[str, tuple[Value, ...]]] = field(default_factory=dict)
    unread: frozenset[str] = frozenset()

    @property
    def fields(self) -> set[str]:
        """Every field of a recipe that is searched somewhere."""
        own = {
            f"{section}.{name}"
            for section, ones in self.one_of.items()
            for one in ones
            for name in ("kind", *one.search)
        }
        return own | self.search.keys()


def read_distribution(node: Node) -> Distribution:
    """Read `{loguniform: [1e-5, 1e-1]}` and the like.

    Raises:
        UsageError: It is something else.
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


def read_search(node: Node, complain: Complain) -> SearchParts:
    """Read a `search` section; what cannot be read is complained about, and left out."""
    if not isinstance(node, Section):
        law = "must be a section of `field: {distribution: arguments}` lines"
        complain(("search",), f"{law}, found {show(plain(node))}")
        return SearchParts()
    search: dict[str, Distribution] = {}
    one_of: dict[str, tuple[Alternative, ...]] = {}
    when: dict[str, Mapping[str, tuple[Value, ...]]] = {}
    for name, entry in node.entries.items():
        path = ("search", name)
        if isinstance(entry, Section) and "one_of" in entry.entries:
            alternatives = _alternatives(entry, path, complain)
            if alternatives is not None:
                one_of[name] = alternatives
            continue
        conditions = _conditions(entry, path, complain)
        try:
            search[name] = read_distribution(drop(entry, ["when"]) if isinstance(entry, Section) else entry)
        except UsageError as error:
            complain(path, str(error))
        if conditions:
            when[name] = conditions
    unread = node.entries.keys() - search.keys() - one_of.keys()
    return SearchParts(search, one_of, {name: when[name] for name in when if name in search}, frozenset(unread))


def _conditions(entry: Node, path: Sequence[str], complain: Complain) -> dict[str, tuple[Value, ...]]:
    """Read `when: {optimizer.kind: sgd}`, where a list means any of its values."""
    if not isinstance(entry, Section) or "when" not in entry.entries:
        return {}
    node, path = entry.entries["when"], (*path, "when")
    if not isinstance(node, Section) or not node.entries:
        found = "nothing" if isinstance(node, Section) else show(plain(node))
        complain(path, f"must be `field: value` lines, such as {{optimizer.kind: sgd}}, found {found}")
        return {}
    conditions: dict[str, tuple[Value, ...]] = {}
    for name, values in node.entries.items():
        items = values.items if isinstance(values, Items) else [values]
        scalars = tuple(item.value for item in items if isinstance(item, Leaf))
        if not items or len(scalars) < len(items):
            complain((*path, name), f"must be a value or a list of values, found {show(plain(values))}")
        else:
            conditions[name] = scalars
    return conditions


def _alternatives(entry: Section, path: Sequence[str], complain: Complain) -> tuple[Alternative, ...] | None:
    """Read the alternatives, or return None if what is left of them would mislead."""
    others = [name for name in entry.entries if name != "one_of"]
    for name in others:
        complain((*path, name), "does not go with one_of; write it into the alternatives")
    node, path = entry.entries["one_of"], (*path, "one_of")
    if not isinstance(node, Items):
        complain(path, f"must be a list of alternatives, such as [{{kind: sgd}}], found {show(plain(node))}")
        return None
    read = [_alternative(item, (*path, str(index)), complain) for index, item in enumerate(node.items)]
    return None if others or None in read else tuple(one for one in read if one is not None)


def _alternative(node: Node, path: Sequence[str], complain: Complain) -> Alternative | None:
    if not isinstance(node, Section):
        complain(
            path, f"must be a section such as {{kind: sgd, lr: {{loguniform: [1e-2, 1]}}}}, found {show(plain(node))}"
        )
        return None
    kind = plain(node.entries["kind"]) if "kind" in node.entries else None
    sound = isinstance(kind, str)
    if not sound:
        complain(path, f"needs a kind of its own, found {'none' if kind is None else show(kind)}")
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
            complain((*path, name), str(error))
            sound = False
    return Alternative(str(kind), settings, search) if sound else None


def _own_range(entry: Section) -> Distribution:
    if "when" in entry.entries:
        raise UsageError("a range of an alternative is active with it; leave when out, or write it as a plain field")
    return read_distribution(entry)


# --- what is fixed ----------------------------------------------------------------------------------------------


def fix(parts: SearchParts, setting: Override) -> tuple[SearchParts, tuple[Override, ...]]:
    """Take what a `--set` fixes out of a search.

    A fixed kind leaves the one alternative that has it, if there is one: its ranges become plain ones, and its values
    the recipe's. Another fixed field leaves each alternative, too, and is set in those that have it.

    Returns:
        What is left, and the settings of the recipe that come with it.
    """
    section, _, name = setting.field.partition(".")
    settings: tuple[Override, ...] = ()
    if section in parts.one_of and name == "kind":
        parts, settings = _chosen(parts, section, setting)
    elif section in parts.one_of:
        ones = tuple(_with(one, section, name, setting.value) for one in parts.one_of[section])
        parts = replace(parts, one_of={**parts.one_of, section: ones})
    when = {
        field: {name: values for name, values in conditions.items() if name != setting.field}
        for field, conditions in parts.when.items()
    }
    gone = {field for field in parts.search if overlap(field, setting.field)}
    gone |= {
        field
        for field, conditions in parts.when.items()
        if setting.field in conditions and not _among(setting.value, conditions[setting.field])
    }
    search = {field: values for field, values in parts.search.items() if field not in gone}
    return replace(parts, search=search, when={key: when[key] for key in when if key in search and when[key]}), settings


def _chosen(parts: SearchParts, section: str, setting: Override) -> tuple[SearchParts, tuple[Override, ...]]:
    left = {key: ones for key, ones in parts.one_of.items() if key != section}
    for one in parts.one_of[section]:
        if one.kind == setting.value:
            own = {f"{section}.{name}": values for name, values in one.search.items()}
            settings = (Override(setting.where, f"{section}.{name}", value) for name, value in one.settings.items())
            return replace(parts, search={**own, **parts.search}, one_of=left), tuple(settings)
    return replace(parts, one_of=left), ()


def _with(one: Alternative, section: str, name: str, value: Value) -> Alternative:
    part = KINDS.get(section, {}).get(one.kind)
    if part is None or name.partition(".")[0] not in part.model_fields:
        return one
    settings = {key: old for key, old in one.settings.items() if not key.startswith(f"{name}.")}
    search = {key: values for key, values in one.search.items() if not overlap(key, name)}
    return replace(one, settings={**settings, name: value}, search=search)


def fix_start(
    start: Mapping[str, Value], settings: Sequence[Override], base: Mapping[str, Value], gone: Collection[str]
) -> Mapping[str, Value] | None:
    """Return a start without what settings take out of the search, or None if nothing is left of it.

    Args:
        start: Values of searched fields.
        settings: What is fixed.
        base: Every value of the base recipe: a start that names no kind is of its kind.
        gone: Fields that are searched no more.
    """
    others = [
        setting.field.removesuffix("kind")
        for setting in settings
        if setting.field.endswith(".kind")
        and setting.field != "custom.kind"
        and start.get(setting.field, base.get(setting.field)) != setting.value
    ]
    left = {field: value for field, value in start.items() if field not in gone and not field.startswith(tuple(others))}
    return left or None


def _among(value: Value, values: Sequence[Value]) -> bool:
    return identity(value) in map(identity, values)
