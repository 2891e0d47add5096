from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import InMemoryStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState

from search_spaces import (
    Choice,
    Constant,
    Distribution,
    LogUniform,
    Normal,
    QUniform,
    RandInt,
    Recipe,
    Uniform,
    UsageError,
    random_point,
)
from search_spaces.search.distributions import contains
from search_spaces.search.parameters import Alternative, Parameters
from sweeps.plan.search_plan import SearchPlan
from sweeps.run_state import RunState
from sweeps.study import study as study_module
from sweeps.study.distributions import from_optuna, optuna_distribution, to_optuna
from sweeps.study.snapshot import RunSnapshot
from sweeps.study.study import Study, open_study
from tests.fakes import snapshot_of, space

SEARCH: dict[str, Distribution] = {
    "optimizer.lr": LogUniform(1e-5, 1e-1),
    "optimizer.betas": Choice([(0.9, 0.95), (0.9, 0.999)]),
    "budget.batch_size": RandInt(16, 64),
    "optimizer.eps": Constant(1e-8),
}
VALUES = {"optimizer.lr": 1e-3, "optimizer.betas": (0.9, 0.95), "budget.batch_size": 32, "optimizer.eps": 1e-8}


def view(number: int, state: RunState = RunState.COMPLETE, **changes: Any) -> RunSnapshot:
    parts: dict[str, Any] = {"values": VALUES, "seed": 2**62, "value": 0.5, "curve": {1: 0.25, 2: 0.5}, "seconds": 1.5}
    return snapshot_of(number, state, **(parts | changes))


HISTORY = [
    view(0),
    view(1, RunState.STOPPED, value=0.25, curve={1: 0.25}),
    view(2, RunState.DIVERGED, value=0.25, curve={1: 0.25, 2: math.nan}),
    view(3, RunState.FAILED, value=0.25, curve={1: 0.25}, error="Traceback ...\nZeroDivisionError"),
    view(4, RunState.RUNNING, value=0.25, curve={1: 0.25}),
    view(5, RunState.INTERRUPTED, value=None, curve={}),
    view(6, RunState.DIVERGED, value=None, curve={1: math.inf}),
]


@pytest.fixture
def storage(database_url: str) -> Iterator[RDBStorage]:
    one = RDBStorage(database_url)
    yield one
    one.remove_session()
    one.engine.dispose()


def trials(storage: RDBStorage) -> list[FrozenTrial]:
    """As a process that knows nothing yet reads them."""
    found = optuna.load_study(study_name="toy", storage=storage).get_trials(deepcopy=True)
    return sorted(found, key=lambda trial: trial.number)


# --- distributions ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "twin"),
    [
        (LogUniform(1e-5, 1e-1), FloatDistribution(1e-5, 1e-1, log=True)),
        (Uniform(-1, 2.5), FloatDistribution(-1, 2.5)),
        (QUniform(0.1, 0.7, 0.2), FloatDistribution(0.1, 0.7, step=0.2)),
        (RandInt(-3, 8), IntDistribution(-3, 8)),
        (Normal(1.0, 0.5), FloatDistribution(-1.0, 3.0)),
        (Choice([1, "b", None, 2.5]), CategoricalDistribution([1, "b", None, 2.5])),
        (Choice([(0.9, 0.95), (0.9, 0.999)]), CategoricalDistribution(["[0.9, 0.95]", "[0.9, 0.999]"])),
        (Constant(3), None),
    ],
)
def test_every_distribution_has_its_twin(ours: Distribution, twin: BaseDistribution | None) -> None:
    assert optuna_distribution(ours) == twin
    values = [random_point({"x": ours}, 0, number)["x"] for number in range(40)] + list(ours.edges())
    for value in values:
        assert contains(ours, value)
        if twin is not None:
            label = str(list(value)) if isinstance(value, tuple) else value
            assert twin._contains(twin.to_internal_repr(label))


EQUAL_IN_PYTHON = Choice([0, False, 1, True, "1", (1, True), (True, 1), "[1, true]", None, "null"])


def test_options_that_are_equal_in_python_are_different_categories(storage: RDBStorage) -> None:
    twin = optuna_distribution(EQUAL_IN_PYTHON)
    assert isinstance(twin, CategoricalDistribution)
    shown = ("0", "false", "1", "true", '"1"', "[1, true]", "[true, 1]", '"[1, true]"', "null", '"null"')
    assert twin.choices == shown
    study = Study(storage, "toy", "maximize", {"custom.x": EQUAL_IN_PYTHON})
    for number, option in enumerate(EQUAL_IN_PYTHON.options):
        stored = to_optuna(EQUAL_IN_PYTHON, option)
        assert from_optuna(EQUAL_IN_PYTHON, stored) is option
        study.sync([snapshot_of(number, values={"custom.x": option})])
    assert [trial.params["custom.x"] for trial in trials(storage)] == list(shown)
    assert optuna_distribution(Choice([False, 2, "1"])) == CategoricalDistribution([False, 2, "1"])


@pytest.mark.parametrize(
    ("ours", "value"),
    [
        (Choice([1]), True),
        (Choice([False]), 0),
        (Constant(True), 1),
        (RandInt(0, 1), True),
        (LogUniform(1e-5, 1e-1), 0.2),
        (Uniform(0, 1), -0.1),
        (Uniform(0, 1), None),
        (QUniform(0.1, 0.7, 0.2), 0.2),
        (QUniform(0.1, 0.7, 0.2), 0.9),
        (RandInt(1, 3), 4),
        (Normal(0, 1), 4.1),
        (Choice([(0.9, 0.95)]), (0.9, 0.999)),
        (Choice(["a"]), "b"),
        (Constant(3), 4),
    ],
)
def test_values_of_a_baseline_may_lie_outside(ours: Distribution, value: Any) -> None:
    assert not contains(ours, value)


def test_asking_gives_values_of_ours() -> None:
    search = SEARCH | {"schedule.warmup": QUniform(0.0, 0.9, 0.3)}
    study = Study(InMemoryStorage(), "toy", "maximize", search)
    for number in range(10):
        values = study.ask(optuna.samplers.RandomSampler(seed=number), Parameters(Recipe(), search))
        assert values["optimizer.betas"] in ((0.9, 0.95), (0.9, 0.999))
        assert values["schedule.warmup"] in (0.0, 0.3, 0.6, 0.9)
        assert isinstance(values["budget.batch_size"], int)
        assert values["optimizer.eps"] == 1e-8


# --- the copy in the database -----------------------------------------------------------------------------------


def test_states_values_curves_and_attributes(storage: RDBStorage) -> None:
    study = Study(storage, "toy", "maximize", SEARCH)
    study.sync(HISTORY)
    found = trials(storage)
    assert [(trial.number, trial.state, trial.value) for trial in found] == [
        (0, TrialState.COMPLETE, 0.5),
        (1, TrialState.PRUNED, 0.25),
        (2, TrialState.PRUNED, 0.25),
        (3, TrialState.FAIL, None),
        (4, TrialState.RUNNING, None),
        (5, TrialState.WAITING, None),
        (6, TrialState.PRUNED, None),
    ]
    assert found[0].intermediate_values == {1: 0.25, 2: 0.5}
    assert found[2].intermediate_values[1] == 0.25
    assert math.isnan(found[2].intermediate_values[2])
    assert found[6].intermediate_values == {1: math.inf}
    assert [trial.user_attrs.get("reason") for trial in found] == [
        "complete",
        "stopped by asha",
        "diverged",
        "failed",
        None,
        None,
        "diverged",
    ]
    assert found[0].user_attrs == {"seed": str(2**62), "baseline": True, "reason": "complete", "seconds": 1.5}
    assert found[3].user_attrs["error"].endswith("ZeroDivisionError")
    assert found[0].params == {"optimizer.lr": 1e-3, "optimizer.betas": "[0.9, 0.95]", "budget.batch_size": 32}
    assert found[0].distributions == {
        path: twin for path, one in SEARCH.items() if (twin := optuna_distribution(one)) is not None
    }
    assert study.trial_ids == {trial.number: trial._trial_id for trial in found}
    assert optuna.load_study(study_name="toy", storage=storage).best_trial.number == 0


def _timeless(found: list[FrozenTrial]) -> list[Any]:
    return [
        (
            one.number,
            one._trial_id,
            one.state,
            one.values,
            one.params,
            one.user_attrs,
            {epoch: repr(value) for epoch, value in one.intermediate_values.items()},
        )
        for one in found
    ]


def test_syncing_again_changes_nothing(storage: RDBStorage) -> None:
    study = Study(storage, "toy", "maximize", SEARCH)
    study.sync(HISTORY)
    before = trials(storage)
    study.sync(HISTORY)
    Study(storage, "toy", "maximize", SEARCH).sync(reversed(HISTORY))
    after = trials(storage)
    assert _timeless(after) == _timeless(before)
    assert [one.datetime_complete for one in after] == [one.datetime_complete for one in before]


def _stages(final: RunSnapshot) -> list[RunSnapshot]:
    """What is seen of a run while it works."""
    return [
        view(final.number, RunState.INTERRUPTED, value=None, curve={}),
        view(final.number, RunState.RUNNING, value=None, curve={}),
        view(final.number, RunState.RUNNING, value=0.25, curve={1: 0.25}),
        view(final.number, RunState.INTERRUPTED, value=0.25, curve={1: 0.25}),
        final,
    ]


@pytest.mark.parametrize("before_the_crash", [0, 1, 3, 5])
def test_a_new_driver_completes_what_a_dead_one_left(sqlite_url: str, before_the_crash: int) -> None:
    storage = RDBStorage(sqlite_url)
    straight, broken = (Study(storage, name, "maximize", SEARCH) for name in ("straight", "toy"))
    straight.sync(HISTORY)
    for stage in range(before_the_crash):
        # Each driver sees the runs at another stage, and dies after half of them.
        broken.sync([_stages(final)[stage] for final in HISTORY[: 2 + stage]])
        broken = Study(storage, "toy", "maximize", SEARCH)
    broken.sync(HISTORY)
    expected = optuna.load_study(study_name="straight", storage=storage).get_trials()
    for found, one in zip(trials(storage), expected, strict=True):
        assert (found.number, found.state, found.values, found.params) == (
            one.number,
            one.state,
            one.values,
            one.params,
        )
        assert found.user_attrs == one.user_attrs
        assert repr(sorted(found.intermediate_values.items())) == repr(sorted(one.intermediate_values.items()))
    storage.remove_session()
    storage.engine.dispose()


def _dying(method: Any, left: list[int], *arguments: Any) -> Any:
    left[0] -= 1
    if left[0] == 0:
        raise ConnectionError
    return method(*arguments)


def test_a_crash_inside_an_update_is_completed(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The storage dies at each of its writes in turn."""
    storage = RDBStorage(sqlite_url)
    final = view(0, error="Traceback")
    methods = ("set_trial_intermediate_value", "set_trial_user_attr", "set_trial_state_values")
    for deaths in range(1, 12):
        name = f"toy{deaths}"
        Study(storage, name, "maximize", SEARCH).sync([view(0, RunState.RUNNING, value=None, curve={})])
        left = [deaths]
        with monkeypatch.context() as patch:
            for method in methods:
                patch.setattr(storage, method, partial(_dying, getattr(storage, method), left))
            try:
                Study(storage, name, "maximize", SEARCH).sync([final])
            except ConnectionError:
                [trial] = optuna.load_study(study_name=name, storage=storage).get_trials()
                assert trial.state is TrialState.RUNNING  # whoever sees a finished trial sees all of it
            else:
                assert deaths > 5
                break
        Study(storage, name, "maximize", SEARCH).sync([final])
        [trial] = optuna.load_study(study_name=name, storage=storage).get_trials()
        assert (trial.state, trial.value, trial.intermediate_values) == (TrialState.COMPLETE, 0.5, {1: 0.25, 2: 0.5})
        assert trial.user_attrs["reason"] == "complete"
    else:
        pytest.fail("it never came through")
    storage.remove_session()
    storage.engine.dispose()


def test_a_baseline_outside_the_ranges_shows_what_fits(storage: RDBStorage) -> None:
    study = Study(storage, "toy", "maximize", SEARCH)
    study.sync([view(0, values=VALUES | {"optimizer.lr": 0.7, "optimizer.betas": (0.5, 0.5)}), view(1)])
    found = trials(storage)
    assert found[0].params == {"budget.batch_size": 32}
    assert (found[0].state, found[0].value, found[0].user_attrs["baseline"]) == (TrialState.COMPLETE, 0.5, True)
    assert len(found[1].params) == 3


def test_a_gap_is_refused(storage: RDBStorage) -> None:
    with pytest.raises(ValueError, match="expected 0, found 2"):
        Study(storage, "toy", "maximize", SEARCH).sync([view(2)])


# --- opening ----------------------------------------------------------------------------------------------------


def close(study: Study) -> None:
    storage = study._storage
    assert isinstance(storage, optuna.storages._CachedStorage | RDBStorage)
    backend = getattr(storage, "_backend", storage)
    backend.remove_session()
    backend.engine.dispose()


def test_how_the_sweep_was_set_up_stands_with_the_study(database_url: str) -> None:
    spec = space()
    for _ in range(2):
        study = open_study(database_url, spec, spec.search)
        attributes = study.optuna.user_attrs
        assert (attributes["task"], attributes["metric"]) == ("digits", "val/accuracy")
        assert attributes["sampler"] == spec.sampler.model_dump(mode="json")
        assert attributes["early_stopping"]["reduction_factor"] == 3
        study.sync([view(0, values={"optimizer.lr": 1e-3, "optimizer.betas.1": 0.95, "schedule.warmup": 0.1})])
        close(study)


def test_another_goal_under_the_same_name_is_refused(storage: RDBStorage) -> None:
    Study(storage, "toy", "maximize", SEARCH)
    with pytest.raises(UsageError, match=r"exists with goal maximize, this sweep has minimize.*--name"):
        Study(storage, "toy", "minimize", SEARCH)


def test_a_foreign_study_is_not_changed(sqlite_url: str) -> None:
    theirs = optuna.create_study(storage=sqlite_url, study_name="toy", direction="maximize")
    theirs.add_trial(optuna.trial.create_trial(value=1.0))
    with pytest.raises(UsageError, match="no sweep created"):
        open_study(sqlite_url, space(), space().search)
    assert len(theirs.get_trials()) == 1
    assert theirs.user_attrs == {}


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://ann:{x}%7By%7D@db/sweeps",
        "postgresql+psycopg://ann:plain@db/sweeps",
        "sqlite:////tmp/{a}/b.db",
    ],
)
def test_braces_in_a_url_reach_the_engine(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    def capture(address: str, **options: Any) -> None:
        given.append((RDBStorage._fill_storage_url_template(address), options["engine_kwargs"]))

    monkeypatch.setattr(study_module, "RDBStorage", capture)
    study_module.rdb_storage(url)
    [(address, options)] = given
    assert address == url
    postgres = {"pool_pre_ping": True, "connect_args": {"connect_timeout": 10}}
    assert options == (postgres if url.startswith("postgres") else {"connect_args": {"timeout": 30}})


def test_a_trial_has_the_parameters_that_were_active(storage: RDBStorage) -> None:
    ones = (
        Alternative("adamw", {}, {"lr": LogUniform(1e-4, 1e-2)}),
        Alternative("sgd", {}, {"lr": LogUniform(0.01, 1)}),
    )
    plan = SearchPlan(space(search={}, one_of={"optimizer": ones}, starts=({"optimizer.kind": "sgd"},)))
    planned = [plan.propose(number) for number in range(2)]
    study = Study(storage, "toy", "maximize", plan.parameters)
    study.sync([view(run.number, values=plan.values(run)) for run in planned])
    assert [trial.params for trial in trials(storage)] == [
        {"optimizer.kind": "adamw", "optimizer[adamw].lr": 1e-3},
        {"optimizer.kind": "sgd", "optimizer[sgd].lr": 0.1},
    ]
