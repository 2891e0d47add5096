import pytest
import torch
from torch import nn

from search_spaces.optimizers import SGD, Adam, AdamW
from trainers.optimizers import build_optimizer


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 3))


def gradients(parameters: list[nn.Parameter], step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def test_adamw_by_hand():
    """Three steps of the paper's Algorithm 2, in float64, with and without decay."""
    net = model()
    recipe = AdamW(lr=0.1, betas=(0.8, 0.9), eps=1e-6, weight_decay=0.3)
    optimizer = build_optimizer(recipe, net)
    parameters = list(net.parameters())
    theta = [p.detach().double().clone() for p in parameters]
    m = [torch.zeros_like(t) for t in theta]
    v = [torch.zeros_like(t) for t in theta]
    for step in range(1, 4):
        gradients(parameters, step)
        for i, parameter in enumerate(parameters):
            g = parameter.grad.double()
            m[i] = 0.8 * m[i] + 0.2 * g
            v[i] = 0.9 * v[i] + 0.1 * g * g
            if parameter.ndim == 2:
                theta[i] = theta[i] * (1 - 0.1 * 0.3)
            theta[i] = theta[i] - 0.1 * (m[i] / (1 - 0.8**step)) / ((v[i] / (1 - 0.9**step)).sqrt() + 1e-6)
        optimizer.step()
    for parameter, expected in zip(parameters, theta, strict=True):
        torch.testing.assert_close(parameter.detach().double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("recipe", "plain"),
    [
        (Adam(lr=0.01, betas=(0.7, 0.8), eps=1e-5), lambda p: torch.optim.Adam(p, 0.01, (0.7, 0.8), 1e-5)),
        (
            SGD(lr=0.1, momentum=0.8, nesterov=True, weight_decay=0.1, decay="all"),
            lambda p: torch.optim.SGD(p, 0.1, 0.8, weight_decay=0.1, nesterov=True, foreach=False),
        ),
        (
            SGD(lr=0.1, momentum=0.0, nesterov=False, weight_decay=0.0),
            lambda p: torch.optim.SGD(p, 0.1, foreach=False),
        ),
    ],
    ids=["adam", "nesterov", "plain_sgd"],
)
def test_equal_to_torchs_unfused_optimizers(recipe, plain):
    ours, theirs = model(), model()
    a, b = build_optimizer(recipe, ours), plain(theirs.parameters())
    for step in range(5):
        gradients(list(ours.parameters()), step)
        gradients(list(theirs.parameters()), step)
        a.step()
        b.step()
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(p, q)


@pytest.mark.parametrize("recipe", [AdamW(weight_decay=0.2), SGD(weight_decay=0.2)])
def test_decay_goes_to_the_matrices_only(recipe):
    net = model()
    decays = {
        id(p): group["weight_decay"] for group in build_optimizer(recipe, net).param_groups for p in group["params"]
    }
    assert [decays[id(p)] for p in net.parameters()] == [0.2, 0.0, 0.0, 0.0, 0.2, 0.0]


def test_no_empty_groups():
    for decay in ("all", "none"):
        assert len(build_optimizer(AdamW(decay=decay), model()).param_groups) == 1


def test_adam_never_decays():
    assert all(group["weight_decay"] == 0 for group in build_optimizer(Adam(), model()).param_groups)
