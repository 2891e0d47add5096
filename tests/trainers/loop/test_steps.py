"""Budgets in steps: intervals between reports that are shorter and longer than a pass through the data."""

import pytest
import torch

from search_spaces.errors import CheckpointError
from search_spaces.recipe.recipe import Patience
from tests.trainers.loop.test_training import RECIPES, run, same_weights, values
from trainers.loop.training import Training
from trainers.storage import checkpoints


def in_steps(recipe, steps, report_every=None):
    """Return a recipe with a budget in steps; its patience counts reports."""
    patience = recipe.patience
    if patience.epochs is not None:
        patience = Patience(reports=patience.epochs)
    budget = type(recipe.budget)(
        steps=steps,
        report_every=report_every,
        batch_size=recipe.budget.batch_size,
        accumulation=recipe.budget.accumulation,
    )
    return type(recipe).model_validate({**dict(recipe), "patience": patience, "budget": budget})


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_as_many_steps_as_epochs_have_give_the_same_numbers(recipe, blobs):
    by_epoch = Training(recipe, blobs, seed=3)
    expected = run(by_epoch)
    length = by_epoch._steps_per_epoch

    by_step = Training(in_steps(recipe, recipe.budget.epochs * length, length), blobs, seed=3)
    found = run(by_step)

    assert values(found) == values(expected)
    assert [report.epoch for report in found] == [length * report.epoch for report in expected]
    assert same_weights(by_epoch, by_step)
    for a, b in zip(expected[-1].predictions, found[-1].predictions, strict=True):
        assert a.nll.tobytes() == b.nll.tobytes()


@pytest.mark.parametrize("every", [1, 4, 7, 11])
@pytest.mark.parametrize("name", ["ema", "swa", "schedule_free", "plateau"])
def test_continues_bit_by_bit_from_every_step_of_any_interval(name, every, blobs):
    recipe = in_steps(RECIPES[name], 17, every)
    whole, part = Training(recipe, blobs, seed=3), Training(recipe, blobs, seed=3)
    expected, found = run(whole), []
    while not part.finished:
        report = part.advance(1)
        found += [] if report is None else [report]
        torch.rand(10)  # the caller draws from the global generator in between
        state = checkpoints.decode(checkpoints.encode(part.state_dict()), "here")
        part = Training(recipe, blobs, seed=3)
        part.load_state_dict(state)
    assert values(found) == values(expected)
    assert [report.epoch for report in found] == [report.epoch for report in expected]
    assert same_weights(whole, part)


def test_the_last_step_reports_though_no_interval_ends_there(blobs):
    training = Training(in_steps(RECIPES["ema"], 17, 5), blobs, seed=3)
    assert [report.epoch for report in run(training)] == [5, 10, 15, 17]
    assert (training.epoch, training.step) == (17, 0)


def test_the_weights_do_not_depend_on_the_interval(blobs):
    trained = []
    for every in (2, 17):
        training = Training(in_steps(RECIPES["adam"], 17, every), blobs, seed=3)
        run(training)
        trained.append(training)
    assert same_weights(*trained)


def test_the_schedule_follows_the_total_number_of_steps(blobs):
    recipe = in_steps(RECIPES["adam"], 10, 1)  # linear, with 3 steps of warmup
    rates = [report.metrics["train/lr"] for report in run(Training(recipe, blobs, seed=3))]
    assert rates == pytest.approx([0.02 * f for f in (0, 1 / 3, 2 / 3, 1, *(1 - i / 7 for i in range(1, 7)))])


def test_patience_counts_reports(blobs):
    recipe = in_steps(RECIPES["plain_sgd"], 100, 5)
    recipe = recipe.model_copy(update={"patience": Patience(reports=2, min_delta=1e9)})
    # The first report improves on nothing at all.
    assert [report.epoch for report in run(Training(recipe, blobs, seed=3))] == [5, 10, 15]


def test_a_position_in_passes_of_another_length_is_refused(blobs):
    first = Training(in_steps(RECIPES["plain_sgd"], 100, 7), blobs, seed=3)
    first.advance(6)
    recipe = first._recipe
    other = recipe.model_copy(update={"budget": recipe.budget.model_copy(update={"batch_size": 9})})
    assert 6 % first._steps_per_epoch != 6 % Training(other, blobs, seed=3)._steps_per_epoch
    with pytest.raises(CheckpointError, match="not a checkpoint of this training: it has"):
        Training(other, blobs, seed=3).load_state_dict(first.state_dict())
