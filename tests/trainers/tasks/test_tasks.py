import random
import textwrap

import numpy as np
import pytest
import torch

from search_spaces.errors import UsageError
from search_spaces.recipe.model import Model
from search_spaces.recipe.optimizers import SGD, AdamW
from search_spaces.recipe.recipe import Budget, Recipe, Regularization
from search_spaces.recipe.schedules import Cosine
from search_spaces.specs.builtin_tasks import BUILTIN_TASKS
from trainers import task as task_module
from trainers.loop.training import Training
from trainers.task_checks import prepare
from trainers.task_lookup import load_target, load_task
from trainers.tasks import Data, Task
from trainers.tasks.mnist1d_data import _generate, signals
from trainers.tasks.mnist1d_transfer import Mnist1dSource, Mnist1dTransfer, _cnn

FINETUNE = Recipe(
    optimizer=AdamW(lr=3e-3),
    schedule=Cosine(warmup=0.1),
    regularization=Regularization(dropout=0.1, clip_norm=1.0),
)
SIZES = {
    "digits": (1150, 287, 360),
    "mnist1d": (3200, 800, 1000),
    "mnist1d?val=100": (3900, 100, 1000),
    "mnist1d_transfer": (500, 1000, 2000),
    "characters?windows=800": (800, 100, 100),
}
FIXED_SPLITS = ("mnist1d_transfer", "characters?windows=800")


def rows(data: Data) -> list[bytes]:
    """Return train and val together as a sorted list of examples."""
    pool = torch.cat([data.train.inputs, data.val.inputs]).flatten(1)
    return sorted(row.numpy().tobytes() for row in pool)


def last_epoch(task: Task, recipe: Recipe, seed: int = 0) -> dict[str, float]:
    training = Training(recipe, task, seed)
    while not training.finished:
        report = training.run_epoch()
    return dict(report.metrics)


@pytest.mark.parametrize("name", SIZES)
def test_the_split_seed_moves_examples_between_train_and_val_only(name):
    task = load_task(name)
    a, again, b = task.data(1), task.data(1), task.data(2)
    assert (len(a.train), len(a.val), len(a.test)) == SIZES[name]
    assert torch.equal(a.train.inputs, again.train.inputs)
    assert torch.equal(a.test.inputs, b.test.inputs)
    assert torch.equal(a.test.targets, b.test.targets)
    assert rows(a) == rows(b)
    assert torch.equal(a.train.inputs, b.train.inputs) == (name in FIXED_SPLITS)
    reads_characters = name.startswith("characters")
    for split in (a.train, a.val, a.test):
        assert split.inputs.dtype == (torch.int64 if reads_characters else torch.float32)
        assert split.targets.dtype == torch.int64
        if reads_characters:
            assert set(split.targets.flatten().tolist()) <= set(range(task.characters))
        else:
            assert set(split.targets.tolist()) == set(range(task.classes))


@pytest.mark.parametrize("name", SIZES)
def test_models_are_classifiers_with_dropout(name):
    task = load_task(name)
    inputs = task.data(0).val.inputs[:4]
    model = task.model(Recipe(regularization=Regularization(dropout=0.5)))
    assert model(inputs).shape == ((4, 32, task.characters) if name.startswith("characters") else (4, task.classes))
    assert not torch.equal(model(inputs), model(inputs))
    assert torch.equal(model.eval()(inputs), model(inputs))


def test_signals_are_those_of_the_package_and_leave_the_global_generators_alone():
    from mnist1d.data import get_dataset_args, make_dataset

    arguments = get_dataset_args()
    arguments.num_samples = 50
    expected = make_dataset(arguments)
    np.random.seed(1)
    random.seed(1)
    before = np.random.get_state()[1].copy(), random.getstate()
    made = _generate({"num_samples": 50})
    assert np.array_equal(before[0], np.random.get_state()[1])
    assert before[1] == random.getstate()
    assert np.array_equal(made["inputs"][:40], expected["x"].astype(np.float32))
    assert np.array_equal(made["targets"][40:], expected["y_test"])


def test_signals_cold_and_warm_are_the_same(tmp_path, monkeypatch):
    monkeypatch.setenv("SWEEPS_CACHE", str(tmp_path))
    overrides = (("seed", 5), ("num_samples", 40))
    cold = signals(*overrides)
    assert signals(*overrides) is cold
    signals.cache_clear()
    monkeypatch.setattr("trainers.tasks.mnist1d_data._generate", None)
    warm = signals(*overrides)
    assert torch.equal(cold.inputs, warm.inputs)
    assert torch.equal(cold.targets, warm.targets)
    signals.cache_clear()


def test_digits_with_sgd_and_nesterov():
    recipe = Recipe(optimizer=SGD(lr=0.05), schedule=Cosine(warmup=0.1))
    assert last_epoch(load_task("digits"), recipe)["test/accuracy"] > 0.95


@pytest.mark.parametrize("name", BUILTIN_TASKS)
def test_every_built_in_name_leads_somewhere(name):
    if name == "images":
        with pytest.raises(UsageError, match="root is missing"):
            load_target(name)
    else:
        assert load_target(name) is load_target(name)


def test_a_pretrained_network_takes_no_other_model():
    with pytest.raises(UsageError, match=r"model.kind: the network of mnist1d_transfer is pretrained; remove it"):
        Mnist1dTransfer().model(Recipe(model=Model(kind="mlp")))


def test_fine_tuning_beats_training_from_scratch_by_far():
    class Scratch(Mnist1dTransfer):
        def model(self, recipe):
            return _cnn(recipe)

    fine_tuned = last_epoch(Mnist1dTransfer(), FINETUNE)["val/accuracy"]
    from_scratch = last_epoch(Scratch(), FINETUNE)["val/accuracy"]
    assert 0.60 < fine_tuned < 0.75
    assert 0.20 < from_scratch < 0.40


def test_the_pretrained_model_fits_its_source():
    from trainers.evaluation.evaluate import logits, per_example

    model = Mnist1dTransfer().model(Recipe())
    test = Mnist1dSource().data(0).test
    assert per_example(logits(model, test), test.targets).metrics("test")["test/accuracy"] > 0.8


def test_pretraining_is_deterministic_whatever_the_threads(monkeypatch):
    import trainers.tasks.mnist1d_transfer as transfer

    budget = Budget(epochs=1, batch_size=512)
    monkeypatch.setattr(transfer, "PRETRAINING", transfer.PRETRAINING.model_copy(update={"budget": budget}))
    one = transfer._pretrain()
    torch.set_num_threads(2)
    try:
        torch.rand(3)
        two = transfer._pretrain()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    assert all(one[name].tobytes() == two[name].tobytes() for name in one)


MODULE = """
from trainers.tasks import Data, Split
import torch

class Mine:
    classes = 2
    def data(self, seed):
        split = Split(torch.zeros(4, 3), torch.tensor([0, 1, 0, 1]))
        return Data(split, split, split)
    def model(self, recipe):
        return torch.nn.Linear(3, 2)

def make():
    return Mine()

instance = Mine()
number = 3

class Half:
    classes = 2

class Named(Mine):
    def __init__(self, name, size, share, flag):
        self.given = name, size, share, flag

class Needs:
    def __init__(self, x): ...

def loop(config, seed, state=None):
    yield {"val/accuracy": 1.0}
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "users_module.py").write_text(MODULE)
    (tmp_path / "users_broken.py").write_text("import there_is_no_such_module")
    monkeypatch.syspath_prepend(tmp_path)
    load_target.cache_clear()
    yield "users_module"
    load_target.cache_clear()


@pytest.mark.parametrize("name", ["Mine", "make", "instance"])
def test_a_users_task_by_dotted_path(module, name):
    task = load_task(f"{module}:{name}")
    assert task.classes == 2
    assert load_task(f"{module}:{name}") is task


def test_the_documented_task(tmp_path, monkeypatch):
    example = textwrap.dedent(task_module.__doc__.partition("::\n")[2])
    (tmp_path / "users_stripes.py").write_text(example)
    monkeypatch.syspath_prepend(tmp_path)
    recipe = Recipe(optimizer=AdamW(lr=0.01), custom={"hidden": 32})
    prepare("users_stripes:Stripes", recipe, 0)
    assert last_epoch(load_task("users_stripes:Stripes"), recipe)["test/accuracy"] > 0.9


def test_arguments_reach_the_task(module):
    assert load_task(f"{module}:Named?name=a/b%20c&size=3&share=0.5&flag=true").given == ("a/b c", 3, 0.5, True)


def test_a_users_loop_by_dotted_path(module):
    assert next(load_target(f"{module}:loop")({}, 0)) == {"val/accuracy": 1.0}
    with pytest.raises(UsageError, match="found a training loop"):
        load_task(f"{module}:loop")


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        (
            "mnist1",
            "did you mean mnist1d.*built-in tasks are cartpole, characters, digits, images, mnist1d, mnist1d_tr",
        ),
        ("", "is unknown"),
        ("users_module:", "is unknown"),
        (":Mine", "is unknown"),
        ("users_modul:Mine", "there is no module users_modul; its folder must be on PYTHONPATH"),
        ("users_broken:Mine", "No module named 'there_is_no_such_module' .*users_broken.py:1"),
        ("users_module:Min", "users_module has no Min .did you mean Mine"),
        ("users_module:number", "a int is not a task: it lacks data, model, classes or loss"),
        ("users_module:Half", "a Half is not a task: it lacks data, model"),
        ("users_module:Needs", "calling it without arguments failed: TypeError"),
        ("users_module:Needs?y=1", "calling it with y failed: TypeError"),
        ("users_module:instance?y=1", "users_module:instance: takes no arguments, found y"),
        ("users_module:loop?y=1", "users_module:loop: takes no arguments, found y"),
        ("mnist1d?val=4000", "val must be from 1 to 3999, found 4000"),
        ("mnist1d?vol=40", "task mnist1d: calling it with vol failed: TypeError"),
        ("characters?context=0", "context must be at least 1"),
        ("images", "root is missing; write task: {images: {root: FOLDER}}"),
        ("text?model=/nowhere", "model must be a folder with a config.json, found /nowhere"),
    ],
)
def test_what_cannot_be_used_is_one_clear_line(module, reference, expected):
    with pytest.raises(UsageError, match=expected) as caught:
        load_target(reference)
    assert "\n" not in str(caught.value)
