"""The reference models: shapes, normalization, initial weights, and invalid recipes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from search_spaces.errors import UsageError
from search_spaces.recipe.model import Model
from search_spaces.recipe.recipe import Recipe, Regularization
from trainers.models.build import Images, Shape, Signals, Tokens, build_model, refuse_other_models
from trainers.models.cnn2d import CNN1d
from trainers.models.mup import ScaledLinear
from trainers.models.norms import channel_norm
from trainers.models.transformer import DropPath
from trainers.optim.param_groups import NORMS

SHAPES = {"signals": Signals(40), "images": Images(3, 8), "tokens": Tokens(11, 6)}
KINDS = ("logistic", "mlp", "cnn", "gru", "lstm", "transformer")
SEQUENCES = ("gru", "lstm", "transformer")


def examples(shape: Shape, n: int = 4) -> torch.Tensor:
    match shape:
        case Signals(length):
            return torch.randn(n, length)
        case Images(colours, size):
            return torch.randn(n, colours, size, size)
        case Tokens(vocabulary, length):
            return torch.randint(vocabulary, (n, length))


def model_of(shape: Shape = SHAPES["signals"], dropout: float = 0.0, **fields: object) -> nn.Module:
    recipe = Recipe(model=Model(**fields), regularization=Regularization(dropout=dropout))
    return build_model(recipe, shape, 5, default="mlp")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_learns_from_every_shape_that_it_reads(kind, shape):
    if shape == "tokens" and kind not in SEQUENCES:
        with pytest.raises(UsageError, match="does not support tokens"):
            model_of(SHAPES[shape], kind=kind)
        return
    model = model_of(SHAPES[shape], dropout=0.1, kind=kind)
    logits = model(examples(SHAPES[shape]))
    assert logits.shape == ((4, 6, 5) if shape == "tokens" else (4, 5))  # of tokens, one row for each
    logits.square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("kind", ["mlp", "cnn", "gru", "lstm", "transformer"])
def test_width_and_depth_are_the_recipes(kind, depth):
    def size(**fields):
        return sum(parameter.numel() for parameter in model_of(kind=kind, **fields).parameters())

    assert size(width=32, depth=depth) > size(width=16, depth=depth)
    assert size(width=16, depth=depth + 1) != size(width=16, depth=depth)


ALLOWED = {
    "mlp": ("batch", "layer", "group", "rms", "none"),
    "cnn": ("batch", "layer", "group", "instance", "rms", "none"),
    **dict.fromkeys(SEQUENCES, ("layer", "rms", "none")),
}


@pytest.mark.parametrize("shape", ["signals", "images"])
@pytest.mark.parametrize("norm", ["batch", "layer", "group", "instance", "rms", "none"])
@pytest.mark.parametrize("kind", ALLOWED)
def test_every_norm_is_there_or_refused(kind, norm, shape):
    if norm not in ALLOWED[kind]:
        with pytest.raises(UsageError, match=f"model.norm: {norm}"):
            model_of(SHAPES[shape], kind=kind, norm=norm)
        return
    model = model_of(SHAPES[shape], kind=kind, norm=norm)
    assert any(isinstance(module, NORMS) for module in model.modules()) == (norm != "none")
    assert model(examples(SHAPES[shape])).isfinite().all()


@pytest.mark.parametrize("norm", ["layer", "rms", "group", "instance"])
def test_these_norms_do_not_mix_examples(norm):
    model = model_of(SHAPES["images"], kind="cnn", norm=norm)
    inputs = examples(SHAPES["images"])
    assert torch.allclose(model(inputs)[:2], model(inputs[:2]), atol=1e-6)


@pytest.mark.parametrize("init", ["he", "xavier", "orthogonal", "identity"])
@pytest.mark.parametrize("kind", ["mlp", "cnn", "gru", "lstm", "transformer"])
def test_every_init_gives_other_weights_and_no_biases(kind, init):
    torch.manual_seed(0)
    default = model_of(kind=kind)
    torch.manual_seed(0)
    model = model_of(kind=kind, init=init)
    assert not torch.equal(default.head.weight, model.head.weight)
    assert model.head.bias.abs().sum() == 0
    assert model(examples(SHAPES["signals"])).isfinite().all()


def test_the_distributions_of_the_initial_weights():
    def hidden(init):
        return model_of(kind="mlp", width=256, init=init).body[4].weight

    assert hidden("he").var().item() == pytest.approx(2 / 256, rel=0.1)
    assert hidden("xavier").var().item() == pytest.approx(2 / 512, rel=0.1)
    square = hidden("orthogonal")
    assert torch.allclose(square @ square.T, torch.eye(256), atol=1e-4)
    assert torch.equal(hidden("identity"), torch.eye(256))


@pytest.mark.parametrize(("kind", "gates"), [("gru", 3), ("lstm", 4)])
def test_every_gate_of_a_recurrent_layer_is_orthogonal(kind, gates):
    recurrent = model_of(kind=kind, width=8, init="orthogonal").cells.weight_hh_l0
    for gate in recurrent.chunk(gates):
        assert torch.allclose(gate @ gate.T, torch.eye(8), atol=1e-5)


def test_an_unchanged_cnn_is_the_one_of_before():
    names = list(CNN1d(40, 32, 10, 0.1).state_dict())
    assert names == [f"{name}.{part}" for name in ("body.0", "body.2", "body.4", "head") for part in ("weight", "bias")]


def test_a_dropped_path_leaves_an_example_or_scales_it_up():
    drop = DropPath(0.5)
    out = drop(torch.ones(1000, 3, 2))
    rows = out[:, 0, 0]
    assert set(rows.tolist()) == {0.0, 2.0}
    assert rows.mean().item() == pytest.approx(1.0, abs=0.15)
    assert torch.equal(out, rows[:, None, None].expand_as(out))
    assert torch.equal(drop.eval()(torch.ones(3, 3)), torch.ones(3, 3))


def test_regularization_draws_nothing_from_the_initial_weights():
    weights = []
    for regularization in (Regularization(), Regularization(dropout=0.3, drop_path=0.2)):
        torch.manual_seed(0)
        recipe = Recipe(model=Model(kind="transformer"), regularization=regularization)
        weights.append(build_model(recipe, SHAPES["signals"], 5, default="mlp").head.weight)
    assert torch.equal(*weights)


def test_a_language_model_does_not_see_the_future():
    model = model_of(SHAPES["tokens"], kind="transformer").eval()
    inputs = examples(SHAPES["tokens"])
    states = model.blocks(model.embed(inputs) + model.positions)
    inputs[:, -1] = (inputs[:, -1] + 1) % 11
    changed = model.blocks(model.embed(inputs) + model.positions)
    assert torch.equal(states[:, :-1], changed[:, :-1])
    assert not torch.equal(states[:, -1], changed[:, -1])


@pytest.mark.parametrize("kind", ["mlp", "transformer"])
def test_mup_at_its_base_width_is_the_standard_parametrization(kind):
    outputs = []
    for base in (None, 32):
        torch.manual_seed(0)
        model = model_of(kind=kind, width=32, mup_base=base)
        outputs.append(model(torch.linspace(-1, 1, 80).reshape(2, 40)))
    assert torch.equal(*outputs)


def test_mup_keeps_the_size_of_hidden_units_and_shrinks_the_logits_of_wide_models():
    torch.manual_seed(0)
    inputs = torch.randn(64, 40)
    for width in (64, 1024):
        plain, scaled = (model_of(kind="mlp", width=width, mup_base=base) for base in (None, 64))
        assert scaled.body(inputs).std().item() == pytest.approx(plain.body(inputs).std().item(), rel=0.2)
    assert isinstance(scaled.head, ScaledLinear)
    # The same weights as at the base width, a sixteenth as a factor, sixteen times as many: logits shrink by 4.
    assert scaled.head(torch.ones(1, 1024)).std() < plain.head(torch.ones(1, 1024)).std()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"lora_rank": 4}, "model.lora_rank: adapters need a pretrained transformer"),
        ({"kind": "cnn", "mup_base": 8}, "model.mup_base: only mlp and transformer support it, found cnn"),
        ({"kind": "mlp", "mup_base": 8, "init": "he"}, "model.init: mup_base sets its own initial weights"),
        ({"kind": "logistic", "width": 8}, "logistic has no hidden layer"),
    ],
)
def test_what_does_not_fit_is_refused(fields, expected):
    with pytest.raises(UsageError, match=expected):
        model_of(**fields)


def test_an_image_that_is_too_small():
    with pytest.raises(UsageError, match="an image of 8 pixels can be halved 3 times"):
        model_of(SHAPES["images"], kind="cnn", depth=4)


def test_a_pretrained_network_is_not_changed():
    refuse_other_models(Recipe(), "its model is fixed")
    with pytest.raises(UsageError, match=r"model.width: its model is fixed; remove it"):
        refuse_other_models(Recipe(model=Model(width=3)), "its model is fixed")


@pytest.mark.parametrize(("channels", "groups"), [(25, 5), (32, 8), (12, 6), (7, 7), (1, 1), (13, 1)])
def test_group_norm_has_as_many_groups_as_fit(channels: int, groups: int) -> None:
    found = channel_norm("group", channels, 1)
    assert isinstance(found, nn.GroupNorm)
    assert found.num_groups == groups
