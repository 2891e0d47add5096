"""Parse the values of Hydra's sweep overrides: `tag(log, interval(1e-5, 1e-1))`, `choice(a, b)`, `1,2,3`.

Source: "Extended override syntax", hydra.cc. Only calls, lists, quoted text and plain words are supported.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from search_spaces.files.yaml_parser import scalar
from search_spaces.values import Scalar

_TOKEN = re.compile(r"""\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[()\[\],=]|[^\s()\[\],="'][^()\[\],=]*)""")
_MAX_DEPTH = 20


@dataclass(frozen=True)
class Call:
    """A function and its arguments."""

    name: str
    arguments: Sequence[Term] = ()
    named: Mapping[str, Term] = field(default_factory=dict)


Term = Call | list["Term"] | Scalar
"""A call, a list, or a plain value."""


def parse_override(text: str) -> Term:
    """Return the parsed value of an override. Plain values separated by commas are a `choice`.

    Raises:
        ValueError: The value is not valid.
    """
    reader = _Reader(_tokens(text))
    terms = [reader.term()]
    while reader.take(","):
        terms.append(reader.term())
    if reader.rest:
        raise ValueError(f"unexpected {reader.rest[0]!r}")
    return terms[0] if len(terms) == 1 else Call("choice", terms)


def _tokens(text: str) -> list[str]:
    tokens, position, end = [], 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"cannot be read, starting at {text[position : position + 20]!r}")
        tokens.append(match[1].strip())
        position = match.end()
    return tokens


class _Reader:
    """Parser that consumes a list of tokens."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self.rest = list(tokens)

    def take(self, token: str) -> bool:
        if self.rest[:1] != [token]:
            return False
        self.rest.pop(0)
        return True

    def expect(self, token: str) -> None:
        if not self.take(token):
            raise ValueError(f"expected {token!r}, found {self.rest[0] if self.rest else 'the end'!r}")

    def term(self, depth: int = 0) -> Term:
        if not self.rest or depth > _MAX_DEPTH:
            raise ValueError("a value is missing" if not self.rest else "too many brackets")
        if self.take("["):
            return self._until("]", depth)[0]
        word = self.rest.pop(0)
        if word in ("(", ")", "]", ",", "="):
            raise ValueError(f"unexpected {word!r}")
        if word.startswith("{"):
            raise ValueError("a dictionary such as {a: 1} has no counterpart")
        if self.take("("):
            arguments, named = self._until(")", depth)
            return Call(word, arguments, named)
        return re.sub(r"\\(.)", r"\1", word[1:-1]) if word[0] in "\"'" else scalar(word)

    def _until(self, closing: str, depth: int) -> tuple[list[Term], dict[str, Term]]:
        arguments: list[Term] = []
        named: dict[str, Term] = {}
        while not self.take(closing):
            if arguments or named:
                self.expect(",")
            if closing == ")" and self.rest[1:2] == ["="]:
                name = self.rest.pop(0)
                self.expect("=")
                named[name] = self.term(depth + 1)
            else:
                arguments.append(self.term(depth + 1))
        return arguments, named
