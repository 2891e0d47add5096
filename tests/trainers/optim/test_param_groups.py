import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations
from transformers import BertConfig, BertForSequenceClassification, BertModel, Trainer
from transformers.trainer_pt_utils import get_parameter_names

from search_spaces.errors import UsageError
from search_spaces.recipe.optimizers import SGD, AdamW, Muon, ParameterGroups
from trainers.optim.layer_groups import find_layer_groups, lr_scales
from trainers.optim.optimizers import build_optimizer
from trainers.optim.param_groups import split_parameters


class Transformer(nn.Module):
    """Block with misleading names: no pattern that looks for "norm" finds `ln_f` or `first`."""

    def __init__(self):
        super().__init__()
        self.wte = nn.Embedding(11, 8)
        self.first = nn.RMSNorm(8)
        self.attention = nn.MultiheadAttention(8, 2, add_bias_kv=True)
        self.ln_f = nn.LayerNorm(8)
        self.lm_head = nn.Linear(8, 11, bias=False)
        self.temperature = nn.Parameter(torch.ones(()))


class Tied(Transformer):
    def __init__(self):
        super().__init__()
        self.lm_head.weight = self.wte.weight


MLP = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2))
CNN = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.Conv2d(4, 4, 3, bias=False))


def test_mlp_and_cnn():
    assert split_parameters(MLP, "matrices", True) == (("0.weight", "2.weight"), ("0.bias", "2.bias"))
    assert split_parameters(CNN, "matrices", True) == (
        ("0.weight", "3.weight"),
        ("0.bias", "1.weight", "1.bias", "2.weight", "2.bias"),
    )


def test_lstm_biases_are_found():
    decayed, exempt = split_parameters(nn.LSTM(3, 4, num_layers=2, bidirectional=True), "matrices", True)
    assert all(name.startswith("weight_") for name in decayed)
    assert len(decayed) == len(exempt) == 8
    assert all(name.startswith("bias_") for name in exempt)


def test_transformer():
    decayed, exempt = split_parameters(Transformer(), "matrices", True)
    assert decayed == (
        "wte.weight",
        "attention.in_proj_weight",
        "attention.out_proj.weight",
        "lm_head.weight",
    )
    assert set(exempt) == {
        "temperature",
        "first.weight",
        "attention.in_proj_bias",
        "attention.bias_k",  # shape (1, 1, 8): a bias by name, not by its dimensions
        "attention.bias_v",
        "attention.out_proj.bias",
        "ln_f.weight",
        "ln_f.bias",
    }


def test_embeddings_by_option():
    assert "wte.weight" in split_parameters(Transformer(), "matrices", False).exempt
    assert split_parameters(nn.EmbeddingBag(5, 3), "matrices", False).exempt == ("weight",)


@pytest.mark.parametrize("decay_embeddings", [True, False])
def test_a_tied_parameter_is_in_one_group_once(decay_embeddings):
    groups = split_parameters(Tied(), "matrices", decay_embeddings)
    every = groups.decayed + groups.exempt
    assert every.count("wte.weight") == 1
    assert "lm_head.weight" not in every
    assert ("wte.weight" in groups.decayed) == decay_embeddings


@pytest.mark.parametrize("decay", ["all", "matrices", "none"])
@pytest.mark.parametrize("model", [MLP, CNN, Transformer(), Tied(), nn.LSTM(3, 4)], ids=lambda m: type(m).__name__)
def test_every_parameter_is_in_exactly_one_group(model, decay):
    decayed, exempt = split_parameters(model, decay, True)
    assert sorted(decayed + exempt) == sorted(dict(model.named_parameters()))
    assert decay != "all" or not exempt
    assert decay != "none" or not decayed


def test_frozen_parameters_are_left_out():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[0].requires_grad_(False)
    assert split_parameters(model, "all", True) == (("1.weight", "1.bias"), ())


def test_every_norm_class_of_torch_is_exempt():
    # Made with a two-dimensional affine parameter, so that only the module's type can tell.
    norms = [getattr(nn, name) for name in dir(nn) if name.endswith("Norm") or "Norm1d" in name]
    norms += [nn.BatchNorm2d, nn.BatchNorm3d, nn.InstanceNorm2d, nn.InstanceNorm3d]
    assert len(norms) >= 10
    for norm in norms:
        module = norm.__new__(norm)
        nn.Module.__init__(module)
        module.weight = nn.Parameter(torch.ones(3, 3))
        assert split_parameters(module, "matrices", True).exempt == ("weight",), norm


@pytest.mark.parametrize("model", [MLP, Transformer(), nn.LSTM(3, 4), CNN], ids=lambda m: type(m).__name__)
def test_agrees_with_transformers_on_modules_that_its_rule_covers(model):
    # Its rule: the listed module types, and names that contain "bias". It misses bare 1-D parameters.
    norms = [nn.LayerNorm, nn.RMSNorm, nn.BatchNorm2d, nn.GroupNorm]
    theirs = set(get_parameter_names(model, norms, ["bias"])) & set(dict(model.named_parameters()))
    assert set(split_parameters(model, "matrices", True).decayed) == theirs - {"temperature"}


def bert(cls: type[nn.Module]) -> nn.Module:
    """Return a real BERT of two layers with 16 units and random weights."""
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    return cls(BertConfig(vocab_size=50, max_position_embeddings=20, **sizes))


def test_bert():
    model = bert(BertModel)
    decayed, exempt = split_parameters(model, "matrices", True)
    assert set(exempt) == {
        name for name in dict(model.named_parameters()) if name.endswith("bias") or "LayerNorm" in name
    }
    assert set(decayed) == set(Trainer.get_decay_parameter_names(None, model))
    assert len(decayed) == 3 + 2 * 6 + 1
    tables = {f"embeddings.{name}_embeddings.weight" for name in ("word", "position", "token_type")}
    assert set(decayed) - set(split_parameters(model, "matrices", False).decayed) == tables


def test_layer_groups_of_an_mlp_and_a_cnn():
    assert find_layer_groups(MLP) == ((("0",),), "2")
    assert find_layer_groups(CNN) == ((("0", "1", "2"),), "3")  # norms belong to the group before them


def test_layer_groups_of_a_bert():
    body, head = find_layer_groups(bert(BertForSequenceClassification))
    layers = tuple((f"bert.encoder.layer.{i}",) for i in range(2))
    assert (body, head) == ((("bert.embeddings",), *layers, ("bert.pooler",)), "classifier")


def test_the_head_by_name_may_be_registered_first_and_a_norm_at_the_end_is_no_head():
    model = nn.Module()
    model.head = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model.stem = nn.Linear(2, 2)
    model.blocks = nn.ModuleList([nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)), nn.Linear(2, 2)])
    model.norm = nn.LayerNorm(2)
    assert find_layer_groups(model) == ((("stem",), ("blocks.0",), ("blocks.1", "norm")), "head")
    assert find_layer_groups(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.LayerNorm(2))).head == "1"


def test_a_model_without_submodules_is_its_own_head():
    assert find_layer_groups(nn.LSTM(3, 4)) == ((), "")
    assert set(lr_scales(nn.LSTM(3, 4), ParameterGroups(layer_decay=0.5, head_lr_scale=3.0)).values()) == {3.0}


def test_layer_wise_rates_of_a_bert():
    model = bert(BertForSequenceClassification)
    scales = lr_scales(model, ParameterGroups(layer_decay=0.5, head_lr_scale=7.0))
    assert scales["bert.embeddings.LayerNorm.bias"] == 0.5**4
    assert scales["bert.encoder.layer.0.output.dense.weight"] == 0.5**3
    assert scales["bert.encoder.layer.1.output.dense.weight"] == 0.5**2
    assert scales["bert.pooler.dense.weight"] == 0.5
    assert scales["classifier.weight"] == scales["classifier.bias"] == 7.0


def test_parameters_outside_all_groups_count_with_the_first():
    model = nn.Module()
    model.token = nn.Parameter(torch.zeros(1, 1, 4))
    model.layers = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])
    model.head = nn.Linear(4, 2)
    scales = lr_scales(model, ParameterGroups(layer_decay=0.5))
    assert (scales["token"], scales["layers.0.weight"], scales["layers.1.weight"]) == (0.25, 0.25, 0.5)


def test_the_groups_of_an_optimizer_hold_every_parameter_once_at_its_rate_and_decay():
    model = bert(BertForSequenceClassification)
    choice = ParameterGroups(layer_decay=0.5, head_lr_scale=7.0)
    optimizer = build_optimizer(AdamW(lr=0.1, weight_decay=0.3), model, choice)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    scales, decayed = lr_scales(model, choice), split_parameters(model, "matrices", True).decayed
    seen = []
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            name = names[id(parameter)]
            seen.append(name)
            assert group["lr_scale"] == scales[name]
            assert group["lr"] == pytest.approx(0.1 * scales[name])
            assert group["weight_decay"] == (0.3 if name in decayed else 0.0)
    assert sorted(seen) == sorted(names.values())
    assert len(optimizer.param_groups) == 2 * 5


def test_the_default_groups_are_the_two_of_decay_at_full_rate():
    optimizer = build_optimizer(SGD(), MLP)
    assert [(len(g["params"]), g["lr_scale"], g["lr"]) for g in optimizer.param_groups] == [(2, 1.0, 0.1)] * 2


def test_frozen_parameters_do_not_train():
    model = bert(BertForSequenceClassification)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = build_optimizer(SGD(), model, ParameterGroups(frozen=("bert.embeddings", "bert.encoder.layer.0")))
    tokens = torch.tensor([[1, 2, 3]])
    model(tokens, labels=torch.tensor([1])).loss.backward()
    optimizer.step()
    frozen = {name for name, parameter in model.named_parameters() if torch.equal(before[name], parameter)}
    assert frozen >= {name for name in before if name.startswith(("bert.embeddings.", "bert.encoder.layer.0."))}
    assert {name for name in before if "layer.1" in name and name.endswith("weight")}.isdisjoint(frozen)
    held = sum(len(group["params"]) for group in optimizer.param_groups)
    assert held == sum(parameter.requires_grad for parameter in model.parameters()) < len(before)


def test_a_frozen_prefix_ends_at_a_dot():
    model = nn.Sequential(*[nn.Linear(1, 1) for _ in range(11)])
    build_optimizer(SGD(), model, ParameterGroups(frozen=("1", "2.weight")))
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    assert frozen == {"1.weight", "1.bias", "2.weight"}


@pytest.mark.parametrize(
    ("frozen", "message"),
    [
        (("bodi",), r"groups\.frozen: the model has no parameter under 'bodi'; did you mean body\?"),
        (("body.wait",), r"no parameter under 'body.wait'; did you mean body.weight\? valid: body.weight, body.bias$"),
        (("body", "head"), r"groups\.frozen: body, head leaves no parameter to train"),
    ],
)
def test_what_cannot_be_frozen(frozen, message):
    model = nn.Module()
    model.body, model.head = nn.Linear(1, 1), nn.Linear(1, 1)
    with pytest.raises(UsageError, match=message):
        build_optimizer(SGD(), model, ParameterGroups(frozen=frozen))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("0.weight", {"0.parametrizations.weight.original0", "0.parametrizations.weight.original1"}),
        ("0", {"0.bias", "0.parametrizations.weight.original0", "0.parametrizations.weight.original1"}),
        ("1.weight", {"1.parametrizations.weight.original"}),
        ("0.parametrizations.weight.original0", {"0.parametrizations.weight.original0"}),
    ],
)
def test_a_parametrized_weight_is_frozen_under_its_plain_name(name, expected):
    model = parametrized()
    build_optimizer(SGD(), model, ParameterGroups(frozen=(name,)))
    assert {name for name, parameter in model.named_parameters() if not parameter.requires_grad} == expected


def parametrized() -> nn.Sequential:
    normed = [parametrizations.weight_norm(nn.Linear(2, 2)), parametrizations.spectral_norm(nn.Linear(2, 2))]
    return nn.Sequential(*normed, nn.Linear(2, 2))


def test_a_layer_with_parametrizations_is_one_layer():
    model = parametrized()
    assert find_layer_groups(model) == ((("0",), ("1",)), "2")
    scales = lr_scales(model, ParameterGroups(layer_decay=0.5))
    assert {name.partition(".")[0]: scale for name, scale in scales.items()} == {"0": 0.25, "1": 0.5, "2": 1.0}
    assert [scales["0.bias"], scales["1.bias"]] == [0.25, 0.5]


class SharedMatrix(nn.Module):
    """Model whose matrix has two names."""

    def __init__(self, second: str) -> None:
        super().__init__()
        self.first = nn.Linear(3, 3, bias=False)
        self.between = nn.Linear(3, 3)
        self.add_module(second, nn.Linear(3, 3))
        self.get_submodule(second).weight = self.first.weight
        self.last = nn.Linear(3, 3)


@pytest.mark.parametrize("name", ["first", "first.weight", "second", "second.weight"])
def test_a_shared_parameter_is_frozen_under_each_of_its_names(name):
    model = SharedMatrix("second")
    build_optimizer(SGD(), model, ParameterGroups(frozen=(name,)))
    frozen = {name for name, p in model.named_parameters(remove_duplicate=False) if not p.requires_grad}
    assert frozen == {"first.weight", "second.weight"} | ({"second.bias"} if name == "second" else set())


def test_muon_leaves_a_matrix_that_is_shared_with_the_head_to_adamw():
    model = SharedMatrix("head")
    muon, adamw = build_optimizer(Muon(), model).parts
    hidden = {id(p) for group in muon.param_groups for p in group["params"]}
    assert hidden == {id(model.between.weight), id(model.last.weight)}
    assert id(model.first.weight) in {id(p) for group in adamw.param_groups for p in group["params"]}
