"""Training loop ``cartpole``: REINFORCE on gymnasium's CartPole-v1. Needs the extra ``rl``.

Source: Williams, "Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement Learning", 1992.
It is a training loop as users write it (see loop/user_loop.py), since a policy has no fixed training examples. An
update plays ``budget.batch_size`` episodes in parallel. An epoch is ``custom.updates`` (8) updates, then
``custom.evaluations`` (16) episodes with the most probable actions, whose mean return is ``val/return`` (at most 500).
With a budget of steps, a step is an update, and ``budget.report_every`` updates take the place of an epoch.
``custom.gamma`` (0.99) is the discount factor, ``custom.entropy`` (0.01) the weight of the entropy bonus.
"""

import importlib.util
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from search_spaces.errors import RunError
from search_spaces.recipe.recipe import Recipe
from search_spaces.seeds import derive_seed
from trainers.models.mlp import MLP
from trainers.optim.modes import backward, eval_mode, train_mode
from trainers.optim.optimizers import build_optimizer
from trainers.optim.schedules import factor
from trainers.seeding import global_stream

_LONGEST = 500  # maximum number of steps of an episode, and so its maximum return
_OBSERVED, _ACTIONS = 4, 2
_EVALUATION_SEED = 1  # every run of a sweep is evaluated on the same initial states


def train(config: dict[str, Any], seed: int, state: dict[str, Any] | None = None) -> Iterator[object]:
    """Train a policy and yield the metrics and the state of every epoch.

    Raises:
        RunError: gymnasium is not installed.
    """
    if importlib.util.find_spec("gymnasium") is None:
        raise RunError("task cartpole: needs gymnasium; pip install 'sweeps[rl]'")
    recipe = Recipe.model_validate(config)
    budget = recipe.budget
    updates = budget.interval if budget.unit == "step" else int(recipe.custom.get("updates", 8))
    total = budget.length if budget.unit == "step" else budget.length * updates
    with global_stream(seed, "init"):
        policy = _policy(recipe)
    optimizer = build_optimizer(recipe.optimizer, policy)
    epoch = 0
    if state is not None:
        policy.load_state_dict(state["policy"])
        optimizer.load_state_dict(state["optimizer"])
        epoch = state["epoch"]
    while (start := epoch * updates) < total:
        played = []
        for step in range(start, end := min(start + updates, total)):
            rate = recipe.optimizer.lr * factor(recipe.schedule, step, total)
            for group in optimizer.param_groups:
                group["lr"] = rate * group.get("lr_scale", 1.0)
            episodes = _play(policy, recipe.budget.batch_size, derive_seed(seed, "order", step), greedy=False)
            _update(policy, optimizer, recipe, episodes)
            played.append(episodes.mean_return)
        epoch += 1
        eval_mode(optimizer)
        judged = _play(policy, int(recipe.custom.get("evaluations", 16)), _EVALUATION_SEED, greedy=True)
        train_mode(optimizer)
        metrics = {"val/return": judged.mean_return, "train/return": float(np.mean(played)), "train/lr": rate}
        state = {"epoch": epoch, "policy": policy.state_dict(), "optimizer": optimizer.state_dict()}
        yield {**({"step": end} if budget.unit == "step" else {}), **metrics}, state


class _Episodes:
    """Episodes played in parallel: a tensor ``(episodes, ...)`` per step. ``alive`` is False after an episode ends."""

    def __init__(self) -> None:
        self.observed: list[Tensor] = []
        self.actions: list[Tensor] = []
        self.alive: list[Tensor] = []

    @property
    def mean_return(self) -> float:
        # CartPole has a reward of 1 per step.
        return torch.stack(self.alive).float().sum(0).mean().item()


def _policy(recipe: Recipe) -> MLP:
    hidden = (recipe.model.width or 64,) * (recipe.model.depth or 1)
    return MLP(_OBSERVED, hidden, _ACTIONS, recipe.regularization.dropout)


@torch.no_grad()
def _play(policy: nn.Module, count: int, seed: int, greedy: bool) -> _Episodes:
    """Play episodes until all have ended."""
    import gymnasium

    envs = gymnasium.make_vec("CartPole-v1", num_envs=count, vectorization_mode="sync")
    observed, _ = envs.reset(seed=seed % 2**31)
    alive = torch.ones(count, dtype=torch.bool)
    episodes = _Episodes()
    policy.train(not greedy)
    for _ in range(_LONGEST):
        inputs = torch.from_numpy(np.asarray(observed, dtype=np.float32))
        logits = policy(inputs)
        actions = logits.argmax(1) if greedy else logits.softmax(1).multinomial(1).squeeze(1)
        episodes.observed.append(inputs)
        episodes.actions.append(actions)
        episodes.alive.append(alive)
        observed, _, terminated, truncated, _ = envs.step(actions.numpy())
        alive = alive & torch.from_numpy(~(terminated | truncated))
        if not alive.any():
            break
    envs.close()
    return episodes


def _update(policy: nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe, episodes: _Episodes) -> None:
    """Make one step along the policy gradient with discounted returns."""
    alive = torch.stack(episodes.alive)
    returns = _discounted(alive.float(), float(recipe.custom.get("gamma", 0.99)))[alive]
    advantages = (returns - returns.mean()) / (returns.std() + 1e-8)
    policy.train()
    log_p: Tensor = policy(torch.stack(episodes.observed)[alive]).log_softmax(1)
    chosen = log_p.gather(1, torch.stack(episodes.actions)[alive].unsqueeze(1)).squeeze(1)
    entropy = -(log_p.exp() * log_p).sum(1)
    loss = -(chosen * advantages + float(recipe.custom.get("entropy", 0.01)) * entropy).mean()
    optimizer.zero_grad()
    backward(loss, optimizer)
    if recipe.regularization.clip_norm is not None:
        nn.utils.clip_grad_norm_(policy.parameters(), recipe.regularization.clip_norm)
    optimizer.step()


def _discounted(rewards: Tensor, gamma: float) -> Tensor:
    """Return the discounted sum of future rewards at every step, ``(steps, episodes)``."""
    total = torch.zeros_like(rewards[0])
    returns = torch.empty_like(rewards)
    for step in reversed(range(len(rewards))):
        total = rewards[step] + gamma * total
        returns[step] = total
    return returns
