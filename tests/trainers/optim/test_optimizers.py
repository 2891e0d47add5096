import math
import subprocess
import sys

import pytest
import pytorch_optimizer as library
import torch
from torch import nn
from torch.nn import functional
from torch.optim.optimizer import register_optimizer_step_pre_hook

from search_spaces.errors import UsageError
from search_spaces.recipe.optimizers import (
    LAMB,
    LARS,
    SGD,
    Adafactor,
    Adagrad,
    Adam,
    AdamL2,
    AdamW,
    Lion,
    Lookahead,
    Muon,
    NAdam,
    ParameterGroups,
    RAdam,
    RMSprop,
    ScheduleFreeAdamW,
    Shampoo,
    Sophia,
)
from search_spaces.recipe.recipe import Budget, Recipe
from search_spaces.recipe.schedules import Cosine
from search_spaces.seeds import derive_seed
from trainers.loop.training import Training
from trainers.optim.modes import backward, eval_mode, train_mode
from trainers.optim.optimizers import build_optimizer
from trainers.optim.schedules import factor


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 3))


def gradients(parameters: list[nn.Parameter], step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def test_adamw_by_hand():
    """Compare with three steps of the paper's Algorithm 2 in float64, with and without decay."""
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


def by_hand(net: nn.Module, weight_decay: float) -> list[dict]:
    matrices = [p for p in net.parameters() if p.ndim == 2]
    vectors = [p for p in net.parameters() if p.ndim < 2]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]


def steps(net: nn.Module, optimizer: torch.optim.Optimizer, count: int = 6) -> list[torch.Tensor]:
    for step in range(count):
        gradients(list(net.parameters()), step)
        optimizer.step()
    return [p.detach().clone() for p in net.parameters()]


T = torch.optim
REFERENCES = [
    (AdamL2(lr=0.1, weight_decay=0.2), lambda g: T.Adam(g, 0.1, (0.9, 0.999), 1e-8)),
    (
        NAdam(lr=0.1, weight_decay=0.2, momentum_decay=0.01),
        lambda g: T.NAdam(g, 0.1, momentum_decay=0.01, decoupled_weight_decay=True),
    ),
    (RAdam(lr=0.1, weight_decay=0.2), lambda g: T.RAdam(g, 0.1, decoupled_weight_decay=True)),
    (RMSprop(lr=0.1, momentum=0.5, centered=True), lambda g: T.RMSprop(g, 0.1, momentum=0.5, centered=True)),
    (Adagrad(lr=0.1, initial_accumulator=0.3), lambda g: T.Adagrad(g, 0.1, initial_accumulator_value=0.3)),
    (
        Adafactor(lr=0.1, weight_decay=0.2, beta2_decay=-0.7, min_rms=0.01, clip_threshold=2.0),
        lambda g: T.Adafactor(g, 0.1, -0.7, (None, 0.01), 2.0),
    ),
    (Lion(lr=0.1, weight_decay=0.2), lambda g: library.Lion(g, 0.1, (0.9, 0.99))),
    (
        LARS(lr=0.1, weight_decay=0.2, nesterov=True, trust_coefficient=0.1),
        lambda g: library.LARS(g, 0.1, nesterov=True, trust_coefficient=0.1),
    ),
    (LAMB(lr=0.1, weight_decay=0.2), lambda g: library.Lamb(g, 0.1, weight_decouple=False, adam_debias=True)),
    (
        Shampoo(lr=0.1, weight_decay=0.2, eps=1e-3),
        lambda g: library.Shampoo(g, 0.1, matrix_eps=1e-3, weight_decouple=True),
    ),
    (ScheduleFreeAdamW(lr=0.1, weight_decay=0.2), lambda g: library.ScheduleFreeAdamW(g, 0.1)),
]


@pytest.mark.parametrize(("recipe", "reference"), REFERENCES, ids=[recipe.kind for recipe, _ in REFERENCES])
def test_equal_to_the_reference_on_groups_by_hand(recipe, reference):
    ours, theirs = model(), model()
    got = steps(ours, build_optimizer(recipe, ours))
    expected = steps(theirs, reference(by_hand(theirs, getattr(recipe, "weight_decay", 0.0))))
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b)


def test_the_l2_term_is_not_decoupled_decay():
    ends = []
    for recipe in (AdamW(lr=0.1, weight_decay=0.2), AdamL2(lr=0.1, weight_decay=0.2)):
        net = model()
        ends.append(steps(net, build_optimizer(recipe, net)))
    for a, b in zip(*ends, strict=True):
        assert torch.allclose(a, b) == (a.ndim < 2)


def test_lamb_by_hand():
    """Algorithm 2 of the paper without bias correction: the decay is inside the trust ratio."""
    net = nn.Linear(3, 2, bias=False)
    optimizer = build_optimizer(LAMB(lr=0.1, betas=(0.8, 0.9), eps=1e-6, weight_decay=0.3), net)
    theta = net.weight.detach().double().clone()
    m, v = torch.zeros_like(theta), torch.zeros_like(theta)
    for step in range(3):
        gradients([net.weight], step)
        g = net.weight.grad.double()
        m, v = 0.8 * m + 0.2 * g, 0.9 * v + 0.1 * g * g
        update = m / (v.sqrt() + 1e-6) + 0.3 * theta
        theta = theta - 0.1 * theta.norm() / update.norm() * update
        optimizer.step()
    torch.testing.assert_close(net.weight.detach().double(), theta, rtol=1e-4, atol=1e-5)


def test_lookahead_by_hand():
    ours, theirs = model(), model()
    optimizer = build_optimizer(SGD(lr=0.1), ours, lookahead=Lookahead(k=2, alpha=0.3))
    fast = build_optimizer(SGD(lr=0.1), theirs)
    slow = [p.detach().clone() for p in theirs.parameters()]
    for step in range(5):
        for net, opt in ((ours, optimizer), (theirs, fast)):
            gradients(list(net.parameters()), step)
            opt.step()
        if step % 2 == 1:
            with torch.no_grad():
                for p, mean in zip(theirs.parameters(), slow, strict=True):
                    mean.add_(0.3 * (p - mean))
                    p.copy_(mean)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(p, q)


def test_muon_is_two_optimizers():
    def network() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Linear(8, 8), nn.Linear(8, 3))

    ours, theirs = network(), network()
    recipe = Muon(lr=0.02, adamw_lr=0.003, weight_decay=0.1)
    optimizer = build_optimizer(recipe, ours)
    hidden = [theirs[0].weight, theirs[2].weight]
    exempt = [theirs[0].bias, *theirs[1].parameters(), theirs[2].bias, theirs[3].bias]
    groups = [{"params": [theirs[3].weight], "weight_decay": 0.1}, {"params": exempt, "weight_decay": 0.0}]
    muon = T.Muon(hidden, lr=0.02, weight_decay=0.1)
    adamw = T.AdamW(groups, 0.003, (0.9, 0.95), 1e-10)
    for step in range(4):
        for net in (ours, theirs):
            gradients(list(net.parameters()), step)
        for each in (optimizer, muon, adamw):
            each.step()
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(p, q)
    assert [group["lr_scale"] for group in optimizer.param_groups] == [1.0, pytest.approx(0.15), pytest.approx(0.15)]


def test_muon_needs_a_hidden_matrix():
    with pytest.raises(UsageError, match="muon needs a weight matrix before the head"):
        build_optimizer(Muon(), nn.Linear(3, 2))


def test_shampoo_moves_before_its_second_roots():
    net = model()
    before = [p.detach().clone() for p in net.parameters()]
    after = steps(net, build_optimizer(Shampoo(roots_every=4), net), 1)
    assert all(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_sophia_by_hand():
    """On the quadratic form sum(c * x^2) every Hutchinson sample of the diagonal is 2 * c * z^2."""
    net = nn.Linear(3, 1, bias=False)
    c = torch.tensor([[1.0, 10.0, 100.0]])
    recipe = Sophia(lr=0.1, betas=(0.5, 0.75), clip=0.05, curvature_every=2)
    optimizer = build_optimizer(recipe, net)
    theta, m, h = net.weight.detach().clone(), torch.zeros(1, 3), torch.zeros(1, 3)
    torch.manual_seed(7)
    for step in range(4):
        m = 0.5 * m + 0.5 * 2 * c * theta
        if step % 2 == 0:
            with torch.random.fork_rng():
                torch.manual_seed(derive_seed(7, "curvature", step))
                h = 0.75 * h + 0.25 * 2 * c * torch.randn(1, 3).square()
        theta = theta - 0.1 * (m / h.clamp(min=1e-12)).clamp(-0.05, 0.05)
        backward((c * net.weight.square()).sum(), optimizer)
        optimizer.step()
        optimizer.zero_grad()
    torch.testing.assert_close(net.weight.detach(), theta)


def test_sophia_leaves_the_global_stream_alone_and_clipped_gradients_do():
    net = model()
    optimizer = build_optimizer(Sophia(), net)
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    backward(functional.mse_loss(net(torch.ones(5, 4)), torch.zeros(5, 3)), optimizer)
    nn.utils.clip_grad_norm_(net.parameters(), 1e-3)
    optimizer.step()
    assert torch.equal(torch.rand(2), expected)
    assert all(torch.isfinite(p).all() for p in net.parameters())


def test_modes_of_a_schedule_free_optimizer():
    net = model()
    optimizer = build_optimizer(ScheduleFreeAdamW(lr=0.1), net, lookahead=Lookahead(k=3))
    path = steps(net, optimizer, 4)
    eval_mode(optimizer)
    average = [p.detach().clone() for p in net.parameters()]
    train_mode(optimizer)
    for there, mean, back in zip(path, average, net.parameters(), strict=True):
        assert not torch.allclose(there, mean)
        torch.testing.assert_close(there, back.detach())


def test_modes_of_others_do_nothing():
    net = model()
    optimizer = build_optimizer(AdamW(), net)
    before = steps(net, optimizer, 2)
    eval_mode(optimizer)
    train_mode(optimizer)
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))


@pytest.mark.parametrize("lookahead", [Lookahead(), Lookahead(k=3)], ids=["alone", "lookahead"])
@pytest.mark.parametrize("optimizer", [AdamW(lr=0.01), Muon(), Sophia(), ScheduleFreeAdamW()], ids=lambda o: o.kind)
def test_the_rate_of_every_step_and_group(blobs, optimizer, lookahead):
    """The rate of a group is its peak times the schedule, in the optimizer and in those inside it."""
    schedule = Cosine(warmup=0.2)
    groups = ParameterGroups(layer_decay=0.5, head_lr_scale=2.0)
    recipe = Recipe(
        optimizer=optimizer,
        groups=groups,
        lookahead=lookahead,
        schedule=schedule,
        budget=Budget(epochs=2, batch_size=16),
    )
    total = 2 * math.ceil(blobs.train / 16)
    seen = {}

    def record(stepping, _args, _kwargs):
        rates = [(group["lr"], group["lr_scale"]) for group in stepping.param_groups]
        seen.setdefault(id(stepping), []).append(rates)

    hook = register_optimizer_step_pre_hook(record)
    training = Training(recipe, blobs, 0)
    while not training.finished:
        training.run_epoch()
    hook.remove()
    assert seen
    for every in seen.values():
        assert len(every) == total
        for number, rates in enumerate(every):
            for rate, scale in rates:
                assert rate == pytest.approx(optimizer.lr * scale * factor(schedule, number, total))
    assert max(len({scale for _, scale in every[0]}) for every in seen.values()) > 1


def test_the_library_is_only_imported_for_its_own_kinds():
    """Its import takes longer than that of torch, and would delay every worker."""
    code = "import sys, trainers.loop.training; print('pytorch_optimizer' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
