import copy

import pytest
import torch
from torch import nn

from search_spaces.recipe.averaging import EMA
from search_spaces.recipe.optimizers import SGD
from search_spaces.recipe.recipe import Budget, Recipe, Regularization, Signals
from search_spaces.recipe.schedules import Constant
from trainers.evaluation.evaluate import per_example
from trainers.loop.gradient_stats import GradientStats
from trainers.loop.training import Training

PLAIN = SGD(lr=0.1, momentum=0.0, nesterov=False, weight_decay=0.0)


def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Linear(8, 2))


def trained(regularization: Regularization, steps: int = 4, poison: int | None = None):
    """Return the statistics of a few steps of plain SGD, with the gradients and weights of every step."""
    net = model()
    parameters = list(net.parameters())
    stats = GradientStats(parameters, regularization, steps)
    gradients, weights = [], [[p.detach().clone() for p in parameters]]
    for step in range(steps):
        net(torch.randn(16, 4)).square().mean().backward()
        if step == poison:
            parameters[0].grad[0] = torch.inf
        gradients.append([p.grad.clone() for p in parameters])
        total = stats.gradient()
        assert total == nn.utils.get_total_norm([p.grad for p in parameters])
        with stats.update(step), torch.no_grad():
            for p in parameters:
                p.sub_(p.grad, alpha=0.1)
                p.grad = None
        weights.append([p.detach().clone() for p in parameters])
    return stats, gradients, weights


def test_norms_of_the_gradient():
    stats, gradients, _ = trained(Regularization())
    metrics = stats.metrics(skips_steps=False)
    totals = torch.stack([torch.cat([g.flatten() for g in step]).norm() for step in gradients])
    layers = torch.tensor([[step[0].norm(), step[4].norm()] for step in gradients]).mean(0)  # the two matrices
    assert metrics["train/grad_norm"] == pytest.approx(totals.mean().item(), rel=1e-5)
    assert metrics["train/grad_norm_max"] == pytest.approx(totals.max().item(), rel=1e-5)
    assert metrics["train/grad_norm_layer_min"] == pytest.approx(layers.min().item(), rel=1e-5)
    assert metrics["train/grad_norm_layer_max"] == pytest.approx(layers.max().item(), rel=1e-5)
    assert metrics["train/clip_rate"] == 0.0


@pytest.mark.parametrize("kind", ["clip_norm", "clip_value"])
def test_clip_rate(kind):
    _, gradients, _ = trained(Regularization())
    flat = [torch.cat([g.flatten() for g in step]) for step in gradients]
    sizes = [(step.norm() if kind == "clip_norm" else step.abs().max()).item() for step in flat]
    bound = sum(sorted(sizes)[1:3]) / 2
    metrics = trained(Regularization(**{kind: bound}))[0].metrics(skips_steps=False)
    assert metrics["train/clip_rate"] == 0.5


def test_the_update_is_that_of_the_middle_step():
    stats, _, weights = trained(Regularization())
    ratios = [(weights[3][at] - weights[2][at]).norm() / weights[2][at].norm() for at in (0, 4)]
    assert stats.metrics(skips_steps=False)["train/update_ratio"] == pytest.approx(min(ratios).item(), rel=1e-4)


def test_weights_at_the_end():
    stats, _, weights = trained(Regularization())
    flat = torch.cat([weights[-1][at].flatten() for at in (0, 4)])
    metrics = stats.metrics(skips_steps=False)
    assert metrics["train/weight_norm"] == pytest.approx(flat.norm().item(), rel=1e-5)
    assert metrics["train/near_zero"] == pytest.approx((flat.abs() < 1e-3).double().mean().item())


def test_a_skipped_step_is_not_counted():
    poisoned = trained(Regularization(), poison=3)[0]
    assert poisoned.metrics(skips_steps=False)["train/grad_norm"] == torch.inf
    clean = trained(Regularization(), steps=4)[1]
    totals = torch.stack([torch.cat([g.flatten() for g in step]).norm() for step in clean[:3]])
    assert poisoned.metrics(skips_steps=True)["train/grad_norm"] == pytest.approx(totals.mean().item(), rel=1e-5)


def test_a_layer_of_zeros_and_one_without_gradient_stay_finite():
    net = model()
    nn.init.zeros_(net[0].weight)
    parameters = list(net.parameters())
    stats = GradientStats(parameters, Regularization(), 1)
    net[2].weight.grad = torch.ones_like(net[2].weight)
    assert stats.gradient() == 4.0
    with stats.update(0), torch.no_grad():
        net[0].weight += 1.0
    metrics = stats.metrics(skips_steps=False)
    assert all(abs(value) < float("inf") for value in metrics.values())
    assert metrics["train/grad_norm_layer_min"] == 0.0


def test_a_model_without_matrices_has_its_vectors_as_layers():
    vector = nn.Parameter(torch.ones(4))
    stats = GradientStats([vector], Regularization(), 1)
    vector.grad = torch.full((4,), 2.0)
    stats.gradient()
    assert stats.metrics(skips_steps=False)["train/grad_norm_layer_max"] == 4.0


def test_clipping_by_value_equals_torch(blobs):
    recipe = Recipe(
        optimizer=PLAIN,
        schedule=Constant(),
        regularization=Regularization(clip_value=0.01),
        budget=Budget(epochs=1, batch_size=70),
    )
    training = Training(recipe, blobs, 0)
    net = copy.deepcopy(training.model)
    data = training._data.train
    nn.functional.cross_entropy(net(data.inputs), data.targets).backward()
    nn.utils.clip_grad_value_(net.parameters(), 0.01)
    expected = [p.detach() - 0.1 * p.grad for p in net.parameters()]
    assert training.run_epoch().metrics["train/clip_rate"] == 1.0
    for p, q in zip(training.model.parameters(), expected, strict=True):
        torch.testing.assert_close(p, q)


@pytest.mark.parametrize("size", [70, 20])
def test_the_training_split_is_scored_as_val_is(blobs, size):
    blobs.train = size  # val has 30 examples
    recipe = Recipe(
        regularization=Regularization(dropout=0.5, label_smoothing=0.2),
        averaging=EMA(),
        signals=Signals(train_rescored=True),
        budget=Budget(epochs=1, batch_size=16),
    )
    training = Training(recipe, blobs, 0)
    found = training.run_epoch().metrics["train/nll_eval"]
    count = min(30, size)
    subset = training._data.train.take(torch.arange(count) * size // count)
    assert len(set((torch.arange(count) * size // count).tolist())) == count
    training.model.eval()
    with torch.no_grad():
        assert found == pytest.approx(per_example(training.model(subset.inputs), subset.targets).nll.mean().item())


def test_speed_counts_the_training_alone(blobs):
    metrics = Training(Recipe(budget=Budget(epochs=1)), blobs, 0).run_epoch().metrics
    assert metrics["train/samples_per_second"] > 70 / metrics["train/seconds"]
    assert "train/peak_memory" not in metrics  # torch does not measure it on a CPU


def test_norms_do_not_keep_the_graph_of_a_differentiable_gradient():
    weight = nn.Parameter(torch.ones(2, 2))
    [weight.grad] = torch.autograd.grad((weight**3).sum(), weight, create_graph=True)
    stats = GradientStats([weight], Regularization(clip_value=1.0), 3)
    assert not stats.gradient().requires_grad
    assert not any(value.requires_grad for value in stats.state_dict().values())
