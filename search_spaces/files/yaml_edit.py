"""Find values in YAML text and replace them, so that every other character stays: comments, order, anchors, layout."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from ruamel.yaml import YAML
from ruamel.yaml.events import (
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
)

from search_spaces.errors import Problem, SpecError
from search_spaces.files.dump import quoted
from search_spaces.files.nodes import Mark
from search_spaces.files.yaml_parser import SYNTAX_ERRORS, scalar, syntax_error
from search_spaces.values import Scalar, Value

_CORE_TAGS = tuple(f"tag:yaml.org,2002:{name}" for name in ("int", "float", "bool", "null"))
_COLON = re.compile(r"\s*:")


@dataclass(frozen=True)
class Place:
    """Where a value is in a text.

    Attributes:
        start: Index of its first character.
        end: Index behind its last character.
        line: Line number from 1.
        kind: What is there. An `unclear` one has a name that the file has twice, or no colon before it.
        value: Value of a scalar.
        before: Text to keep before a new value: an anchor, or the space after a colon.
    """

    start: int
    end: int
    line: int
    kind: Literal["scalar", "list", "section", "alias", "unclear"]
    value: Scalar = None
    before: str = ""


@dataclass
class _Open:
    """A list or section of which the end is not reached yet."""

    name: str
    event: CollectionStartEvent
    place: Place
    index: int = 0
    key: str | None = None
    key_end: int = 0


def find_places(text: str, source: str) -> Mapping[str, Place]:
    """Return the place of every value by its dotted name, such as `layers.0.size`, in the order of the file.

    Args:
        text: YAML or JSON.
        source: Name of the file, for messages.

    Raises:
        SpecError: The text is invalid.
    """
    finder = _Finder(text, source)
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            finder.read(event)
    except SYNTAX_ERRORS as error:
        message, line = syntax_error(error, text)
        raise SpecError(Problem(str(Mark(source, line)), "", f"not valid YAML: {message[:200]}")) from None
    return finder.places


class _Finder:
    """Collects places from the events of the parser; the open lists and sections are a stack."""

    def __init__(self, text: str, source: str) -> None:
        self.text = text
        self.source = source
        self.places: dict[str, Place] = {}
        self._open: list[_Open] = []
        self._end = 0  # of the last value; the end of a section without braces is behind the comments that follow
        self._documents = 0

    def read(self, event: Event) -> None:
        """Take one event."""
        if isinstance(event, DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise self._refusal(event, "a file must have one document, found more")
        elif isinstance(event, CollectionEndEvent):
            self._close(event)
        elif isinstance(event, NodeEvent):
            self._node(event)

    def _refusal(self, event: Event, message: str) -> SpecError:
        return SpecError(Problem(str(Mark(self.source, event.start_mark.line + 1)), "", message))

    def _node(self, event: NodeEvent) -> None:
        inside = self._open[-1] if self._open else None
        if inside is not None and isinstance(inside.event, MappingStartEvent) and inside.key is None:
            if not isinstance(event, ScalarEvent):
                raise self._refusal(event, "a name must be a text, found a list, a section or an alias")
            inside.key, inside.key_end = str(event.value), event.end_mark.index
            return
        name = self._name(inside)
        if isinstance(event, CollectionStartEvent):
            self._put(name, self._collection(event, inside))
            self._open.append(_Open(name, event, self.places[name]))
        else:
            leaf = self._leaf(event, inside)
            self._put(name, leaf)
            self._end = leaf.end
            self._next()

    def _name(self, inside: _Open | None) -> str:
        if inside is None:
            return ""
        own = str(inside.index) if inside.key is None else inside.key
        return f"{inside.name}.{own}" if inside.name else own

    def _next(self) -> None:
        if self._open:
            self._open[-1].index += 1
            self._open[-1].key = None

    def _put(self, name: str, place: Place) -> None:
        self.places[name] = replace(place, kind="unclear") if name in self.places else place

    def _collection(self, event: CollectionStartEvent, inside: _Open | None) -> Place:
        """Return the place of a list or section of which the end is not known yet."""
        start, before = event.start_mark.index, _anchor(event)
        colon = self._colon(inside)
        if colon is not None and not event.flow_style:  # `[1]` may not begin where `- 1` may: below its name
            start, before = colon, f" {before}"
        kind: Literal["list", "section"] = "section" if isinstance(event, MappingStartEvent) else "list"
        return Place(start, start, event.start_mark.line + 1, kind, before=before)

    def _colon(self, inside: _Open | None) -> int | None:
        """Return the index behind the colon of the name before a value."""
        colon = _COLON.match(self.text, inside.key_end) if inside and inside.key is not None else None
        return colon.end() if colon else None

    def _leaf(self, event: NodeEvent, inside: _Open | None) -> Place:
        start, end = event.start_mark.index, event.end_mark.index
        line = event.start_mark.line + 1
        if not isinstance(event, ScalarEvent):
            return Place(start, end, line, "alias")
        if start == end:  # nothing is written; the parser reports the place of what follows
            colon = self._colon(inside)
            return (
                Place(start, end, line, "unclear") if colon is None else Place(colon, colon, line, "scalar", None, " ")
            )
        plain = event.implicit[0] or event.tag in _CORE_TAGS
        value = scalar(event.value) if plain else str(event.value)
        return Place(start, self._trimmed(start, end), line, "scalar", value, _anchor(event))

    def _trimmed(self, start: int, end: int) -> int:
        """Return the end without the line breaks that belong to a text of several lines."""
        return start + len(self.text[start:end].rstrip())

    def _close(self, event: CollectionEndEvent) -> None:
        closed = self._open.pop()
        if closed.event.flow_style:
            self._end = event.end_mark.index
        self.places[closed.name] = replace(closed.place, end=self._trimmed(closed.place.start, self._end))
        self._next()


def _anchor(event: NodeEvent) -> str:
    return f"&{event.anchor} " if event.anchor else ""


def replace_places(text: str, changes: Iterable[tuple[Place, str]]) -> str:
    """Return the text with other text in some places, which must not overlap."""
    for place, new in sorted(changes, key=lambda change: change[0].start, reverse=True):
        text = f"{text[: place.start]}{place.before}{new}{text[place.end :]}"
    return text


def yaml_text(value: Value) -> str:
    """Return a value on one line that YAML 1.1 (PyYAML), YAML 1.2 and OmegaConf read with the same type.

    Texts have quotes, since `no` and `1e-3` differ between the versions. Floats have a dot for the same reason.
    """
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(yaml_text, value))}]"
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, str):
        return quoted(value)
    return _float_text(value) if isinstance(value, float) else str(value)


def _float_text(value: float) -> str:
    if not math.isfinite(value):
        return ".nan" if math.isnan(value) else f"{'-' if value < 0 else ''}.inf"
    digits, exponent, power = repr(value).partition("e")
    return f"{digits}.0{exponent}{power}" if exponent and "." not in digits else repr(value)
