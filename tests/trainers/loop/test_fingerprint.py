import pytest
import torch
from torch import nn

from search_spaces.recipe.averaging import EMA, SWA, Best
from search_spaces.recipe.model import Model
from search_spaces.recipe.optimizers import SGD, AdamW, ScheduleFreeAdamW
from search_spaces.recipe.recipe import Budget, Patience, Precision, Recipe, Regularization, Signals
from trainers.factory import open_training
from trainers.loop.fingerprint import data_digests, fingerprint
from trainers.loop.training import Training
from trainers.loop.user_loop import UserLoopTraining
from trainers.seeding import stream
from trainers.tasks import Data, Split

BASE = Recipe(optimizer=AdamW(), budget=Budget(epochs=2, batch_size=16))
SAME = {
    "optimizer": {"optimizer": SGD(lr=0.5)},
    "schedule_free": {"optimizer": ScheduleFreeAdamW()},
    "regularization": {"regularization": Regularization(dropout=0.5, mixup=1.0, clip_norm=1.0, label_smoothing=0.1)},
    "ema": {"averaging": EMA()},
    "swa": {"averaging": SWA()},
    "best": {"averaging": Best()},
    "patience": {"patience": Patience(epochs=1)},
    "precision": {"precision": Precision(kind="bf16")},
    "signals": {"signals": Signals(pruning=(0.5,), fgsm=(0.1,))},
    "budget": {"budget": Budget(epochs=9, batch_size=8, accumulation=2)},
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_a_pair_agrees_in_everything(blobs, change):
    expected = Training(BASE, blobs, 1).fingerprint
    assert Training(BASE.model_copy(update=change), blobs, 1).fingerprint == expected
    assert set(expected) == {"weights", "order", "split"}
    assert all(len(bytes.fromhex(digest)) == 16 for digest in expected.values())


def test_another_seed_differs_in_everything(blobs):
    one, other = Training(BASE, blobs, 1).fingerprint, Training(BASE, blobs, 2).fingerprint
    assert all(one[name] != other[name] for name in one)


def test_other_initial_weights_differ_in_the_weights_alone():
    plain = open_training("digits", BASE, 1).fingerprint
    he = open_training("digits", BASE.model_copy(update={"model": Model(init="he")}), 1).fingerprint
    assert {name for name in plain if plain[name] != he[name]} == {"weights"}


def test_it_is_of_the_start_whatever_is_trained_or_loaded(blobs):
    training = Training(BASE, blobs, 1)
    before = dict(training.fingerprint)
    training.run_epoch()
    assert training.fingerprint == before
    again = Training(BASE, blobs, 1)
    again.load_state_dict(training.state_dict())
    assert again.fingerprint == before


def test_the_order_is_the_one_that_is_trained_in(blobs, monkeypatch):
    training = Training(BASE, blobs, 1)
    start = fingerprint(training.model, torch.randperm(70, generator=stream(1, "order", 0)), training._data)
    assert training.fingerprint == start
    taken = []
    original = Split.take
    monkeypatch.setattr(Split, "take", lambda self, indices: taken.append(indices) or original(self, indices))
    training.run_epoch()
    assert fingerprint(training.model, torch.cat(taken), training._data)["order"] == training.fingerprint["order"]


def digests(model: nn.Module) -> str:
    split = Split(torch.zeros(2), torch.zeros(2, dtype=torch.int64))
    return fingerprint(model, torch.arange(2), Data(split, split, split))["weights"]


def test_buffers_names_types_and_shapes_count():
    model = nn.BatchNorm1d(4)
    expected = digests(model)
    model.running_mean[2] = 1e-7
    assert digests(model) != expected
    model.running_mean[2] = 0.0
    assert digests(model) == expected
    assert digests(nn.ParameterDict({"a": torch.zeros(2, 3)})) != digests(nn.ParameterDict({"a": torch.zeros(3, 2)}))
    assert digests(nn.ParameterDict({"a": torch.zeros(2)})) != digests(nn.ParameterDict({"b": torch.zeros(2)}))
    assert digests(nn.Linear(2, 2).bfloat16()) != expected
    torch.manual_seed(0)
    one = nn.Linear(3, 3)
    turned = nn.Linear(3, 3)
    turned.weight = nn.Parameter(one.weight.detach().T.contiguous().T)  # the same numbers, laid out otherwise
    turned.bias = one.bias
    assert digests(one) == digests(turned)


def test_every_target_counts():
    def split(*targets: int) -> Split:
        return Split(torch.zeros(len(targets)), torch.tensor(targets))

    def digest(*parts: Split) -> str:
        return fingerprint(nn.Linear(1, 1), torch.arange(2), Data(*parts))["split"]

    found = {
        digest(split(0, 1), split(1), split(0)),
        digest(split(0), split(1, 1), split(0)),
        digest(split(0, 1), split(1), split(1)),
        digest(split(0, 1), split(0), split(0)),
    }
    assert len(found) == 4


def test_of_a_users_loop_nothing_is_known():
    assert UserLoopTraining(lambda config, seed, state=None: iter(()), BASE, 0).fingerprint == {}


def splits(inputs, targets=None):
    targets = torch.arange(len(inputs)) % 3 if targets is None else targets
    return Data(*(Split(inputs, targets) for _ in range(3)))


INPUTS = torch.randn(500, 40, generator=torch.Generator().manual_seed(0))


def test_the_digests_of_data_do_not_depend_on_last_digits():
    digests = data_digests(splits(INPUTS))
    assert set(digests) == {"train", "val", "test"}
    noise = 1 + 1e-7 * torch.randn(INPUTS.shape, generator=torch.Generator().manual_seed(1))
    assert data_digests(splits(INPUTS * noise)) == digests
    zeros = torch.zeros(9, 2)
    assert data_digests(splits(-zeros)) == data_digests(splits(zeros))


@pytest.mark.parametrize(
    "other",
    [
        splits(INPUTS * 1.5),
        splits(INPUTS + 1),
        splits(INPUTS.roll(1, 0)),
        splits(INPUTS[:-1]),
        splits(INPUTS.reshape(500, 8, 5)),
        splits(INPUTS, torch.arange(1, 501) % 3),
        splits((10 * INPUTS).long()),
    ],
)
def test_other_data_has_other_digests(other):
    digests, found = data_digests(splits(INPUTS)), data_digests(other)
    assert all(found[name] != digests[name] for name in digests)


def test_integers_are_compared_exactly():
    tokens = torch.arange(60).reshape(20, 3)
    assert data_digests(splits(tokens + (tokens == 7))) != data_digests(splits(tokens))
