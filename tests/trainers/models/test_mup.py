"""With muP, the best learning rate of a narrow model is that of a wide one; without muP, it is not."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from search_spaces.recipe.model import Model
from search_spaces.recipe.recipe import Recipe
from trainers.models.build import Images, build_model
from trainers.task_lookup import load_task

POWERS = range(-11, -2)  # learning rates 2 ** power


def losses(kind: str, width: int, base: int | None, depth: int, steps: int) -> dict[int, float]:
    """Return the mean loss of the last quarter of a few Adam steps at every learning rate."""
    train = load_task("digits").data(0).train
    recipe = Recipe(model=Model(kind=kind, width=width, depth=depth, mup_base=base))
    found = {}
    for power in POWERS:
        torch.manual_seed(0)
        model = build_model(recipe, Images(1, 8), 10, default="mlp")
        optimizer = torch.optim.Adam(model.parameters(), lr=2.0**power)
        order = torch.Generator().manual_seed(0)
        seen = []
        for _ in range(steps):
            batch = train.take(torch.randint(len(train), (64,), generator=order))
            loss = functional.cross_entropy(model(batch.inputs), batch.targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            seen.append(loss.item())
        found[power] = sum(seen[-(steps // 4) :]) / (steps // 4)
    return found


def best(found: dict[int, float]) -> int:
    return min(found, key=found.__getitem__)


def test_the_best_learning_rate_of_an_mlp_is_that_of_one_16_times_as_wide():
    narrow = best(losses("mlp", 32, 32, depth=3, steps=40))
    scaled = losses("mlp", 512, 32, depth=3, steps=40)
    plain = losses("mlp", 512, None, depth=3, steps=40)
    assert abs(best(scaled) - narrow) <= 1
    assert scaled[narrow] < 1.2 * scaled[best(scaled)]
    assert best(plain) <= narrow - 2
    assert plain[narrow] > 3 * plain[best(plain)]


@pytest.mark.slow
@pytest.mark.parallel
@pytest.mark.timeout(400)
def test_the_best_learning_rate_of_a_transformer_is_that_of_one_4_times_as_wide():
    narrow = best(losses("transformer", 32, 32, depth=1, steps=120))
    scaled = losses("transformer", 128, 32, depth=1, steps=120)
    assert abs(best(scaled) - narrow) <= 1
    assert scaled[narrow] < 1.3 * scaled[best(scaled)]
