from __future__ import annotations

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
from scipy.stats.qmc import Sobol

from search_spaces import (
    Choice,
    Constant,
    Distribution,
    LogUniform,
    Normal,
    RandInt,
    Uniform,
    UsageError,
    grid_point,
    grid_points,
    random_point,
    sobol_point,
)
from search_spaces.search.sequences import _sobol_block
from search_spaces.seeds import derive_seed

SEARCH: dict[str, Distribution] = {
    "optimizer.lr": LogUniform(1e-5, 1e-1),
    "budget.batch_size": Choice([16, 32, 64]),
    "regularization.dropout": Uniform(0, 0.5),
}
FINITE: dict[str, Distribution] = {"b": RandInt(1, 3), "a": Choice(["x", "y"]), "c": Constant(0)}


def test_sobol_points_are_those_of_scipy() -> None:
    units: dict[str, Distribution] = {"a": Uniform(0, 1), "b": Uniform(0, 1), "c": Uniform(0, 1)}
    ours = [list(sobol_point(units, 7, number).values()) for number in range(256)]
    np.testing.assert_array_equal(ours, Sobol(d=3, rng=derive_seed("sobol", 7)).random(256))


def test_sobol_points_do_not_depend_on_what_was_asked_before() -> None:
    forward = [sobol_point(SEARCH, 0, number) for number in range(200)]
    _sobol_block.cache_clear()
    assert [sobol_point(SEARCH, 0, number) for number in reversed(range(200))] == forward[::-1]


def test_sobol_fills_more_evenly_than_random() -> None:
    search: dict[str, Distribution] = {"x": Uniform(0, 1)}
    bins = {int(16 * float(str(sobol_point(search, 3, number)["x"]))) for number in range(16)}
    assert len(bins) == 16


def test_random_points_continue_after_a_restart() -> None:
    code = (
        "from search_spaces import *;"
        "s = {'optimizer.lr': LogUniform(1e-5, 1e-1), 'x': Normal(0, 1)};"
        "print([random_point(s, 1, n) for n in (5, 6)])"
    )
    search: dict[str, Distribution] = {"optimizer.lr": LogUniform(1e-5, 1e-1), "x": Normal(0, 1)}
    for seed in ("1", "2"):
        env = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == str([random_point(search, 1, number) for number in (5, 6)])


@pytest.mark.parametrize("point", [random_point, sobol_point])
def test_seeds_and_numbers_give_different_points(point: object) -> None:
    assert callable(point)
    points = [str(point(SEARCH, seed, number)) for seed in range(3) for number in range(20)]
    assert len(set(points)) == len(points)


@pytest.mark.parametrize("point", [random_point, sobol_point])
def test_the_order_of_fields_is_free(point: object) -> None:
    assert callable(point)
    assert point(SEARCH, 0, 3) == point(dict(reversed(SEARCH.items())), 0, 3)


def test_a_random_draw_does_not_depend_on_other_fields() -> None:
    smaller = {"optimizer.lr": SEARCH["optimizer.lr"]}
    assert random_point(smaller, 0, 3)["optimizer.lr"] == random_point(SEARCH, 0, 3)["optimizer.lr"]


def test_random_points_are_uniform() -> None:
    values = [float(str(random_point({"x": Uniform(0, 1)}, 0, number)["x"])) for number in range(2000)]
    counts = np.histogram(values, bins=10, range=(0, 1))[0]
    assert ((counts - 200) ** 2 / 200).sum() < 27.9  # chi-squared, 9 degrees of freedom, p = 0.001


def test_an_empty_search_has_one_empty_point() -> None:
    assert random_point({}, 0, 0) == sobol_point({}, 0, 0) == grid_point({}, 0) == {}
    assert grid_points({}) == 1


def test_the_grid_is_the_product_in_the_order_of_itertools() -> None:
    names = sorted(FINITE)
    expected = [
        dict(zip(names, values, strict=True))
        for values in itertools.product(["x", "y"], [1, 2, 3], [0])  # a, b, c
    ]
    assert grid_points(FINITE) == 6
    assert [grid_point(FINITE, number) for number in range(6)] == expected


def test_a_point_outside_the_grid_does_not_exist() -> None:
    for number in (-1, 6):
        with pytest.raises(IndexError, match="must be from 0 to 5"):
            grid_point(FINITE, number)


def test_a_huge_grid_is_addressed_without_being_built() -> None:
    huge: dict[str, Distribution] = {name: RandInt(0, 2**40) for name in "abc"}
    assert grid_point(huge, grid_points(huge) - 1) == dict.fromkeys("abc", 2**40)


def test_an_infinite_grid_names_the_field() -> None:
    with pytest.raises(UsageError, match=r"search\.optimizer\.lr: a grid needs finitely many values, found loguniform"):
        grid_points(SEARCH)
