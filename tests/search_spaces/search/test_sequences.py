from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces import (
    Choice,
    Distribution,
    LogUniform,
    QUniform,
    RandInt,
    Recipe,
    Sampler,
    SpaceSpec,
    SweepError,
    Uniform,
    UsageError,
    diff_specs,
    dump_space,
    parse_space,
    random_point,
    sobol_point,
)
from search_spaces.search import sequences as sequences_module
from search_spaces.search.constraints import Constraint
from search_spaces.search.distributions import contains
from search_spaces.search.parameters import Alternative, Parameters
from search_spaces.search.sequences import Grid, RandomSequence, SobolSequence
from tests.fakes import space

ALTERNATIVES = {
    "optimizer": (
        Alternative("adamw", {}, {"lr": LogUniform(1e-4, 1e-2), "betas.1": Choice([0.95, 0.999])}),
        Alternative("sgd", {"nesterov": False}, {"lr": LogUniform(1e-2, 1), "momentum": Uniform(0.0, 0.95)}),
        Alternative("lion"),
    ),
    "schedule": (Alternative("cosine", {"min_factor": 0.01}), Alternative("linear", {}, {"warmup": Uniform(0, 0.3)})),
    "averaging": (Alternative("none"), Alternative("ema", {}, {"decay": Choice([0.9, 0.99])})),
}
FIELDS: dict[str, Distribution] = {
    "optimizer.weight_decay": LogUniform(1e-5, 1e-1),
    "budget.batch_size": Choice([16, 32, 64]),
    "budget.accumulation": RandInt(1, 8),
    "regularization.dropout": QUniform(0.0, 0.6, 0.1),
    "regularization.clip_norm": Choice([None, 1.0]),
}
CONDITIONS = {
    "budget.accumulation": {"budget.batch_size": (16, 32)},
    "regularization.clip_norm": {"optimizer.kind": ("sgd", "lion"), "budget.accumulation": (1, 2, 3, 4)},
}
CONSTRAINTS = (
    "budget.batch_size * budget.accumulation <= 128",
    "optimizer.lr * optimizer.weight_decay <= 1e-3 or optimizer.momentum > 0.5",
    "schedule.warmup + regularization.dropout <= 0.6",
)


@st.composite
def spaces(draw: st.DrawFn) -> SpaceSpec:
    """Spaces of every mixture of the forms."""
    sections = draw(st.lists(st.sampled_from(sorted(ALTERNATIVES)), unique=True))
    fields = draw(st.lists(st.sampled_from(sorted(FIELDS)), unique=True))
    when = {
        field: conditions
        for field, conditions in CONDITIONS.items()
        if field in fields and all(name in fields or name.partition(".")[0] in sections for name in conditions)
    }
    valid = [text for text in CONSTRAINTS if "optimizer" in sections or "momentum" not in text]
    return space(
        search={field: FIELDS[field] for field in fields},
        one_of={section: ALTERNATIVES[section] for section in sections},
        when=when,
        constraints=draw(st.lists(st.sampled_from(valid), unique=True)),
    )


@settings(deadline=None, max_examples=60)
@given(spaces(), st.integers(0, 2**32 - 1), st.integers(0, 300), st.sampled_from([RandomSequence, SobolSequence]))
def test_every_point_is_valid_and_has_an_address(spec: SpaceSpec, seed: int, number: int, kind: Any) -> None:
    parameters = spec.parameters
    point = kind(parameters, seed).point(number)
    assert parameters.satisfies(point)
    recipe = parameters.resolved(point)
    assert parameters.read(recipe) == point
    assert all(contains(parameters.distributions[name], value) for name, value in point.items())
    assert kind(spec.parameters, seed).point(number) == point


@settings(deadline=None, max_examples=40)
@given(spaces())
def test_the_canonical_form_of_any_space_gives_it_back(spec: SpaceSpec) -> None:
    assert parse_space(dump_space(spec), "dump", spec.name) == spec
    assert diff_specs(spec, spec) == ()
    nothing = spec.fixed_at(spec.parameters.resolved(RandomSequence(spec.parameters, 0).point(0)))
    assert parse_space(dump_space(nothing), "dump", spec.name) == nothing


def test_plain_spaces_have_the_points_that_they_always_had() -> None:
    search = {field: FIELDS[field] for field in FIELDS}
    parameters = Parameters(Recipe(), search)
    for number in (0, 1, 70):
        assert RandomSequence(parameters, 3).point(number) == random_point(search, 3, number)
        assert SobolSequence(parameters, 3).point(number) == sobol_point(search, 3, number)


def test_a_draw_of_an_alternative_does_not_depend_on_the_others() -> None:
    two = space(one_of={"optimizer": ALTERNATIVES["optimizer"][:2]}, search={}).parameters
    both = space(one_of={"optimizer": ALTERNATIVES["optimizer"][:2], "averaging": ALTERNATIVES["averaging"]}, search={})
    for number in range(20):
        few, many = RandomSequence(two, 0).point(number), RandomSequence(both.parameters, 0).point(number)
        assert few.items() <= many.items()


def test_the_kept_points_of_sobol_are_those_of_the_whole_sequence_in_its_order() -> None:
    search = {"schedule.warmup": Uniform(0.0, 0.3), "regularization.dropout": Uniform(0.0, 0.5)}
    constraint = Constraint("schedule.warmup + regularization.dropout <= 0.4")
    parameters = Parameters(Recipe(), search, constraints=(constraint,))
    every = [sobol_point(search, 5, index) for index in range(64)]
    kept = [point for point in every if constraint.holds(point)]
    sequence = SobolSequence(parameters, 5)
    assert [sequence.point(number) for number in range(len(kept))] == kept
    assert SobolSequence(parameters, 5).point(7) == kept[7]
    assert 0 < len(kept) < 64


def test_the_alternatives_come_equally_often() -> None:
    parameters = space(one_of={"optimizer": ALTERNATIVES["optimizer"]}, search={}).parameters
    for sequence in (RandomSequence(parameters, 1), SobolSequence(parameters, 1)):
        kinds = [sequence.point(number)["optimizer.kind"] for number in range(384)]
        assert all(100 <= kinds.count(kind) <= 156 for kind in ("adamw", "sgd", "lion"))


@pytest.mark.parametrize("kind", [RandomSequence, SobolSequence])
def test_a_sequence_gives_up_with_one_clear_error(kind: Any) -> None:
    parameters = Parameters(
        Recipe(), {"optimizer.lr": Uniform(0.1, 1)}, constraints=(Constraint("optimizer.lr < 0.1"),)
    )
    with pytest.raises(SweepError, match="nothing to propose: 1000 points in a row break the constraints") as raised:
        kind(parameters, 0).point(0)
    assert "\n" not in str(raised.value)


# --- priors -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("distribution", "centre", "low", "high"),
    [(LogUniform(1e-5, 1e-2, prior=1e-4), 1e-4, 3.2e-5, 3.2e-4), (Uniform(0.0, 0.6, prior=0.2), 0.2, 0.1, 0.3)],
)
def test_startup_points_are_drawn_around_the_prior(
    distribution: LogUniform | Uniform, centre: float, low: float, high: float
) -> None:
    assert distribution.from_prior(0.5) == pytest.approx(centre, rel=0.05)
    inside = [low <= distribution.from_prior((i + 0.5) / 1000) <= high for i in range(1000)]
    assert sum(inside) / 1000 == pytest.approx(0.683, abs=0.04)  # one standard deviation: a sixth of the range
    assert all(contains(distribution, distribution.from_prior(u)) for u in (0.0, 1e-17, 0.5, 1 - 2**-53))


@pytest.mark.parametrize("prior", [1e-5, 1e-2])
def test_a_prior_at_the_end_of_its_range(prior: float) -> None:
    distribution = LogUniform(1e-5, 1e-2, prior=prior)
    values = [distribution.from_prior(i / 100) for i in range(100)]
    assert values == sorted(values)
    assert all(contains(distribution, value) for value in values)
    assert sum(value == prior for value in values) <= 1


def test_a_prior_ends_with_the_startup() -> None:
    search = {"optimizer.lr": LogUniform(1e-5, 1e-1, prior=1e-3), "schedule.warmup": Uniform(0, 0.3)}
    around = RandomSequence(Parameters(Recipe(), search), 0, startup=5)
    plain = RandomSequence(Parameters(Recipe(), search), 0)
    for number in range(8):
        first, second = around.point(number), plain.point(number)
        assert (first["optimizer.lr"] != second["optimizer.lr"]) is (number < 5)
        assert first["schedule.warmup"] == second["schedule.warmup"]


# --- grids ------------------------------------------------------------------------------------------------------

GRID = {
    "optimizer": (
        Alternative("adamw", {}, {"betas.1": Choice([0.95, 0.999]), "lr": Choice([1e-4, 1e-3, 1e-2])}),
        Alternative("sgd", {}, {"lr": Choice([0.01, 0.1])}),
        Alternative("lion"),
    )
}


def test_a_grid_holds_each_alternative_with_its_own_grid() -> None:
    grid = Grid(space(one_of=GRID, search={"budget.batch_size": Choice([32, 64])}).parameters)
    points = [tuple(sorted(grid.point(number).items())) for number in range(grid.size)]
    assert grid.size == len(set(points)) == 2 * (2 * 3 + 2 + 1)
    assert [dict(point)["optimizer.kind"] for point in points] == ["adamw"] * 12 + ["sgd"] * 4 + ["lion"] * 2


def test_a_grid_skips_what_breaks_a_constraint() -> None:
    search = {"budget.batch_size": Choice([16, 32, 64]), "budget.accumulation": RandInt(1, 4)}
    constraint = Constraint("budget.batch_size * budget.accumulation <= 64")
    grid = Grid(Parameters(Recipe(), search, constraints=(constraint,)))
    assert grid.size == 4 + 2 + 1
    assert all(constraint.holds(grid.point(number)) for number in range(7))


def test_the_runs_of_a_grid_with_starts() -> None:
    parts: dict[str, Any] = {"one_of": GRID, "search": {}, "sampler": Sampler(kind="grid")}
    starts = ({"optimizer.kind": "lion"},)
    assert space(**parts, starts=starts, runs=11).runs == 11
    with pytest.raises(UsageError, match=r"must be at most 11 \(the grid, the starts and the baseline\), found 12"):
        space(**parts, starts=starts, runs=12)


def test_a_grid_that_is_too_large_to_walk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequences_module, "MAX_GRID_POINTS", 8)
    with pytest.raises(
        UsageError, match="a grid with conditions or constraints must have at most 8 points, found more"
    ):
        Grid(space(one_of=GRID, search={}).parameters)
