import itertools
import subprocess
import sys

import pytest
import torch
from torch import nn

from search_spaces.errors import CheckpointError
from search_spaces.recipe.averaging import EMA, SWA, Best
from search_spaces.recipe.optimizers import SGD, Adam, AdamW, Lookahead, ScheduleFreeAdamW
from search_spaces.recipe.recipe import Budget, Patience, Precision, Recipe, Regularization, Signals, Switch
from search_spaces.recipe.schedules import Constant, Cosine, Linear, Plateau, WeightDecaySchedule
from trainers.loop import augmentation
from trainers.loop.training import Training
from trainers.optim.schedules import factor
from trainers.reports import EpochReport, Position
from trainers.storage import checkpoints
from trainers.storage.local import LocalFolder

RECIPES = {
    "adamw": Recipe(
        optimizer=AdamW(lr=0.02, weight_decay=0.1),
        schedule=Cosine(warmup=0.2),
        regularization=Regularization(dropout=0.3, label_smoothing=0.1, clip_norm=0.5),
        budget=Budget(epochs=5, batch_size=8, accumulation=3),
    ),
    "adam": Recipe(
        optimizer=Adam(lr=0.02),
        schedule=Linear(warmup_steps=3),
        regularization=Regularization(dropout=0.5),
        budget=Budget(epochs=5, batch_size=16),
    ),
    "sgd": Recipe(
        optimizer=SGD(lr=0.1),
        regularization=Regularization(dropout=0.2, clip_norm=1.0),
        budget=Budget(epochs=5, batch_size=16, accumulation=2),
    ),
    "plain_sgd": Recipe(
        optimizer=SGD(lr=0.1, momentum=0.0, nesterov=False),
        schedule=Constant(),
        budget=Budget(epochs=5, batch_size=16),
    ),
    "ema": Recipe(
        optimizer=AdamW(lr=0.02),
        regularization=Regularization(dropout=0.2, mixup=0.4, clip_value=0.01),
        averaging=EMA(decay=0.9, start=0.3),
        weight_decay_schedule=WeightDecaySchedule(kind="linear"),
        budget=Budget(epochs=5, batch_size=16),
    ),
    "swa": Recipe(
        optimizer=SGD(lr=0.1),
        switch=Switch(at=0.5, to=AdamW(lr=0.01)),  # in the middle of the third epoch
        regularization=Regularization(mixup=1.0, cutmix=1.0),
        averaging=SWA(last=0.8, lr=0.05),
        budget=Budget(epochs=5, batch_size=16),
    ),
    "best": Recipe(
        optimizer=SGD(lr=1.0, nesterov=False),  # too high: the best epoch is not the last one
        regularization=Regularization(dropout=0.2),
        averaging=Best(),
        signals=Signals(pruning=(0.5, 0.8), fgsm=(0.1,)),
        budget=Budget(epochs=5, batch_size=16),
    ),
    "schedule_free": Recipe(
        optimizer=ScheduleFreeAdamW(lr=0.02),
        switch=Switch(at=0.7, to=ScheduleFreeAdamW(lr=0.01)),
        lookahead=Lookahead(k=2),
        schedule=Constant(warmup=0.2),
        budget=Budget(epochs=5, batch_size=16),
    ),
    "plateau": Recipe(
        optimizer=SGD(lr=2.0, nesterov=False),  # too high, so that the loss stops improving
        schedule=Plateau(patience=0, gamma=0.5),
        patience=Patience(epochs=4),
        precision=Precision(kind="bf16", deterministic=True),
        signals=Signals(train_rescored=True),
        budget=Budget(epochs=5, batch_size=16),
    ),
}
TIMES = {"train/seconds", "train/samples_per_second"}
EVERY_EPOCH = {
    *("train/loss", "train/lr", "train/grad_norm", "train/grad_norm_max", "train/clip_rate"),
    *("train/grad_norm_layer_min", "train/grad_norm_layer_max", "train/update_ratio", "train/weight_norm"),
    *("train/near_zero", *TIMES),
    *("val/nll", "val/accuracy", "val/brier", "val/ece"),
}
SCORES = ("nll", "accuracy", "brier", "ece")
AT_THE_END = {
    *(f"test/{score}" for score in SCORES),
    *(f"{split}/{score}@temperature" for split in ("val", "test") for score in SCORES),
    "val/temperature",
}


def run(training: Training, epochs: int | None = None) -> list[EpochReport]:
    reports = []
    while not training.finished and len(reports) != epochs:
        reports.append(training.run_epoch())
    return reports


def values(reports: list[EpochReport]) -> list[dict[str, float]]:
    """Return everything that must be reproducible: all metrics except times."""
    return [{name: v for name, v in report.metrics.items() if name not in TIMES} for report in reports]


def same_weights(a: Training, b: Training) -> bool:
    return all(torch.equal(p, q) for p, q in zip(a.model.parameters(), b.model.parameters(), strict=True))


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_continues_bit_by_bit_from_a_file(recipe, blobs, tmp_path):
    whole = Training(recipe, blobs, seed=3)
    expected = run(whole)

    first = Training(recipe, blobs, seed=3)
    before = run(first, 2)
    checkpoints.save(LocalFolder(tmp_path), Position(first.epoch), first.state_dict())
    torch.rand(10)  # the caller draws from the global generator in between
    (epoch, _), state = checkpoints.latest(LocalFolder(tmp_path))
    second = Training(recipe, blobs, seed=3)
    second.load_state_dict(state)
    assert epoch == second.epoch == 2
    after = run(second)

    assert values(before + after) == values(expected)
    assert same_weights(whole, second)
    for a, b in zip(expected[-1].predictions, after[-1].predictions, strict=True):
        assert (a.split, a.weights) == (b.split, b.weights)
        assert a.nll.tobytes() == b.nll.tobytes()
        assert a.confidence.tobytes() == b.confidence.tobytes()


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_continues_bit_by_bit_from_every_step(recipe, blobs):
    whole, part = Training(recipe, blobs, seed=3), Training(recipe, blobs, seed=3)
    expected, found, positions = run(whole), [], []
    while not part.finished:
        report = part.advance(1)
        found += [] if report is None else [report]
        positions.append((part.epoch, part.step))
        torch.rand(10)  # the caller draws from the global generator in between
        state = checkpoints.decode(checkpoints.encode(part.state_dict()), "here")
        part = Training(recipe, blobs, seed=3)
        part.load_state_dict(state)
    assert positions == sorted(set(positions))
    assert len(positions) > 2 * len(found)
    assert values(found) == values(expected)
    assert same_weights(whole, part)
    for a, b in zip(expected[-1].predictions, found[-1].predictions, strict=True):
        assert (a.nll.tobytes(), a.confidence.tobytes()) == (b.nll.tobytes(), b.confidence.tobytes())


@pytest.mark.parametrize("name", ["adamw", "swa", "schedule_free"])
def test_numbers_do_not_depend_on_the_steps_per_call(name, blobs):
    expected, training, found = run(Training(RECIPES[name], blobs, seed=3)), Training(RECIPES[name], blobs, seed=3), []
    for call in itertools.count(1):
        if training.finished:
            break
        found.append(training.advance(call % 3 + 1))
        torch.rand(10)
    assert None in found
    assert values([report for report in found if report is not None]) == values(expected)


def test_a_position_of_another_training_is_refused(blobs):
    first = Training(RECIPES["sgd"], blobs, seed=3)
    assert first.advance(2) is None
    longer = RECIPES["sgd"].model_copy(update={"budget": Budget(epochs=5, batch_size=64)})
    with pytest.raises(CheckpointError, match="2 of 2 steps until a report"):
        Training(longer, blobs, seed=3).load_state_dict(first.state_dict())


SOME_EPOCHS = """
import sys, pathlib, torch
from trainers.reports import Position
from search_spaces.recipe.recipe import Budget, Recipe, Regularization
from trainers.storage import checkpoints
from trainers.storage.local import LocalFolder
from trainers.factory import open_training

torch.set_num_threads(1)
folder, epochs = LocalFolder(pathlib.Path(sys.argv[1])), int(sys.argv[2])
recipe = Recipe(regularization=Regularization(dropout=0.2, clip_norm=1.0), budget=Budget(epochs=4))
training = open_training("mnist1d_transfer", recipe, 11)
found = checkpoints.latest(folder)
if found:
    training.load_state_dict(found[1])
for _ in range(epochs):
    metrics = training.run_epoch().metrics
    print(sorted((name, value.hex()) for name, value in metrics.items() if "second" not in name))
checkpoints.save(folder, Position(training.epoch), training.state_dict())
"""


def test_continues_bit_by_bit_in_a_new_process(tmp_path, monkeypatch, capsys):
    def here(directory: str, epochs: int) -> list[str]:
        monkeypatch.setattr(sys, "argv", ["-c", str(tmp_path / directory), str(epochs)])
        exec(SOME_EPOCHS, {})
        return capsys.readouterr().out.splitlines()

    def elsewhere(directory: str, epochs: int) -> list[str]:
        command = [sys.executable, "-c", SOME_EPOCHS, str(tmp_path / directory), str(epochs)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

    assert here("parts", 1) + elsewhere("parts", 3) == here("whole", 4)


def test_two_trainings_that_take_turns_do_not_disturb_each_other(blobs):
    recipe = RECIPES["adamw"]
    alone = values(run(Training(recipe, blobs, 1)))
    a, b = Training(recipe, blobs, 1), Training(recipe, blobs, 2)
    taking_turns = []
    for _ in range(5):
        taking_turns.append(a.run_epoch())
        b.run_epoch()
    assert values(taking_turns) == alone


def test_the_callers_generator_is_untouched(blobs):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    run(Training(RECIPES["adamw"], blobs, 1))
    assert torch.equal(before, torch.get_rng_state())


class Recording(nn.Module):
    """Records every input that it is trained on, in order."""

    def __init__(self, inner: nn.Module, seen: list[torch.Tensor]) -> None:
        super().__init__()
        self.inner = inner
        self.seen = seen

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.seen.append(inputs.clone())
        return self.inner(inputs)


SWITCHES = {
    "dropout": {"regularization": Regularization(dropout=0.5)},
    "label_smoothing": {"regularization": Regularization(label_smoothing=0.2)},
    "clip_norm": {"regularization": Regularization(clip_norm=0.1)},
    "clip_value": {"regularization": Regularization(clip_value=0.1)},
    "drop_path": {"regularization": Regularization(drop_path=0.5)},
    "several": {"regularization": Regularization(dropout=0.1, label_smoothing=0.1, clip_norm=1.0, mixup=1.0)},
    "ema": {"averaging": EMA()},
    "swa": {"averaging": SWA(last=1.0)},
    "best": {"averaging": Best()},
    "pruning": {"signals": Signals(pruning=(0.5,))},
    "fgsm": {"signals": Signals(fgsm=(0.1,))},
    "patience": {"patience": Patience(epochs=2)},
    "switch": {"switch": Switch(to=SGD())},
    "bf16": {"precision": Precision(kind="bf16")},
    "deterministic": {"precision": Precision(deterministic=True)},
    "rescored": {"signals": Signals(train_rescored=True)},
    "weight_decay": {"weight_decay_schedule": WeightDecaySchedule(kind="cosine")},
    "scaling": {"budget": Budget(epochs=2, batch_size=16, lr_scaling="sqrt")},
}
MIXERS = {"mixup": Regularization(mixup=1.0), "cutmix": Regularization(cutmix=1.0)}


def unmixed(monkeypatch) -> None:
    """Record the order of the examples before mixing."""
    original = augmentation.Mixing.__call__

    def call(self, batch):
        original(self, batch)
        return augmentation.Mixed(batch.inputs, batch.targets, batch.targets, 1.0)

    monkeypatch.setattr(augmentation.Mixing, "__call__", call)


@pytest.mark.parametrize("switched_on", SWITCHES.values(), ids=SWITCHES)
def test_a_switch_moves_neither_weights_nor_split_nor_order(blobs, monkeypatch, switched_on):
    def observe(**parts):
        seen: list[torch.Tensor] = []
        recipe = Recipe(**{"budget": Budget(epochs=2, batch_size=16), **parts})
        with monkeypatch.context() as patch:
            original = type(blobs).model
            patch.setattr(type(blobs), "model", lambda self, r: Recording(original(self, r), seen))
            unmixed(patch)
            training = Training(recipe, blobs, seed=4)
            start = [p.detach().clone() for p in training.model.parameters()]
            run(training)
        return start, torch.cat(seen)

    plain_start, plain_order = observe()
    start, order = observe(**switched_on)
    assert all(torch.equal(p, q) for p, q in zip(plain_start, start, strict=True))
    assert torch.equal(plain_order, order)


@pytest.mark.parametrize("regularization", MIXERS.values(), ids=MIXERS)
def test_mixing_moves_no_other_stream(blobs, monkeypatch, regularization):
    """Mixing whose result is discarded does not change a training with dropout at all."""
    base = RECIPES["adamw"]
    plain = values(run(Training(base, blobs, 4), 2))
    unmixed(monkeypatch)
    mixing = base.regularization.model_copy(update={"mixup": regularization.mixup, "cutmix": regularization.cutmix})
    assert values(run(Training(base.model_copy(update={"regularization": mixing}), blobs, 4), 2)) == plain


def test_every_example_once_per_epoch_in_a_new_order(blobs, monkeypatch):
    seen: list[torch.Tensor] = []
    original = type(blobs).model
    monkeypatch.setattr(type(blobs), "model", lambda self, r: Recording(original(self, r), seen))
    training = Training(Recipe(budget=Budget(epochs=2, batch_size=16)), blobs, seed=0)
    run(training)
    first, second = torch.cat(seen).split(70)
    assert not torch.equal(first, second)
    assert torch.equal(first.sort(dim=0).values, second.sort(dim=0).values)


def test_different_seeds_differ(blobs):
    a, b = Training(RECIPES["sgd"], blobs, 0), Training(RECIPES["sgd"], blobs, 1)
    assert not same_weights(a, b)
    assert values(run(a)) != values(run(b))


@pytest.mark.parametrize("kind", ["adamw", "sgd"])
@pytest.mark.parametrize(("batch", "accumulation"), [(8, 4), (16, 2), (3, 10), (1, 32)])
def test_accumulation_equals_the_large_batch(blobs, kind, batch, accumulation):
    # 70 examples in steps of about 32: the last step, and the last micro-batch of it, are smaller than the others.
    size = batch * accumulation
    base = RECIPES[kind].model_copy(update={"regularization": Regularization(label_smoothing=0.1, clip_norm=0.5)})
    one = base.model_copy(update={"budget": Budget(epochs=3, batch_size=size)})
    many = base.model_copy(update={"budget": Budget(epochs=3, batch_size=batch, accumulation=accumulation)})
    a, b = Training(one, blobs, 0), Training(many, blobs, 0)
    for x, y in zip(values(run(a)), values(run(b)), strict=True):
        assert x == pytest.approx(y, rel=1e-3, abs=1e-4)
    for p, q in zip(a.model.parameters(), b.model.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-3, atol=1e-4)


def test_equal_to_a_plain_loop(blobs):
    """Compare with the same training, written with torch only."""
    recipe = Recipe(
        optimizer=AdamW(lr=0.02, weight_decay=0.1, decay="all"),
        schedule=Cosine(),
        regularization=Regularization(label_smoothing=0.1, clip_norm=0.7),
        budget=Budget(epochs=3, batch_size=10),
    )
    training = Training(recipe, blobs, 0)
    model = blobs.model(recipe)
    model.load_state_dict(training.model.state_dict())
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02, weight_decay=0.1, foreach=False)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=21)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)

    from search_spaces.seeds import derive_seed
    from trainers.seeding import seed_for, stream

    train = blobs.data(seed_for(blobs, derive_seed(0, "split"))).train
    for epoch in range(3):
        report = training.run_epoch()
        losses, norms = [], []
        for indices in torch.randperm(70, generator=stream(0, "order", epoch)).split(10):
            loss = criterion(model(train.inputs[indices]), train.targets[indices])
            loss.backward()
            norms.append(nn.utils.clip_grad_norm_(model.parameters(), 0.7).item())
            rate = optimizer.param_groups[0]["lr"]
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            losses.append(loss.item())
        assert report.metrics["train/loss"] == pytest.approx(sum(losses) / 7, rel=1e-5)
        assert report.metrics["train/lr"] == pytest.approx(rate, rel=1e-9)
        assert report.metrics["train/grad_norm"] == pytest.approx(sum(norms) / 7, rel=1e-4)
        assert report.metrics["train/grad_norm_max"] == pytest.approx(max(norms), rel=1e-4)
        assert report.metrics["train/clip_rate"] == sum(norm > 0.7 for norm in norms) / 7
    for p, q in zip(training.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-4, atol=1e-6)


def test_metrics_of_every_epoch_and_of_the_last(blobs):
    training = Training(RECIPES["plain_sgd"], blobs, 0)
    assert (training.epoch, training.finished) == (0, False)
    reports = run(training)
    assert (training.epoch, training.finished) == (5, True)
    assert [report.epoch for report in reports] == [1, 2, 3, 4, 5]
    for report in reports:
        last = report.epoch == 5
        assert set(report.metrics) == EVERY_EPOCH | (AT_THE_END if last else set())
        assert [(p.split, p.weights, len(p.label)) for p in report.predictions] == (
            [("val", "raw", 30), ("test", "raw", 30), ("test", "temperature", 30)] if last else []
        )
        assert report.finite
        assert report.seconds == report.metrics["train/seconds"] > 0
        assert report.metrics["train/clip_rate"] == 0.0


def test_the_rate_follows_the_schedule_of_the_full_budget(blobs):
    recipe = RECIPES["adamw"]
    steps = 3  # 70 examples in steps of 24
    for report in run(Training(recipe, blobs, 0), 3):
        expected = 0.02 * factor(recipe.schedule, report.epoch * steps - 1, 5 * steps)
        assert report.metrics["train/lr"] == expected


def test_a_divergence_is_reported_not_raised(blobs):
    recipe = Recipe(optimizer=SGD(lr=1e30, momentum=0.0, nesterov=False), schedule=Constant(), budget=Budget(epochs=3))
    reports = run(Training(recipe, blobs, 0))
    assert not reports[-1].finite
    assert len(reports) == 3


def test_a_snapshot_shares_nothing_with_the_training(blobs):
    training = Training(RECIPES["adamw"], blobs, 0)
    run(training, 2)
    state = training.state_dict()
    expected = values(run(training, 1))
    for _ in range(2):  # twice: a training that was loaded must not write into the snapshot either
        again = Training(RECIPES["adamw"], blobs, 0)
        again.load_state_dict(state)
        assert values(run(again, 1)) == expected


def test_a_snapshot_holds_only_what_the_safe_loader_reads(blobs, tmp_path):
    for index, recipe in enumerate(RECIPES.values()):
        training = Training(recipe, blobs, 0)
        for epoch in range(2):
            checkpoints.save(LocalFolder(tmp_path / str(index)), Position(epoch), training.state_dict())
            training.run_epoch()


@pytest.mark.parametrize("state", [{}, {"epoch": 1, "model": {}, "optimizer": {}}, {"epoch": None}])
def test_a_snapshot_of_something_else_is_refused(blobs, state):
    with pytest.raises(CheckpointError, match="not a checkpoint of this training"):
        Training(RECIPES["adamw"], blobs, 0).load_state_dict(state)


def test_it_learns(blobs):
    recipes = itertools.islice(RECIPES.values(), 3)
    for recipe in recipes:
        longer = recipe.model_copy(update={"budget": Budget(epochs=40, batch_size=16)})
        reports = run(Training(longer, blobs, 0))
        assert reports[-1].metrics["train/loss"] < 0.8 * reports[0].metrics["train/loss"]
