import pathlib
import textwrap

import numpy as np
import pytest
import torch

from search_spaces.errors import CheckpointError, RunError
from search_spaces.recipe.optimizers import AdamW
from search_spaces.recipe.recipe import Budget, Recipe
from trainers.loop import user_loop
from trainers.loop.user_loop import UserLoopTraining
from trainers.reports import Position
from trainers.storage import checkpoints
from trainers.storage.local import LocalFolder


def documented_loop():
    """Return the example at the top of user_loop.py, imported from a file as a user would write it."""
    example = textwrap.dedent(user_loop.__doc__.partition("::\n")[2].partition("``config``")[0])
    namespace: dict = {}
    exec(example, namespace)
    return namespace["train"]


train = documented_loop()
RECIPE = Recipe(optimizer=AdamW(lr=0.1), budget=Budget(epochs=6), custom={"width": 3})


def run(training: UserLoopTraining, epochs: int = 100) -> list[tuple[int, dict]]:
    seen = []
    while not training.finished and len(seen) < epochs:
        report = training.run_epoch()
        seen.append((report.epoch, dict(report.metrics)))
    return seen


def test_runs_to_the_budget_and_learns():
    training = UserLoopTraining(train, RECIPE, 0)
    seen = run(training)
    assert [epoch for epoch, _ in seen] == [1, 2, 3, 4, 5, 6]
    assert seen[-1][1]["val/mse"] < seen[0][1]["val/mse"]
    assert training.epoch == 6


def test_continues_from_a_file_bit_by_bit(tmp_path):
    expected = run(UserLoopTraining(train, RECIPE, 1))
    first = UserLoopTraining(train, RECIPE, 1)
    before = run(first, 2)
    state = first.state_dict()
    run(first, 1)  # the snapshot does not follow the training
    checkpoints.save(LocalFolder(tmp_path), Position(2), state)
    second = UserLoopTraining(train, RECIPE, 1)
    second.load_state_dict(checkpoints.latest(LocalFolder(tmp_path))[1])
    assert second.epoch == 2
    assert before + run(second) == expected


def test_the_loop_gets_the_recipe_as_a_plain_dict():
    def loop(config, seed, state=None):
        assert config == RECIPE.model_dump()
        assert (config["custom"]["width"], config["optimizer"]["kind"], seed, state) == (3, "adamw", 7, None)
        yield {"val/x": 1}

    assert run(UserLoopTraining(loop, RECIPE, 7), 1) == [(1, {"val/x": 1.0})]


def test_a_loop_that_returns_early_has_failed():
    def loop(config, seed, state=None):
        yield {"val/x": 1.0}
        yield {"val/x": 2.0}

    training = UserLoopTraining(loop, RECIPE, 0)
    assert run(training, 2) == [(1, {"val/x": 1.0}), (2, {"val/x": 2.0})]
    with pytest.raises(RunError, match="returned after 2 of 6 epochs: yield once for each epoch of config"):
        training.run_epoch()
    assert not training.finished


def test_an_endless_loop_is_closed_at_the_budget():
    closed = []

    def loop(config, seed, state=None):
        try:
            while True:
                yield {"val/x": 0.0}
        finally:
            closed.append(True)

    assert len(run(UserLoopTraining(loop, RECIPE, 0))) == 6
    assert closed == [True]


def test_numbers_of_all_kinds_and_non_finite_ones():
    def loop(config, seed, state=None):
        yield {"val/a": 1, "val/b": np.float32(0.5), "val/c": float("nan"), "a.b/c-d.e": np.int64(2)}

    report = UserLoopTraining(loop, RECIPE, 0).run_epoch()
    assert not report.finite
    assert all(type(value) is float for value in report.metrics.values())


def test_a_metric_that_an_epoch_does_not_compute_is_missing():
    def loop(config, seed, state=None):
        yield {"val/x": None, "val/hits@10": 0.5}
        yield {}
        yield {"val/cls/f1": 1, "val/точность %": 0.25}

    assert run(UserLoopTraining(loop, RECIPE, 0), 3) == [
        (1, {"val/hits@10": 0.5}),
        (2, {}),
        (3, {"val/cls/f1": 1.0, "val/точность %": 0.25}),
    ]


@pytest.mark.parametrize("length", [128, 129])
def test_a_name_that_no_database_keeps(length):
    name = "val/" + "x" * (length - 4)

    def loop(config, seed, state=None):
        yield {name: 1.0}

    training = UserLoopTraining(loop, RECIPE, 0)
    if length == 128:
        assert training.run_epoch().metrics == {name: 1.0}
    else:
        with pytest.raises(
            RunError, match=r"epoch 1 .* name of a metric must be split/name, .* at most 128 printable characters"
        ):
            training.run_epoch()


@pytest.mark.parametrize(
    ("yielded", "expected"),
    [
        (0.5, "yield a dict of metrics, or .metrics, state.; found float 0.5"),
        (({"val/x": 1.0}, {}, 3), "found tuple"),
        (({"val/x": 1.0}, "state"), "the state must be a dict, found str 'state'"),
        ({"accuracy": 1.0}, "must be split/name, such as val/accuracy, .* found 'accuracy'"),
        ({"val/x ": 1.0}, "found 'val/x '"),
        ({"val/x\ny": 1.0}, "at most 128 printable characters"),
        ({3: 1.0}, "found 3"),
        ({"val/x": "high"}, "val/x must be a number .* found str 'high'"),
        ({"val/x": True}, "found bool True"),
        ({"val/x": torch.tensor(1.0)}, r"a tensor's .item\(\).*found Tensor"),
    ],
)
def test_a_wrong_yield_is_one_clear_line(yielded, expected):
    def loop(config, seed, state=None):
        yield yielded

    with pytest.raises(RunError, match=expected) as caught:
        UserLoopTraining(loop, RECIPE, 0).run_epoch()
    assert "\n" not in str(caught.value)
    assert "epoch 1 of the training loop" in str(caught.value)


def test_a_state_that_cannot_be_stored_fails_the_first_epoch():
    def loop(config, seed, state=None):
        while True:
            yield {"val/x": 1.0}, {"best": {1.0: pathlib.Path("a")}}

    with pytest.raises(RunError, match=r"^state\['best'\]\[1.0\] is pathlib.PosixPath: a state holds"):
        UserLoopTraining(loop, RECIPE, 0).run_epoch()


def test_a_loop_that_yields_nothing():
    def loop(config, seed, state=None):
        return
        yield

    with pytest.raises(RunError, match="returned after 0 of 6 epochs"):
        UserLoopTraining(loop, RECIPE, 0).run_epoch()


def test_the_loops_own_exception_passes_through():
    def loop(config, seed, state=None):
        yield {"val/x": 1.0}
        raise ZeroDivisionError("mine")

    training = UserLoopTraining(loop, RECIPE, 0)
    training.run_epoch()
    with pytest.raises(ZeroDivisionError, match="mine"):
        training.run_epoch()


def test_loops_that_take_turns_draw_what_they_draw_alone():
    def loop(config, seed, state=None):
        while True:
            yield {"val/x": torch.rand(()).item()}

    alone = run(UserLoopTraining(loop, RECIPE, 0))
    before = torch.get_rng_state()
    a, b = UserLoopTraining(loop, RECIPE, 0), UserLoopTraining(loop, RECIPE, 1)
    turns = [(run(a, 1), run(b, 1)) for _ in range(6)]
    assert [report for (report,), _ in turns] == alone
    assert [report for _, (report,) in turns] != alone
    assert torch.equal(before, torch.get_rng_state())


def test_a_foreign_snapshot_is_refused():
    with pytest.raises(CheckpointError, match="'metrics' is missing"):
        UserLoopTraining(train, RECIPE, 0).load_state_dict({"epoch": 1})


def test_a_whole_number_beyond_floats_is_one_line():
    with pytest.raises(RunError, match="epoch 3 of the training loop: a metric is too large for a float"):
        user_loop._parse({"val/x": 10**400}, 2, RECIPE.budget)


IN_STEPS = Recipe(optimizer=AdamW(lr=0.1), budget=Budget(steps=10, report_every=4))


def counting(config, seed, state=None):
    """Yield every `report_every` steps and at the last one."""
    budget = config["budget"]
    assert budget["epochs"] is None
    for step in range((state or {"step": 0})["step"] + 1, budget["steps"] + 1):
        if step % budget["report_every"] == 0 or step == budget["steps"]:
            yield {"step": step, "val/loss": 1 / step}, {"step": step}


def test_a_loop_in_steps_yields_its_step():
    training = UserLoopTraining(counting, IN_STEPS, 0)
    assert run(training) == [(4, {"val/loss": 1 / 4}), (8, {"val/loss": 1 / 8}), (10, {"val/loss": 1 / 10})]
    assert (training.epoch, training.step, training.finished) == (10, 0, True)


def test_a_loop_in_steps_continues_after_its_last_step():
    first, second = (UserLoopTraining(counting, IN_STEPS, 0) for _ in range(2))
    run(first, epochs=1)
    second.load_state_dict(first.state_dict())
    assert [step for step, _ in run(second)] == [8, 10]


def test_the_default_interval_is_offered():
    seen = []

    def loop(config, seed, state=None):
        seen.append(config["budget"]["report_every"])
        yield {"step": 270, "val/loss": 1.0}

    run(UserLoopTraining(loop, Recipe(budget=Budget(steps=270)), 0))
    assert seen == [10]


@pytest.mark.parametrize(
    ("steps", "found"),
    [
        ([None], "after step 0 .* from 1 to 10: .* found none"),
        ([0], "after step 0 .* from 1 to 10: .* found int 0"),
        ([True], "after step 0 .* found bool True"),
        ([4.0], "after step 0 .* found float 4.0"),
        ([4, 4], "after step 4 .* from 5 to 10: .* found int 4"),
        ([4, 11], "after step 4 .* from 5 to 10: .* found int 11"),
        ([4], "returned after 4 of 10 steps: the last yield has the step config"),
    ],
)
def test_a_loop_in_steps_without_the_next_step_fails(steps, found):
    def loop(config, seed, state=None):
        for step in steps:
            yield {"val/loss": 1.0} if step is None else {"step": step, "val/loss": 1.0}

    with pytest.raises(RunError, match=found):
        run(UserLoopTraining(loop, IN_STEPS, 0))
