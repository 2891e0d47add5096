import pytest
import torch
from torch import nn
from transformers.trainer_pt_utils import get_parameter_names

from trainers.param_groups import split_parameters


class Transformer(nn.Module):
    """A block with misleading names: no pattern that looks for "norm" finds `ln_f` or `first`."""

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
