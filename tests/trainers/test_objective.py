"""Tasks with a loss, metrics and an augmentation of their own, compared with plain torch."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from search_spaces.errors import RunError, UsageError
from search_spaces.recipe.averaging import EMA, Best
from search_spaces.recipe.optimizers import SGD, AdamW
from search_spaces.recipe.recipe import Budget, Patience, Precision, Recipe, Regularization, Signals
from search_spaces.recipe.reported import epoch_metrics, final_metrics
from search_spaces.recipe.schedules import Constant
from search_spaces.seeds import derive_seed
from tests.own_tasks import Labels, Line, MeanLine, NoisyLine, Weighted
from trainers.loop.training import Training
from trainers.objective import Objective, objective_of
from trainers.reports import EpochReport
from trainers.seeding import data_order, global_stream, seed_for
from trainers.storage import checkpoints
from trainers.task import Task
from trainers.tasks.characters import Characters

PLAIN = Recipe(
    optimizer=SGD(lr=0.05, momentum=0.0, nesterov=False, weight_decay=0.0),
    schedule=Constant(),
    budget=Budget(epochs=3, batch_size=16),
)
RICH = Recipe(
    optimizer=AdamW(lr=0.02),
    regularization=Regularization(dropout=0.2, clip_norm=1.0),
    averaging=EMA(decay=0.9),
    signals=Signals(pruning=(0.5,), train_rescored=True),
    budget=Budget(epochs=2, batch_size=8, accumulation=3),
)
TASKS: dict[str, Task] = {"regression": NoisyLine(), "labels": Labels(), "weighted": Weighted()}


def run(training: Training) -> list[EpochReport]:
    reports = []
    while not training.finished:
        reports.append(training.run_epoch())
    return reports


def plain_torch(task: Task, loss_of, seed: int, recipe: Recipe = PLAIN) -> tuple[list[float], list[float]]:
    """Train with a loop written by hand; return the losses on train and val of each epoch."""
    data = task.data(seed_for(task, derive_seed(seed, "split")))
    with global_stream(seed, "init"):
        model = task.model(recipe)
    optimizer = torch.optim.SGD(model.parameters(), lr=recipe.optimizer.lr)
    on_train, on_val = [], []
    for epoch in range(recipe.budget.epochs):
        total = 0.0
        for indices in data_order(len(data.train), seed, epoch).split(recipe.budget.batch_size):
            loss = loss_of(model(data.train.inputs[indices]), data.train.targets[indices])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(indices)
        on_train.append(total / len(data.train))
        with torch.no_grad():
            on_val.append(loss_of(model(data.val.inputs), data.val.targets).item())
    return on_train, on_val


@pytest.mark.parametrize(
    ("task", "loss_of"),
    [
        (Line(), functional.mse_loss),
        (MeanLine(), functional.mse_loss),
        (Labels(), functional.binary_cross_entropy_with_logits),
        (
            Weighted(),
            lambda outputs, targets: functional.cross_entropy(
                outputs, targets, Weighted.weights, reduction="none"
            ).mean(),
        ),
    ],
    ids=["regression", "mean", "labels", "weighted"],
)
def test_losses_are_those_of_a_loop_in_plain_torch(task, loss_of):
    reports = run(Training(PLAIN, task, 7))
    on_train, on_val = plain_torch(task, loss_of, 7)
    assert [one.metrics["train/loss"] for one in reports] == pytest.approx(on_train, rel=1e-5)
    assert [one.metrics["val/loss"] for one in reports] == pytest.approx(on_val, rel=1e-5)


def test_a_mean_counts_every_example_once_in_micro_batches_of_different_sizes():
    budget = Budget(epochs=2, batch_size=7, accumulation=3)  # 90 examples: the last micro-batch has 6
    one, other = (run(Training(PLAIN.model_copy(update={"budget": budget}), task, 1)) for task in (Line(), MeanLine()))
    for first, second in zip(one, other, strict=True):
        for name in ("train/loss", "val/loss", "val/mae"):
            assert first.metrics[name] == pytest.approx(second.metrics[name], rel=1e-5)


def test_metrics_are_computed_over_the_whole_split():
    training = Training(PLAIN, Line(), 7)
    metrics = run(training)[-1].metrics
    for name, split in training._data.splits.items():
        if name != "train":
            outputs = training.model.eval()(split.inputs)
            assert metrics[f"{name}/mae"] == pytest.approx(functional.l1_loss(outputs, split.targets).item())
            assert metrics[f"{name}/loss"] == pytest.approx(functional.mse_loss(outputs, split.targets).item())


@pytest.mark.parametrize("name", TASKS)
def test_what_is_reported_is_known_before(name):
    task = TASKS[name]
    reports = run(Training(RICH, task, 0))
    known = objective_of(task).reports(test=True)
    assert set(final_metrics(RICH, known)) == {one for one in reports[-1].metrics if not one.startswith("train/")}
    assert set(epoch_metrics(RICH, known)) == {one for one in reports[0].metrics if one.startswith("val/")}
    assert bool(reports[-1].predictions) == (name == "weighted")
    assert reports[-1].metrics["train/loss_eval"] > 0


@pytest.mark.parametrize("name", [*TASKS, "characters"])
def test_a_training_that_resumes_within_an_epoch_is_bit_identical(name, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("to be or not to be, that is the question. " * 20)
    task = TASKS[name] if name in TASKS else Characters(str(text), context=8, windows=90)
    whole = run(Training(RICH, task, 3))
    first = Training(RICH, task, 3)
    assert first.advance(2) is None
    state = checkpoints.decode(checkpoints.encode(first.state_dict()), "memory")
    second = Training(RICH, task, 3)
    second.load_state_dict(state)
    timed = ("train/seconds", "train/samples_per_second")
    for one, other in zip(whole, run(second), strict=True):
        assert {**one.metrics, **dict.fromkeys(timed, 0.0)} == {**other.metrics, **dict.fromkeys(timed, 0.0)}


def test_the_augmentation_has_a_random_stream_of_its_own():
    plain, noisy, again = (Training(RICH, task, 3) for task in (Line(), NoisyLine(), NoisyLine()))
    assert plain.fingerprint == noisy.fingerprint
    drawn = [
        [training._augment(training._data.train, 0, step, 0).inputs for step in range(2)] for training in (noisy, again)
    ]
    assert torch.equal(drawn[0][0], drawn[1][0])
    assert not torch.equal(drawn[0][0], drawn[0][1])
    for training in (plain, noisy):
        with global_stream(3, "dropout"):
            training._augment(training._data.train, 0, 0, 0)
            drawn.append([torch.rand(2)])
    assert torch.equal(drawn[2][0], drawn[3][0])


def test_patience_and_the_best_weights_follow_the_tasks_own_loss():
    recipe = PLAIN.model_copy(update={"averaging": Best(), "patience": Patience(epochs=2)})
    reports = run(Training(recipe, Line(), 0))
    assert reports[-1].metrics["val/loss@best"] == min(one.metrics["val/loss"] for one in reports)


def test_a_loss_is_computed_in_fp32_under_bf16():
    recipe = PLAIN.model_copy(update={"precision": Precision(kind="bf16")})
    seen = set()

    class Seen(Line):
        def loss(self, outputs, targets):
            seen.add(outputs.dtype)
            return super().loss(outputs, targets)

    run(Training(recipe, Seen(), 0))
    assert seen == {torch.float32}


def test_without_a_test_split_nothing_is_reported_on_it():
    reports = run(Training(PLAIN, Line(test=False), 0))
    assert not [name for name in reports[-1].metrics if name.startswith("test/")]
    assert "val/mae" in reports[-1].metrics


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"regularization": Regularization(label_smoothing=0.1)}, "regularization.label_smoothing spreads .* no class"),
        ({"regularization": Regularization(mixup=0.2)}, "regularization.mixup mixes .*the task has no classes; remove"),
        ({"regularization": Regularization(cutmix=0.2)}, "regularization.cutmix mixes"),
        ({"signals": Signals(fgsm=(0.1,))}, "signals.fgsm attacks the cross entropy of a classifier"),
    ],
)
def test_fields_that_need_classes_are_refused(fields, expected):
    with pytest.raises(UsageError, match=expected):
        Training(Recipe(**fields), Line(), 0)


def test_label_smoothing_needs_the_cross_entropy():
    with pytest.raises(UsageError, match="the task has a loss of its own; remove it"):
        Training(Recipe(regularization=Regularization(label_smoothing=0.1)), Weighted(), 0)
    mixed = Recipe(regularization=Regularization(mixup=0.2), budget=Budget(epochs=1))
    assert run(Training(mixed, Weighted(), 0))[-1].metrics["val/loss"] > 0


def test_a_loss_of_another_shape_ends_the_run():
    own = Objective(classes=None, loss=lambda outputs, targets: outputs - targets)
    with pytest.raises(RunError, match=r"shape \(n,\), here \(3,\), or a scalar.*found float32 \(3, 2\)"):
        own.summed(torch.zeros(3, 2), torch.zeros(3, 2))


def test_no_example_gives_no_gradient():
    outputs = torch.zeros(0, 2, requires_grad=True)
    loss = objective_of(MeanLine()).summed(outputs, torch.zeros(0, 2))
    loss.backward()
    assert loss.item() == 0.0
    assert outputs.grad is not None


def test_metrics_with_other_names_or_values_end_the_run():
    outputs = torch.zeros(2)
    for found, expected in (
        ({"mse": 1.0}, r"names of goals, \['mae'\]; found \['mse'\]"),
        (3.0, "found float"),
        ({"mae": outputs}, "one number for each name"),
    ):
        own = Objective(None, metrics=lambda outputs, targets, found=found: found, goals={"mae": "minimize"})
        with pytest.raises(RunError, match=expected):
            own.own_metrics(outputs, outputs)
