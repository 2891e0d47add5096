import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from search_spaces.recipe.optimizers import SGD
from search_spaces.recipe.recipe import Budget, Recipe, Signals
from trainers.evaluation.evaluate import logits, per_example
from trainers.evaluation.pruning import pruned_copy
from trainers.loop.training import Training


class Everything(nn.Module):
    """Model with one layer of every kind, including a tied pair of matrices."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 8)
        self.conv = nn.Conv1d(8, 6, 3)
        self.norm = nn.BatchNorm1d(6)
        self.gru = nn.GRU(6, 5)
        self.layer_norm = nn.LayerNorm([5])
        self.linear = nn.Linear(5, 8)
        self.head = nn.Linear(8, 11)
        self.head.weight = self.embedding.weight
        for parameter in self.parameters():
            nn.init.normal_(parameter)


PRUNED = [("conv", "weight"), ("gru", "weight_ih_l0"), ("gru", "weight_hh_l0"), ("linear", "weight")]


def reference(model: nn.Module, fraction: float) -> dict[str, torch.Tensor]:
    """Return the weights after torch's own global pruning."""
    parts = [(model.get_submodule(module), name) for module, name in PRUNED]
    prune.global_unstructured(parts, pruning_method=prune.L1Unstructured, amount=fraction)
    for part in parts:
        prune.remove(*part)
    return model.state_dict()


@pytest.mark.parametrize("fraction", [0.001, 0.1, 0.5, 0.8, 0.999])
@pytest.mark.parametrize("frozen", [False, True])
def test_equal_to_torchs_own_pruning(fraction, frozen):
    torch.manual_seed(3)
    model = Everything()
    if frozen:
        model.gru.requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    sparse = pruned_copy(model, fraction)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    # GRU keeps a list of its weights that torch's pruning does not know of; only a copy of the numbers is compared.
    expected = reference(model, fraction)
    assert {name for name, value in sparse.state_dict().items() if not torch.equal(value, before[name])} <= {
        ".".join(part) for part in PRUNED
    }
    for name, value in sparse.state_dict().items():
        assert torch.equal(value, expected[name]), name


def test_a_model_without_matrices_stays_as_it_is():
    model = nn.Sequential(nn.Embedding(5, 3), nn.LayerNorm(3))
    assert torch.equal(pruned_copy(model, 0.5)[0].weight, model[0].weight)


def test_ties_are_cut_at_the_share():
    model = nn.Linear(10, 10)
    nn.init.ones_(model.weight)
    assert (pruned_copy(model, 0.3).weight == 0).sum() == 30


def test_the_last_epoch_scores_the_pruned_copies(blobs):
    recipe = Recipe(optimizer=SGD(lr=0.1), signals=Signals(pruning=(0.5, 0.95)), budget=Budget(epochs=3, batch_size=16))
    training = Training(recipe, blobs, 0)
    reports = [training.run_epoch() for _ in range(3)]
    assert not any("pruned" in name for report in reports[:2] for name in report.metrics)
    for percent in (50, 95):
        sparse = pruned_copy(training.model, percent / 100)
        for split in ("val", "test"):
            examples = getattr(training._data, split)
            expected = per_example(logits(sparse, examples), examples.targets).metrics(split, f"pruned{percent}")
            assert expected.items() <= reports[-1].metrics.items()
    assert reports[-1].metrics["test/nll@pruned95"] != reports[-1].metrics["test/nll"]
    assert not any("pruned" in part.weights for part in reports[-1].predictions)
