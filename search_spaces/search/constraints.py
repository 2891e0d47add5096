"""Constraints between fields: `optimizer.lr * optimizer.weight_decay <= 1e-3`, in a closed grammar, without eval.

    test       = all {"or" all}
    all        = claim {"and" claim}
    claim      = "not" claim | comparison
    comparison = sum {("<" | "<=" | ">" | ">=" | "==" | "!=") sum}
    sum        = product {("+" | "-") product}
    product    = factor {("*" | "/") factor}
    factor     = "-" factor | number | field | ("min" | "max") "(" sum {"," sum} ")" | "(" test ")"

A chain of comparisons holds when each of them does, as in mathematics: `0 < a < b`.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NoReturn

from search_spaces.errors import UsageError
from search_spaces.values import Value, show

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<word>[A-Za-z_]\w*(?:\.\w+)*)"
    r"|(?P<sign><=|>=|==|!=|[-+*/<>(),]))",
    re.ASCII,
)
_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_ARITHMETIC: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
_FUNCTIONS: Mapping[str, Callable[..., float]] = {"min": min, "max": max}
_RESERVED = ("and", "or", "not", *_FUNCTIONS)
_MAX_CHARACTERS, _MAX_DEPTH = 500, 40

Sort = Literal["number", "claim", "field"]
"""Type of an expression. `field` is a type of its own: only the recipe says whether it is a number or a truth value."""


@dataclass(frozen=True)
class Expression:
    """A node of a parsed constraint.

    Attributes:
        operator: `number`, `field`, or the operator that is applied to the operands.
        operands: Operands of an operator.
        value: Value of a number, or dotted path of a field.
    """

    operator: str
    operands: tuple[Expression, ...] = ()
    value: float | str = ""

    @property
    def sort(self) -> Sort:
        """The type of its value."""
        if self.operator == "field":
            return "field"
        return "claim" if self.operator in (*_COMPARISONS, "and", "or", "not") else "number"


@dataclass(frozen=True)
class Constraint:
    """A condition that every proposed point must satisfy.

    Attributes:
        text: Text of the constraint, as in the file.

    Raises:
        UsageError: The text does not follow the grammar; the message has the column.
    """

    text: str
    _root: Expression = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_root", _Parser(self.text).parse())

    @property
    def fields(self) -> tuple[str, ...]:
        """The dotted fields that it mentions, in order."""
        return tuple(dict.fromkeys(_fields(self._root)))

    def holds(self, values: Mapping[str, Value]) -> bool:
        """Return whether the values of a recipe satisfy it.

        It holds if one of its fields is null or does not exist for the selected kind. It does not hold if it cannot be
        computed, as with a division by zero.
        """
        if any(values.get(name) is None for name in self.fields):
            return True
        try:
            return bool(_evaluate(self._root, values))
        except ArithmeticError:
            return False


def _fields(node: Expression) -> Iterator[str]:
    if node.operator == "field":
        yield str(node.value)
    for operand in node.operands:
        yield from _fields(operand)


def _evaluate(node: Expression, values: Mapping[str, Value]) -> float:
    if node.operator == "number":
        return float(node.value)
    if node.operator == "field":
        return values[str(node.value)]  # type: ignore[return-value]  # point_checks.py rejects texts and lists
    if node.operator in ("and", "or"):
        test = all if node.operator == "and" else any
        return test(_evaluate(operand, values) for operand in node.operands)
    operands = [_evaluate(operand, values) for operand in node.operands]
    if node.operator == "not":
        return not operands[0]
    if node.operator in _FUNCTIONS:
        return _FUNCTIONS[node.operator](operands)
    if node.operator in _COMPARISONS:
        return _COMPARISONS[node.operator](*operands)
    return -operands[0] if len(operands) == 1 else _ARITHMETIC[node.operator](*operands)


class _Parser:
    """Recursive-descent parser with one method for each line of the grammar."""

    def __init__(self, text: object) -> None:
        if not isinstance(text, str) or not text.isprintable():
            raise UsageError(f"must be a text such as 'optimizer.lr <= 0.1', found {show(text)}")
        if len(text) > _MAX_CHARACTERS:
            raise UsageError(f"must have at most {_MAX_CHARACTERS} characters, found {len(text)}")
        self._tokens = list(_tokens(text))
        self._at = 0
        self._depth = 0

    def parse(self) -> Expression:
        root = self._test()
        if self._kind != "end":
            self._fail("and, or, an operator or the end")
        if root.sort == "number":
            raise UsageError("must be a comparison such as optimizer.lr <= 0.1, found a number")
        return root

    @property
    def _kind(self) -> str:
        return self._tokens[self._at][0]

    @property
    def _text(self) -> str:
        return self._tokens[self._at][1]

    def _take(self, *texts: str) -> str | None:
        """Consume and return the next token if it is one of these texts."""
        if self._kind in ("sign", "word") and self._text in texts:
            self._at += 1
            return self._tokens[self._at - 1][1]
        return None

    def _fail(self, expected: str) -> NoReturn:
        found = "the end" if self._kind == "end" else show(self._text)
        raise UsageError(f"column {self._tokens[self._at][2]}: expected {expected}, found {found}")

    def _test(self) -> Expression:
        return self._joined("or", lambda: self._joined("and", self._claim))

    def _joined(self, word: str, part: Callable[[], Expression]) -> Expression:
        parts = [part()]
        while self._take(word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else Expression(word, tuple(_claims(parts, word)))

    def _claim(self) -> Expression:
        self._deeper()
        try:
            if self._take("not"):
                return Expression("not", tuple(_claims([self._claim()], "not")))
            return self._comparison()
        finally:
            self._depth -= 1

    def _comparison(self) -> Expression:
        left = self._sum()
        pairs: list[Expression] = []
        while sign := self._take(*_COMPARISONS):
            right = self._sum()
            pairs.append(Expression(sign, tuple(_numbers([left, right], sign))))
            left = right
        if not pairs:
            return left
        return pairs[0] if len(pairs) == 1 else Expression("and", tuple(pairs))

    def _sum(self) -> Expression:
        return self._chain(("+", "-"), lambda: self._chain(("*", "/"), self._factor))

    def _chain(self, signs: tuple[str, str], part: Callable[[], Expression]) -> Expression:
        left = part()
        while sign := self._take(*signs):
            left = Expression(sign, tuple(_numbers([left, part()], sign)))
        return left

    def _factor(self) -> Expression:
        self._deeper()
        try:
            if self._take("-"):
                return Expression("-", tuple(_numbers([self._factor()], "-")))
            if name := self._take(*_FUNCTIONS):
                return Expression(name, tuple(_numbers(self._arguments(name), name)))
            if self._take("("):
                inner = self._test()
                self._close()
                return inner
            return self._atom()
        finally:
            self._depth -= 1

    def _arguments(self, name: str) -> list[Expression]:
        if not self._take("("):
            self._fail(f"( after {name}")
        arguments = [self._sum()]
        while self._take(","):
            arguments.append(self._sum())
        self._close()
        return arguments

    def _close(self) -> None:
        if not self._take(")"):
            self._fail(")")

    def _atom(self) -> Expression:
        if self._kind == "number":
            node = Expression("number", value=float(self._text))
        elif self._kind == "word" and self._text not in _RESERVED:
            node = Expression("field", value=self._text)
        else:
            self._fail("a number, a field, min, max or (")
        self._at += 1
        return node

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > 2 * _MAX_DEPTH:  # each parenthesis counts as a claim and as a factor
            raise UsageError(f"must be nested at most {_MAX_DEPTH} levels deep, found more")


def _tokens(text: str) -> Iterator[tuple[str, str, int]]:
    """Yield the kind, text and column of each token, and an end token."""
    at = 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if not match or match.lastgroup is None:
            at += len(text[at:]) - len(text[at:].lstrip())
            raise UsageError(
                f"column {at + 1}: {show(text[at])} is not allowed in a constraint; write fields without quotes"
            )
        yield match.lastgroup, match[match.lastgroup], match.start(match.lastgroup) + 1
        at = match.end()
    yield "end", "", len(text.rstrip()) + 1


def _claims(nodes: list[Expression], word: str) -> Iterator[Expression]:
    for node in nodes:
        if node.sort == "number":
            example = "not a < b" if word == "not" else f"a < b {word} c < d"
            raise UsageError(f"{word} needs comparisons, found a number; write {example}")
        yield node


def _numbers(nodes: list[Expression], sign: str) -> Iterator[Expression]:
    for node in nodes:
        if node.sort == "claim":
            raise UsageError(f"{sign} needs numbers, found a comparison")
        yield node
