"""Parse YAML text into nodes with lines.

Events of the parser are read one by one, so that reading a malicious file stops at the first exceeded limit and nothing
is expanded. Scalars follow the core schema of YAML 1.2: `1e-3` is a number, `no` is a text.
"""

import math
import re
from collections.abc import Iterator

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from search_spaces.errors import Problem, SpecError
from search_spaces.files.nodes import Items, Leaf, Mark, Node, Section
from search_spaces.values import Scalar, show

MAX_BYTES = 256 * 1024
MAX_DEPTH = 20
MAX_NODES = 5_000
_MAX_NAME = 100
_MAX_DIGITS = 100  # Python rejects integers with more than some thousand digits

_INT = re.compile(r"[-+]?[0-9]+")
_BASED_INT = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


def scalar(text: str) -> Scalar:
    """Return the value of an unquoted text in the core schema of YAML 1.2."""
    if text in _WORDS:
        return _WORDS[text]
    if _NOT_FINITE.fullmatch(text):
        return float(text.replace(".", "", 1))
    if len(text) <= _MAX_DIGITS:
        if _INT.fullmatch(text):
            return int(text)
        if _BASED_INT.fullmatch(text):
            return int(text, 0)
        if _FLOAT.fullmatch(text):
            return float(text)
    return text


_TAGS: dict[str | None, type] = {
    f"tag:yaml.org,2002:{name}": kind
    for name, kind in {"str": str, "int": int, "float": float, "bool": bool, "null": type(None)}.items()
}


def parse_yaml(text: str, source: str, core_tags: bool = False) -> Node:
    """Return the only document of a text.

    Args:
        text: YAML.
        source: Name of the file or option, for messages.
        core_tags: Whether values may have a tag of the core schema, such as `!!float`.

    Raises:
        SpecError: The text is invalid. The error has every anchor, alias, tag and duplicate key, or the syntax error or
            exceeded limit at which reading stopped.
    """
    if len(text) > MAX_BYTES:
        raise SpecError(Problem(source, "", f"a file must have at most {MAX_BYTES // 1024} KiB, found more"))
    builder = _Builder(source, core_tags)
    try:
        node = builder.document(YAML(typ="safe", pure=True).parse(text))
    except SYNTAX_ERRORS as error:
        raise builder.failure(*syntax_error(error, text)) from None
    if builder.problems:
        raise SpecError(*builder.problems)
    return node


# An escape such as "\\UFFFFFFFF", which the library accepts, is one of the last two.
SYNTAX_ERRORS = (MarkedYAMLError, ReaderError, ValueError, OverflowError)


def syntax_error(error: Exception, text: str) -> tuple[str, int]:
    """Return the message of one of `SYNTAX_ERRORS` and its line, 0 if unknown."""
    if isinstance(error, MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        return error.problem or "cannot be read", mark.line + 1 if mark else 0
    if isinstance(error, ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return f"the character U+{error.character:04X} is not allowed", line
    return f"cannot be read: {error}", 0


class _Builder:
    """Builds nodes from events and collects problems."""

    def __init__(self, source: str, core_tags: bool) -> None:
        self.source = source
        self.core_tags = core_tags
        self.problems: list[Problem] = []
        self.nodes = 0

    def failure(self, message: str, line: int) -> SpecError:
        """Return an error at which reading ends, after what was found so far."""
        where = str(Mark(self.source, line))
        return SpecError(*self.problems, Problem(where, "", f"not valid YAML: {message[:200]}"))

    def document(self, events: Iterator[Event]) -> Node:
        """Return the first document, and raise an error for a second one."""
        node: Node | None = None
        for event in events:
            if isinstance(event, DocumentStartEvent):
                if node is not None:
                    raise SpecError(
                        *self.problems,
                        self._problem(event, "", "a file must have one document, found more; remove the others"),
                    )
                node = self._node(next(events), events, "", 0)
        return node if node is not None else Leaf(Mark(self.source, 1), None)

    def _problem(self, event: Event, path: str, message: str) -> Problem:
        return Problem(str(self._mark(event)), path, message)

    def _mark(self, event: Event) -> Mark:
        return Mark(self.source, event.start_mark.line + 1)

    def _node(self, event: Event, events: Iterator[Event], path: str, depth: int) -> Node:
        self._check(event, path, depth)
        mark = self._mark(event)
        match event:
            case ScalarEvent():
                return Leaf(mark, self._scalar(event, path))
            case SequenceStartEvent():
                return Items(mark, self._items(events, path, depth))
            case MappingStartEvent():
                return self._section(mark, events, path, depth)
            case _:
                return Leaf(mark, None)  # an alias, which `_check` has reported

    def _check(self, event: Event, path: str, depth: int) -> None:
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            limit = f"{MAX_DEPTH} levels" if depth > MAX_DEPTH else f"{MAX_NODES} values"
            raise self.failure(f"a file must have at most {limit}, found more", event.start_mark.line + 1)
        if isinstance(event, AliasEvent):
            self.problems.append(self._problem(event, path, "aliases (*name) are not allowed; repeat the value"))
        elif isinstance(event, NodeEvent) and event.anchor is not None:
            self.problems.append(self._problem(event, path, "anchors (&name) are not allowed; remove it"))
        known = self.core_tags and isinstance(event, ScalarEvent) and event.tag in _TAGS
        if isinstance(event, ScalarEvent | CollectionStartEvent) and event.tag is not None and not known:
            self.problems.append(
                self._problem(event, path, f"tags are not allowed, found {show(event.tag)}; remove it")
            )

    def _scalar(self, event: ScalarEvent, path: str) -> Scalar:
        value = self._tagged(event, path) if event.tag in _TAGS else self._untagged(event)
        if isinstance(value, float) and not math.isfinite(value):
            self.problems.append(self._problem(event, path, f"must be finite, found {event.value[:40]}"))
        if isinstance(value, str) and re.search("[\x00\ud800-\udfff]", value):
            self.problems.append(
                self._problem(event, path, f"must not have NUL or surrogate characters, found {show(value)}")
            )
        return value

    def _untagged(self, event: ScalarEvent) -> Scalar:
        return scalar(event.value) if event.implicit[0] else str(event.value)

    def _tagged(self, event: ScalarEvent, path: str) -> Scalar:
        kind = _TAGS[event.tag]
        value = str(event.value) if kind is str else scalar(event.value)
        if kind is float and type(value) is int:
            return float(value)
        if type(value) is not kind:
            name = str(event.tag).rpartition(":")[2]
            self.problems.append(self._problem(event, path, f"is not a value of !!{name}, found {show(event.value)}"))
        return value

    def _items(self, events: Iterator[Event], path: str, depth: int) -> tuple[Node, ...]:
        items: list[Node] = []
        for event in events:
            if isinstance(event, ScalarEvent | AliasEvent | SequenceStartEvent | MappingStartEvent):
                items.append(self._node(event, events, _join(path, str(len(items))), depth + 1))
            else:
                break
        return tuple(items)

    def _section(self, mark: Mark, events: Iterator[Event], path: str, depth: int) -> Section:
        entries: dict[str, Node] = {}
        keys: dict[str, Mark] = {}
        for event in events:
            if isinstance(event, MappingEndEvent):
                break
            name = self._key(event, events, path, depth)
            if name and name in entries:
                text = f"is a duplicate of line {keys[name].line}; remove one of them"
                self.problems.append(self._problem(event, _join(path, name), text))
            entries[name] = self._node(next(events), events, _join(path, name), depth + 1)
            keys[name] = self._mark(event)
        return Section(mark, entries, keys)

    def _key(self, event: Event, events: Iterator[Event], path: str, depth: int) -> str:
        """Read a name. An invalid one becomes the empty name, so that no message prints it."""
        node = self._node(event, events, path, depth + 1)
        name = str(event.value) if isinstance(event, ScalarEvent) else ""
        if name and name.isprintable() and len(name) <= _MAX_NAME:
            return name
        if not isinstance(event, AliasEvent):  # which `_check` has reported
            rule = f"a name must be 1 to {_MAX_NAME} printable characters"
            self.problems.append(self._problem(event, path, f"{rule}, found {_describe(node)}"))
        return ""


def _describe(node: Node) -> str:
    return show(node.value) if isinstance(node, Leaf) else "a list" if isinstance(node, Items) else "a section"


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
