from __future__ import annotations

import pytest

from analysis.statistics.intervals import Interval
from analysis.wording import between, error_line, number, p_number, p_words, signed, two_decimals, value_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (0.012345, "0.0123"),
        (0.0000123, "0.000012"),
        (1.5e-6, "1.5e-06"),
        (12.0, "12"),
        (999.7, "999.7"),
        (1234.5678, "1235"),
        (-12349.6, "-12350"),
    ],
)
def test_numbers(value: float, text: str) -> None:
    assert number(value) == text


def test_signs_intervals_and_p_values() -> None:
    assert [signed(value) for value in (0.5, -0.5, 0.0)] == ["+0.5", "-0.5", "0"]
    assert between(Interval(0.0081, 0.01649)) == "[0.0081, 0.0165]"
    assert two_decimals(Interval(-0.081, 0.645)) == "[-0.08, 0.65]"
    assert [p_words(p) for p in (0.0004, 0.021, 1.0)] == ["p < .001", "p = .021", "p = 1.000"]
    assert [p_number(p) for p in (0.0004, 0.021)] == ["< .001", ".021"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (0.001, "0.001"),
        (2048, "2048"),
        ("adamw", "adamw"),
        ("1", "'1'"),
        ("true", "'true'"),
        (None, "null"),
    ],
)
def test_values_of_fields_are_written_as_in_yaml(value: bool | float | str | None, text: str) -> None:
    assert value_text(value) == text


def test_the_line_of_an_error() -> None:
    assert error_line("Traceback ...\nRuntimeError: no\n", "none") == "RuntimeError: no"
    assert error_line(None, "none") == "none"
    assert error_line("x" * 300, "none") == "x" * 199 + "…"
