"""One value of each metric at each position."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from trainers.command.metrics.reading import Reading, Unit
from trainers.command.metrics.timeline import MOST_DIFFERENCES, Difference, Point, Timeline


def step(progress: int | None, unit: Unit = "step", **values: float) -> Reading:
    return Reading(progress, unit, values)


def points(*readings: Reading, unit: Unit | None = None) -> list[Point]:
    timeline = Timeline(unit)
    return timeline.add(readings) + timeline.end()


def test_values_of_one_position_are_merged_until_it_moves_on() -> None:
    timeline = Timeline()
    assert timeline.add([step(1, a=1)]) == []
    assert timeline.add([step(1, b=2), step(None, c=3)]) == []
    assert timeline.add([step(5, a=4)]) == [Point(1, {"a": 1, "b": 2, "c": 3}, ())]
    assert timeline.end() == [Point(5, {"a": 4}, ())]
    assert timeline.end() == []


def test_readings_without_a_position_are_counted() -> None:
    assert points(step(None, a=1), step(None), step(None, a=2, b=3)) == [
        Point(1, {"a": 1}, ()),
        Point(2, {"a": 2, "b": 3}, ()),
    ]


def test_a_resumed_program_is_compared_and_changes_nothing() -> None:
    timeline = Timeline()
    first = timeline.add([step(1, a=1), step(2, a=2), step(3, a=3)])
    again = timeline.add([step(2, a=2), step(3, a=3.5), step(4, a=4)])
    assert [*first, *again, *timeline.end()] == [Point(at, {"a": at}, ()) for at in (1, 2, 3, 4)]
    assert timeline.differences() == [Difference(3, "a", 3, 3.5)]
    assert (timeline.differences(), timeline.different) == ([], 1)


def test_a_new_metric_of_an_earlier_position_is_a_point_of_its_own() -> None:
    assert points(step(1, a=1), step(2, a=2), step(1, b=3)) == [
        Point(1, {"a": 1}, ()),
        Point(2, {"a": 2}, ()),
        Point(1, {"b": 3}, ()),
    ]


def test_nan_is_undefined_until_there_is_a_number() -> None:
    assert points(step(1, a=math.nan, b=1), step(2, a=math.nan), step(2, a=5)) == [
        Point(1, {"b": 1}, ("a",)),
        Point(2, {"a": 5}, ()),
    ]
    assert points(step(1, a=1), step(1, a=math.nan)) == [Point(1, {"a": 1}, ())]
    assert points(step(1, a=math.nan), step(2, b=1), step(1, a=math.nan))[2:] == []
    assert points(step(1, a=math.inf)) == [Point(1, {"a": math.inf}, ())]


def test_a_heading_places_the_lines_that_follow() -> None:
    assert points(step(1, "epoch"), step(None, a=1), step(2, "epoch"), step(None, a=2)) == [
        Point(1, {"a": 1}, ()),
        Point(2, {"a": 2}, ()),
    ]


def test_one_unit_counts() -> None:
    readings = [step(1, "epoch"), step(10, a=1), step(20, a=2), step(1, "epoch", b=3), step(2, "epoch"), step(30, a=3)]
    assert points(*readings) == [Point(10, {"a": 1}, ()), Point(20, {"a": 2, "b": 3}, ()), Point(30, {"a": 3}, ())]
    assert points(*readings, unit="epoch") == [Point(1, {"a": 1, "b": 3}, ()), Point(2, {"a": 3}, ())]


def test_differences_that_wait_are_bounded() -> None:
    timeline = Timeline()
    timeline.add(step(1, a=at) for at in range(MOST_DIFFERENCES + 11))
    assert (len(timeline.differences()), timeline.different) == (MOST_DIFFERENCES, MOST_DIFFERENCES + 10)


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from("ab"), st.integers(0, 2))), st.data())
def test_the_first_value_stays_however_readings_arrive(seen: list[tuple[int, str, int]], data: st.DataObject) -> None:
    first: dict[tuple[int, str], float] = {}
    for at, name, value in seen:
        first.setdefault((at, name), value)
    cut = data.draw(st.integers(0, len(seen)))
    readings = [step(at, **{name: value}) for at, name, value in seen]
    timeline = Timeline()
    found = timeline.add(readings[:cut]) + timeline.add(readings[cut:]) + timeline.end()
    recorded = [((point.position, name), value) for point in found for name, value in point.values.items()]
    assert dict(recorded) == first
    assert len(recorded) == len(first)
    assert timeline.different == sum(value != first[at, name] for at, name, value in seen)
