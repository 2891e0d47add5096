import pytest
import torch
from torch import nn

from search_spaces.errors import UsageError
from search_spaces.recipe.optimizers import SGD
from search_spaces.recipe.recipe import Budget, Precision, Recipe, Regularization, Signals
from trainers.evaluation.fgsm import gradient_signs
from trainers.loop.training import Training
from trainers.task_checks import prepare
from trainers.tasks import Split

RECIPE = Recipe(
    optimizer=SGD(lr=0.1),
    regularization=Regularization(dropout=0.3),
    signals=Signals(fgsm=(0.05, 0.5)),
    budget=Budget(epochs=6, batch_size=16),
)


def trained(recipe: Recipe, blobs):
    training = Training(recipe, blobs, 0)
    while not training.finished:
        report = training.run_epoch()
    return training, report


@pytest.mark.parametrize("kind", ["fp32", "bf16"])
def test_equal_to_a_computation_by_hand(blobs, kind):
    training, report = trained(RECIPE.model_copy(update={"precision": Precision(kind=kind)}), blobs)
    model = training.model.eval()  # fp32 weights, no dropout
    for split in ("val", "test"):
        examples = getattr(training._data, split)
        inputs = examples.inputs.clone().requires_grad_(True)
        nn.functional.cross_entropy(model(inputs), examples.targets).backward()
        for epsilon in (0.05, 0.5):
            with torch.no_grad():
                logits = model(examples.inputs + epsilon * inputs.grad.sign())
            accuracy = (logits.argmax(1) == examples.targets).double().mean().item()
            loss = nn.functional.cross_entropy(logits, examples.targets).item()
            assert report.metrics[f"{split}/accuracy@fgsm{epsilon}"] == accuracy
            assert report.metrics[f"{split}/nll@fgsm{epsilon}"] == pytest.approx(loss, rel=1e-5)


def test_a_larger_attack_hurts_more(blobs):
    _, report = trained(RECIPE, blobs)
    accuracy = [report.metrics[f"test/accuracy{end}"] for end in ("", "@fgsm0.05", "@fgsm0.5")]
    assert accuracy[0] >= accuracy[1] > accuracy[2]
    loss = [report.metrics[f"test/nll{end}"] for end in ("", "@fgsm0.05", "@fgsm0.5")]
    assert loss[0] < loss[1] < loss[2]


@pytest.mark.parametrize("recurrent", [False, True])
def test_model_and_data_stay_as_they_are(recurrent):
    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gru = nn.GRU(1, 4, batch_first=True)

        def forward(self, inputs):
            return self.gru(inputs.unsqueeze(-1))[0][:, -1]

    model = nn.Sequential(nn.Dropout(0.5), Last() if recurrent else nn.Linear(6, 4))
    split = Split(torch.randn(9, 6), torch.arange(9) % 4)
    before = split.inputs.clone()
    signs = gradient_signs(model, split)
    assert signs.shape == (9, 6)
    assert set(signs.unique().tolist()) <= {-1.0, 0.0, 1.0}
    assert torch.equal(signs, gradient_signs(model, split))  # no dropout
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(split.inputs, before)
    assert not split.inputs.requires_grad


class Words:
    classes = 3

    def data(self, seed):
        from trainers.tasks import Data

        every = Split(torch.arange(30).reshape(30, 1) % 7, torch.arange(30) % 3)
        return Data(every, every, every)

    def model(self, recipe):
        return nn.Sequential(nn.Embedding(7, 3), nn.Flatten())


def test_whole_numbers_are_refused_before_the_training(monkeypatch):
    words = r"signals.fgsm needs float inputs, found inputs int64 \(30, 1\); set it to \[\]"
    with pytest.raises(UsageError, match=words):
        Training(RECIPE, Words(), 0)
    monkeypatch.setattr("trainers.task_checks.load_target", lambda reference: Words())
    with pytest.raises(UsageError, match=words):
        prepare("mine:Words", RECIPE, 0)
    plain = RECIPE.model_copy(update={"signals": Signals()})
    prepare("mine:Words", plain, 0)
    assert Training(plain, Words(), 0).run_epoch().finite


def test_the_signs_do_not_depend_on_how_many_are_perturbed_at_once():
    model, split = nn.Linear(4, 3), Split(torch.randn(10, 4), torch.zeros(10, dtype=torch.long))
    assert torch.equal(gradient_signs(model, split, 3), gradient_signs(model, split))
