"""Small tasks on which the suggestion of `sweeps lr-find` is calibrated and, on others, measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from search_spaces import SGD, AdamW, Optimizer, Recipe
from search_spaces.recipe.model import Model
from search_spaces.recipe.optimizers import Adagrad, Adam, Lion, NAdam, RMSprop
from search_spaces.recipe.recipe import Budget
from search_spaces.recipe.schedules import Constant, Cosine, Linear, Schedule
from trainers.models.build import Images, Shape, Signals, build_model
from trainers.task import Data, Split
from trainers.tasks.mnist1d import Mnist1d

VAL = 500
_EXAMPLES = 1800

Arrays = tuple[Tensor, Tensor]


def _digits() -> Arrays:
    """Return the handwritten digits of scikit-learn, 10 classes."""
    from sklearn.datasets import load_digits

    images, targets = load_digits(return_X_y=True)
    return torch.from_numpy(images).float().reshape(-1, 1, 8, 8) / 16.0, torch.from_numpy(targets)


def _gaussians() -> Arrays:
    """Return 20 features of which 10 tell five classes apart."""
    from sklearn.datasets import make_classification

    inputs, targets = make_classification(_EXAMPLES, 20, n_informative=10, n_classes=5, class_sep=1.2, random_state=1)
    return torch.from_numpy(inputs).float() / 3.0, torch.from_numpy(targets)


def _rare() -> Arrays:
    """Return two classes of which one has a tenth of the examples, with 3 % of the labels wrong."""
    from sklearn.datasets import make_classification

    inputs, targets = make_classification(
        _EXAMPLES, 30, n_informative=8, weights=[0.9], flip_y=0.03, class_sep=1.0, random_state=2
    )
    return torch.from_numpy(inputs).float(), torch.from_numpy(targets)


def _cancer() -> Arrays:
    """Return scikit-learn's breast cancer data, standardised: 569 examples, 30 features, two classes."""
    from sklearn.datasets import load_breast_cancer

    inputs, targets = load_breast_cancer(return_X_y=True)
    return torch.from_numpy((inputs - inputs.mean(0)) / inputs.std(0)).float(), torch.from_numpy(targets)


def _wine() -> Arrays:
    """Return scikit-learn's wine data, standardised: 178 examples, 13 features, three classes."""
    from sklearn.datasets import load_wine

    inputs, targets = load_wine(return_X_y=True)
    return torch.from_numpy((inputs - inputs.mean(0)) / inputs.std(0)).float(), torch.from_numpy(targets)


def _moons() -> Arrays:
    """Return points on two half circles that overlap."""
    from sklearn.datasets import make_moons

    inputs, targets = make_moons(_EXAMPLES, noise=0.25, random_state=8)
    return torch.from_numpy(inputs).float(), torch.from_numpy(targets)


def _rings() -> Arrays:
    """Return points on three noisy rings in ten dimensions, of which eight are noise."""
    rng = np.random.default_rng(9)
    ring, angle = rng.integers(0, 3, _EXAMPLES), rng.uniform(0, 2 * np.pi, _EXAMPLES)
    inputs = 0.2 * rng.standard_normal((_EXAMPLES, 10))
    inputs[:, 0] += (1 + ring) * np.cos(angle)
    inputs[:, 1] += (1 + ring) * np.sin(angle)
    return torch.from_numpy(inputs).float(), torch.from_numpy(ring)


def _teacher() -> Arrays:
    """Return normal inputs with the class that a random network of one hidden layer gives them, four classes."""
    rng = np.random.default_rng(3)
    inputs = rng.standard_normal((_EXAMPLES, 20))
    hidden = np.tanh(inputs @ rng.standard_normal((20, 30)) / 2.0)
    scores = hidden @ rng.standard_normal((30, 4))
    return torch.from_numpy(inputs).float(), torch.from_numpy((scores - scores.mean(0)).argmax(1))


def _spirals() -> Arrays:
    """Return points on three noisy arms of a spiral."""
    rng = np.random.default_rng(4)
    arm, way = rng.integers(0, 3, _EXAMPLES), rng.uniform(0.1, 1.0, _EXAMPLES)
    angle = 6.0 * way + 2.1 * arm + 0.15 * rng.standard_normal(_EXAMPLES)
    points = np.stack([way * np.cos(angle), way * np.sin(angle)], axis=1)
    return torch.from_numpy(points).float(), torch.from_numpy(arm)


def _checkers() -> Arrays:
    """Return points on a board of 4 x 4 fields of two classes."""
    rng = np.random.default_rng(5)
    points = rng.uniform(-2, 2, (_EXAMPLES, 2))
    return torch.from_numpy(points).float(), torch.from_numpy(np.floor(points).sum(1).astype(np.int64) % 2)


def _waves() -> Arrays:
    """Return noisy sines of five frequencies, 40 values each."""
    rng = np.random.default_rng(6)
    kind, phase = rng.integers(0, 5, _EXAMPLES), rng.uniform(0, 2 * np.pi, (_EXAMPLES, 1))
    clean = np.sin(np.arange(40) * (0.25 + 0.1 * kind[:, None]) + phase)
    return torch.from_numpy(clean + 0.6 * rng.standard_normal(clean.shape)).float(), torch.from_numpy(kind)


def _bumps() -> Arrays:
    """Return signals of 40 values with two bumps; the class is their distance, in four steps."""
    rng = np.random.default_rng(7)
    kind, start = rng.integers(0, 4, _EXAMPLES), rng.integers(3, 15, (_EXAMPLES, 1))
    grid = np.arange(40)
    second = start + 6 + 4 * kind[:, None]
    clean = np.exp(-0.5 * (grid - start) ** 2) + np.exp(-0.5 * (grid - second) ** 2)
    return torch.from_numpy(2 * clean + 0.3 * rng.standard_normal(clean.shape)).float(), torch.from_numpy(kind)


@cache
def _made(make: Callable[[], Arrays]) -> Arrays:
    return make()


@dataclass(frozen=True)
class SmallTask:
    """A classification of examples that a function makes; `val` and `test` have the same 500 of them, or a third."""

    make: Callable[[], Arrays]

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(_made(self.make)[1].max()) + 1

    @property
    def _shape(self) -> Shape:
        inputs = _made(self.make)[0]
        return Images(1, inputs.shape[-1]) if inputs.ndim > 2 else Signals(inputs.shape[1])

    def data(self, seed: int) -> Data:
        """Return the splits, which depend on the seed."""
        inputs, targets = _made(self.make)
        order = torch.randperm(len(targets), generator=torch.Generator().manual_seed(seed % 2**31))
        val = min(VAL, len(targets) // 3)
        every = Split(inputs, targets.long())
        return Data(every.take(order[val:]), every.take(order[:val]), every.take(order[:val]))

    def model(self, recipe: Recipe) -> nn.Module:
        """Return the model of the recipe."""
        return build_model(recipe, self._shape, self.classes, default="mlp")


class Case(NamedTuple):
    """A task with a recipe whose `optimizer.lr` is not used."""

    task: SmallTask | Mnist1d
    recipe: Recipe


def _case(
    task: Callable[[], Arrays] | Mnist1d,
    optimizer: Optimizer,
    model: Model,
    batch: int = 64,
    steps: int = 600,
    schedule: Schedule | None = None,
) -> Case:
    budget = Budget(steps=steps, report_every=steps, batch_size=batch)
    optimizer = optimizer.model_copy(update={"weight_decay": 0.0})
    recipe = Recipe(optimizer=optimizer, model=model, budget=budget, schedule=schedule or Cosine())
    return Case(task if isinstance(task, Mnist1d) else SmallTask(task), recipe)


def _mlp(depth: int, width: int = 64, norm: str = "none", init: str = "default") -> Model:
    return Model(kind="mlp", depth=depth, width=width, norm=norm, init=init)  # type: ignore[arg-type]


_WARM = Linear(warmup=0.1)
_PLAIN = SGD(momentum=0.0, nesterov=False)

CALIBRATION: Mapping[str, Case] = {
    "digits MLP of 6, sgd": _case(_digits, SGD(), _mlp(6)),
    "gaussians MLP of 8, adam": _case(_gaussians, Adam(), _mlp(8, 48)),
    "teacher MLP of 12, He, sgd": _case(_teacher, SGD(), _mlp(12, 48, init="he")),
    "mnist1d MLP, adamw": _case(Mnist1d(), AdamW(), Model()),
    "mnist1d MLP, sgd": _case(Mnist1d(), SGD(), Model()),
    "digits CNN, sgd, batch 16": _case(_digits, SGD(), Model(kind="cnn", width=8), batch=16),
    "digits MLP of 4, He, sgd without momentum": _case(_digits, _PLAIN, _mlp(4, init="he")),
    "gaussians logistic, sgd, batch 256": _case(_gaussians, SGD(), Model(kind="logistic"), batch=256),
    "teacher MLP, lion, batch 128": _case(_teacher, Lion(), _mlp(2), batch=128),
    "spirals MLP of 3, sgd, constant": _case(_spirals, SGD(), _mlp(3), batch=32, schedule=Constant()),
    "waves CNN with GroupNorm, adamw": _case(_waves, AdamW(), Model(kind="cnn", width=8, norm="group")),
    "waves transformer, adamw, warmup": _case(_waves, AdamW(), Model(kind="transformer", width=16), schedule=_WARM),
    "digits MLP of 10, He, sgd": _case(_digits, SGD(), _mlp(10, init="he")),
    "digits MLP of 10, adamw": _case(_digits, AdamW(), _mlp(10)),
    "checkers MLP of 8, He, sgd, warmup": _case(_checkers, SGD(), _mlp(8, init="he"), schedule=_WARM),
    "digits MLP of 3 with LayerNorm, lion": _case(_digits, Lion(), _mlp(3, norm="layer"), batch=32),
    "rare class MLP, adamw": _case(_rare, AdamW(), _mlp(2)),
    "breast cancer MLP, sgd, batch 16": _case(_cancer, SGD(), _mlp(2, 32), batch=16),
    "breast cancer logistic, adagrad": _case(_cancer, Adagrad(), Model(kind="logistic")),
    "checkers MLP of 3, adam, batch 32": _case(_checkers, Adam(), _mlp(3), batch=32),
    "bumps CNN, sgd, batch 128": _case(_bumps, SGD(), Model(kind="cnn", width=8), batch=128),
    "bumps transformer, adamw": _case(_bumps, AdamW(), Model(kind="transformer", width=16)),
}
"""Tasks on which the rules were chosen."""

REPORT: Mapping[str, Case] = {
    "moons MLP of 10, He, adam": _case(_moons, Adam(), _mlp(10, init="he")),
    "rings MLP of 6, sgd, warmup": _case(_rings, SGD(), _mlp(6, init="he"), schedule=_WARM),
    "gaussians MLP of 10, Xavier, sgd": _case(_gaussians, SGD(), _mlp(10, init="xavier")),
    "wine MLP, sgd, batch 32": _case(_wine, SGD(), _mlp(2, 32), batch=32),
    "waves MLP of 3, nadam, batch 128": _case(_waves, NAdam(), _mlp(3), batch=128),
    "teacher MLP of 256, adamw, linear": _case(_teacher, AdamW(), _mlp(2, 256), schedule=Linear()),
    "spirals MLP of 5, lion": _case(_spirals, Lion(), _mlp(5)),
    "bumps CNN, rmsprop": _case(_bumps, RMSprop(), Model(kind="cnn", width=8)),
    "digits CNN with LayerNorm, sgd, constant": _case(
        _digits, SGD(), Model(kind="cnn", width=8, norm="layer"), schedule=Constant()
    ),
    "digits transformer, adam, warmup": _case(_digits, Adam(), Model(kind="transformer", width=16), schedule=_WARM),
}
"""Tasks that were not used to choose anything."""
