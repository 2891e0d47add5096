from __future__ import annotations

import contextlib
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces.errors import UsageError
from search_spaces.search.constraints import Constraint

VALUES = {"a": 2.0, "b": 3, "c.d": 0.5, "on": True, "off": False, "none": None, "zero": 0}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("a < b", True),
        ("a > b", False),
        ("a<=2", True),
        ("a >= 2.0", True),
        ("a == 2", True),
        ("a != 2", False),
        ("1 < a < b", True),
        ("1 < b < a", False),
        ("a + b * 2 == 8", True),
        ("(a + b) * 2 == 10", True),
        ("a - b - 1 == -2", True),
        ("b / a / 3 == c.d", True),
        ("-a + b == 1", True),
        ("--a == 2", True),
        ("min(a, b, 1) == 1 and max(a, b) == 3", True),
        ("a > b or b > a", True),
        ("a > b or a > b and b > a", False),
        ("b > a or a > b and a > b", True),  # and binds stronger
        ("not a > b", True),
        ("not (a < b and b < 4)", False),
        ("on", True),
        ("not off", True),
        ("on and a < b", True),
        ("on == 1", True),
        ("1e-3 * a <= .002", True),
        ("2. == a", True),
        ("a / zero > 1", False),  # what cannot be computed does not hold
        ("a / 0 < 1", False),
        ("1e300 * 1e300 > a", True),
        ("none < 1", True),  # nothing to compare
        ("absent < 1", True),
        ("absent < 1 and a > b", True),
    ],
)
def test_what_holds(text: str, holds: bool) -> None:
    assert Constraint(text).holds(VALUES) is holds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "column 1: expected a number, a field, min, max or (, found the end"),
        ("a <", "column 4: expected a number, a field, min, max or (, found the end"),
        ("a < < b", "column 5: expected a number, a field, min, max or (, found '<'"),
        ("a < b c", "column 7: expected and, or, an operator or the end, found 'c'"),
        ("(a < b", "column 7: expected ), found the end"),
        ("min a < b", "column 5: expected ( after min, found 'a'"),
        ("min() < b", "column 5: expected a number"),
        ("and < b", "column 1: expected a number"),
        ("a == 'sgd'", 'column 6: "\'" is not allowed in a constraint; write fields without quotes'),
        ("a ** 2 < 1", "column 4: expected a number, a field, min, max or (, found '*'"),
        ("__import__(os)", "column 11: expected and, or, an operator or the end, found '('"),
        ("a[0] < 1", "column 2: '[' is not allowed in a constraint"),
        ("lambda: 1", "column 7: ':' is not allowed in a constraint"),
        ("a + b", "must be a comparison such as optimizer.lr <= 0.1, found a number"),
        ("a and b < 1 + c.d and 3", "and needs comparisons, found a number; write a < b and c < d"),
        ("not 3", "not needs comparisons, found a number; write not a < b"),
        ("(a < b) + 1 > 0", "+ needs numbers, found a comparison"),
        ("(a < b) < 1", "< needs numbers, found a comparison"),
        ("min((a < b), 1) > 0", "min needs numbers, found a comparison"),
        ("(" * 60 + "a < b" + ")" * 60, "must be nested at most 40 levels deep, found more"),
        ("-" * 400 + "a < b", "must be nested at most 40 levels deep, found more"),
        ("a < b and " * 60 + "a < b", "must have at most 500 characters, found 605"),
        (3, "must be a text such as 'optimizer.lr <= 0.1', found 3"),
        ("a <\n b", "must be a text"),
    ],
)
def test_what_is_no_constraint(text: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        Constraint(text)
    assert str(raised.value).startswith(message)


def test_fields_in_order_and_equality_by_text() -> None:
    constraint = Constraint("optimizer.lr * optimizer.betas.1 <= max(budget.epochs, optimizer.lr)")
    assert constraint.fields == ("optimizer.lr", "optimizer.betas.1", "budget.epochs")
    assert constraint == Constraint(constraint.text) != Constraint("a < b")
    assert pickle.loads(pickle.dumps(constraint)) == constraint


NUMBERS = st.one_of(st.integers(0, 9).map(str), st.sampled_from(["a", "b", "0.5", "2e1"]))
SUMS = st.recursive(
    NUMBERS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*"]), inner).map(lambda parts: f"({' '.join(parts)})"),
        st.tuples(inner, inner).map(lambda parts: f"max({parts[0]}, -{parts[1]})"),
    ),
    max_leaves=8,
)


@given(SUMS, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), SUMS)
def test_arithmetic_is_that_of_python(left: str, sign: str, right: str) -> None:
    text = f"{left} {sign} {right}"
    if len(text) <= 500:
        assert Constraint(text).holds(VALUES) is eval(text, {"a": 2.0, "b": 3.0, "max": max})


@given(st.text(alphabet="ab.01<>=+-*/(), andornotminmax", max_size=60))
def test_any_text_is_a_constraint_or_a_usage_error(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert Constraint(text).holds(VALUES) in (True, False)
