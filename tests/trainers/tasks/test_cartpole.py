"""The training loop of a policy: its contract, resuming, and that it learns."""

from __future__ import annotations

import pytest
import torch

from search_spaces.recipe.optimizers import Adam
from search_spaces.recipe.recipe import Budget, Recipe, Regularization
from search_spaces.recipe.schedules import Constant
from trainers.factory import open_training
from trainers.tasks.cartpole import _discounted

pytest.importorskip("gymnasium", reason="needs the extra rl")

RECIPE = Recipe(
    optimizer=Adam(lr=1e-2),
    schedule=Constant(),
    regularization=Regularization(clip_norm=1.0),
    budget=Budget(epochs=3, batch_size=4),
    custom={"updates": 2, "evaluations": 2},
)


def test_an_interrupted_training_resumes_bit_by_bit():
    whole = open_training("cartpole", RECIPE, 3)
    reports = [whole.run_epoch().metrics for _ in range(3)]
    first = open_training("cartpole", RECIPE, 3)
    first.run_epoch()
    second = open_training("cartpole", RECIPE, 3)
    second.load_state_dict(first.state_dict())
    assert [second.run_epoch().metrics for _ in range(2)] == reports[1:]
    assert second.finished


def test_seeds_play_different_episodes():
    first, other = (open_training("cartpole", RECIPE, seed).run_epoch().metrics for seed in (0, 1))
    assert first["train/return"] != other["train/return"]


def test_discounted_returns_end_with_their_episode():
    rewards = torch.tensor([[1.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    assert torch.allclose(_discounted(rewards, 0.5), torch.tensor([[1.75, 1.0], [1.5, 0.0], [1.0, 0.0]]))


@pytest.mark.slow
@pytest.mark.parallel
def test_a_policy_is_learned():
    recipe = RECIPE.model_copy(
        update={"budget": Budget(epochs=12, batch_size=8), "custom": {"updates": 4, "evaluations": 8}}
    )
    training = open_training("cartpole", recipe, 0)
    returns = []
    while not training.finished:
        returns.append(training.run_epoch().metrics["val/return"])
    assert max(returns) > 300
