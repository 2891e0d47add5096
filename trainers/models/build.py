"""Build a model from a recipe and the shape of a task's examples."""

from dataclasses import dataclass
from typing import Literal, assert_never

from torch import nn

from search_spaces.errors import UsageError
from search_spaces.recipe.model import Model
from search_spaces.recipe.recipe import Recipe
from trainers.models.cnn2d import CNN1d, CNN2d
from trainers.models.embeddings import ImagePatches, ImageRows, SignalPatches, SignalSteps
from trainers.models.initial import initialise
from trainers.models.mlp import MLP
from trainers.models.recurrent import Recurrent
from trainers.models.transformer import Transformer

Kind = Literal["logistic", "mlp", "cnn", "gru", "lstm", "transformer"]


@dataclass(frozen=True)
class Signals:
    """Float examples ``(n, length)``."""

    length: int


@dataclass(frozen=True)
class Images:
    """Float examples ``(n, colours, size, size)``."""

    colours: int
    size: int


@dataclass(frozen=True)
class Tokens:
    """Examples of int64 tokens below ``vocabulary``, ``(n, length)``; the targets are the next tokens."""

    vocabulary: int
    length: int


Shape = Signals | Images | Tokens

_SIZES: dict[Kind, tuple[int, int]] = {
    "logistic": (1, 0),
    "mlp": (128, 2),
    "gru": (32, 1),
    "lstm": (32, 1),
    "transformer": (64, 2),
}
_PATCHES_PER_SIDE = 4
_PATCHES_PER_SIGNAL = 10


def build_model(recipe: Recipe, shape: Shape, classes: int, default: Kind) -> nn.Module:
    """Return a new model with its initial weights.

    Args:
        recipe: Recipe with the ``model`` and its dropout in ``regularization``.
        shape: Shape of the task's examples.
        classes: Number of logits per example; of `Tokens`, per token.
        default: Kind of the model if ``model.kind`` is null.

    Raises:
        UsageError: Fields of the recipe are incompatible with each other or with the examples.
    """
    wanted = recipe.model
    kind: Kind = wanted.kind or default
    _check(wanted, kind)
    model = _make(recipe, shape, classes, kind)
    initialise(model, wanted.init)
    return model


def refuse_other_models(recipe: Recipe, why: str) -> None:
    """Raise a ``UsageError`` if a recipe changes the model of a task whose model is fixed."""
    changed = [name for name, value in recipe.model if value != Model.model_fields[name].default]
    if changed:
        raise UsageError(f"model.{changed[0]}: {why}; remove it")


def _check(wanted: Model, kind: Kind) -> None:
    if wanted.lora_rank is not None:
        raise UsageError("model.lora_rank: adapters need a pretrained transformer; use the task text")
    if wanted.mup_base is not None and kind not in ("mlp", "transformer"):
        raise UsageError(f"model.mup_base: only mlp and transformer support it, found {kind}")
    if wanted.mup_base is not None and wanted.init != "default":
        raise UsageError("model.init: mup_base sets its own initial weights; remove one of the two")


def _make(recipe: Recipe, shape: Shape, classes: int, kind: Kind) -> nn.Module:
    dropout = recipe.regularization.dropout
    match kind:
        case "logistic" | "mlp":
            return _mlp(recipe, shape, classes, kind)
        case "cnn":
            return _cnn(recipe.model, shape, classes, dropout)
        case "gru" | "lstm":
            return _recurrent(recipe.model, shape, classes, dropout, kind)
        case "transformer":
            return _transformer(recipe, shape, classes)
        case _ as never:
            assert_never(never)


def _size(wanted: Model, kind: Kind) -> tuple[int, int]:
    width, depth = _SIZES[kind]
    return wanted.width or width, wanted.depth or depth


def _mlp(recipe: Recipe, shape: Shape, classes: int, kind: Kind) -> MLP:
    if isinstance(shape, Tokens):
        raise UsageError(f"model.kind: {kind} does not support tokens; use transformer, gru or lstm")
    if kind == "logistic" and (recipe.model.depth or recipe.model.width):
        raise UsageError("model.depth: logistic has no hidden layers; use mlp")
    width, depth = _size(recipe.model, kind)
    features = shape.length if isinstance(shape, Signals) else shape.colours * shape.size**2
    return MLP(
        features,
        (width,) * depth,
        classes,
        recipe.regularization.dropout,
        recipe.model.norm or "none",
        recipe.model.mup_base,
    )


def _cnn(wanted: Model, shape: Shape, classes: int, dropout: float) -> nn.Module:
    norm = wanted.norm or "none"
    match shape:
        case Signals(length):
            return CNN1d(length, wanted.width or 32, classes, dropout, wanted.depth or 3, norm)
        case Images(colours, size):
            return CNN2d(size, wanted.width or 16, classes, dropout, wanted.depth or 2, norm, colours)
        case Tokens():
            raise UsageError("model.kind: cnn does not support tokens; use transformer, gru or lstm")


def _recurrent(wanted: Model, shape: Shape, classes: int, dropout: float, cell: Literal["gru", "lstm"]) -> Recurrent:
    width, depth = _size(wanted, cell)
    embed: nn.Module
    length: int | None
    match shape:
        case Signals(steps):
            embed, features, length = SignalSteps(), 1, steps
        case Images(colours, size):
            embed, features, length = ImageRows(), colours * size, size
        case Tokens(vocabulary):
            embed, features, length = nn.Embedding(vocabulary, width), width, None
    return Recurrent(cell, embed, features, length, width, depth, classes, dropout, wanted.norm or "none")


def _transformer(recipe: Recipe, shape: Shape, classes: int) -> Transformer:
    width, depth = _size(recipe.model, "transformer")
    embed: nn.Module
    match shape:
        case Signals(steps):
            patch = max(1, steps // _PATCHES_PER_SIGNAL)
            embed, length = SignalPatches(patch, width), steps // patch
        case Images(colours, size):
            patch = max(1, size // _PATCHES_PER_SIDE)
            embed, length = ImagePatches(colours, patch, width), (size // patch) ** 2
        case Tokens(vocabulary, context):
            embed, length = nn.Embedding(vocabulary, width), context
    return Transformer(
        embed,
        length,
        width,
        depth,
        classes,
        recipe.regularization.dropout,
        recipe.regularization.drop_path,
        recipe.model.norm or "layer",
        causal=isinstance(shape, Tokens),
        mup_base=recipe.model.mup_base,
    )
