"""Other tools' names for the fields of a recipe."""

import re
from collections.abc import Mapping

from search_spaces.metric_names import LONGEST_NAME, check_metric_name
from search_spaces.recipe.fields import KINDS, unknown_field
from search_spaces.recipe.recipe import Recipe

SECTIONS = ("optimizer", "schedule")
"""Sections of a recipe whose kind other tools name in a field."""

_NAMES: Mapping[str, tuple[str, ...]] = {
    "optimizer.lr": ("lr", "learning_rate", "base_lr", "max_lr", "peak_lr", "init_lr", "lr0"),
    "optimizer.weight_decay": ("wd", "weight_decay", "l2", "weightdecay"),
    "optimizer.momentum": ("momentum", "sgd_momentum"),
    "optimizer.betas.0": ("beta1", "beta_1", "adam_beta1"),
    "optimizer.betas.1": ("beta2", "beta_2", "adam_beta2"),
    "optimizer.eps": ("eps", "epsilon", "adam_epsilon"),
    "optimizer.kind": ("optimizer", "optim", "opt", "optimizer_name", "optimizer_type"),
    "schedule.kind": ("schedule", "scheduler", "lr_schedule", "lr_scheduler", "lr_scheduler_type"),
    "schedule.warmup": ("warmup", "warmup_ratio", "warmup_fraction", "warmup_proportion"),
    "schedule.warmup_steps": ("warmup_steps", "num_warmup_steps"),
    "regularization.dropout": ("dropout", "dropout_rate", "drop_rate", "dropout_prob", "p_dropout"),
    "regularization.drop_path": ("drop_path", "drop_path_rate", "stochastic_depth"),
    "regularization.label_smoothing": ("label_smoothing", "label_smoothing_factor", "smoothing"),
    "regularization.clip_norm": (
        *("clip_norm", "grad_clip", "clip_grad", "gradient_clip", "max_grad_norm", "gradient_clip_val"),
        *("clip_grad_norm", "gradient_clipping"),
    ),
    "regularization.mixup": ("mixup", "mixup_alpha"),
    "regularization.cutmix": ("cutmix", "cutmix_alpha"),
    "budget.batch_size": ("batch_size", "bs", "batch", "batchsize", "train_batch_size", "per_device_train_batch_size"),
    "budget.epochs": ("epochs", "epoch", "num_epochs", "n_epochs", "max_epochs", "num_train_epochs"),
    "budget.steps": ("steps", "max_steps", "num_steps", "total_steps", "train_steps", "num_train_steps", "max_iters"),
    "budget.accumulation": ("accumulation", "gradient_accumulation_steps", "accumulate_grad_batches", "grad_accum"),
    "averaging.decay": ("ema_decay",),
    "model.width": ("width", "hidden_size", "hidden_dim", "hidden_units", "hidden", "d_model"),
    "model.depth": ("depth", "num_layers", "n_layers", "layers"),
}
_FIELDS = {name: field for field, names in _NAMES.items() for name in names}

_KIND_NAMES = tuple(f"{part}.{name}" for part in ("optimizer", "scheduler") for name in ("name", "type", "_target_"))
_TRAINING = ("", "optim", "optimizer", "train", "training", "trainer")

_LOSSES = {f"{split}_{name}" for split in ("val", "valid", "validation", "eval") for name in ("loss", "nll")}
_ACCURACIES = {f"{split}_{name}" for split in ("val", "valid", "validation", "eval") for name in ("acc", "accuracy")}


def field_of(name: str, recipe: Recipe) -> str | None:
    """Return the recipe field for another tool's name: the name itself if it is a field, else a match of its end."""
    if unknown_field(recipe, name) is None or name in ("optimizer.kind", "schedule.kind"):
        return name
    leaf = name.rpartition(".")[2].lower().replace("-", "_")
    if name.lower() in _KIND_NAMES:
        leaf = name.partition(".")[0].lower()
    if leaf == "rate" and name.rpartition(".")[0].rpartition(".")[2].lower() in _TRAINING:  # not that of a dropout
        return "optimizer.lr"
    return _FIELDS.get(leaf)  # it may belong to another kind; the caller reports that


def kind_of(section: str, value: object) -> str | None:
    """Return the kind that a value such as `AdamW` or `torch.optim.SGD` names, or None if there is no such kind."""
    if not isinstance(value, str):
        return None
    word = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", "_", value.rpartition(".")[2]).lower().replace("-", "_")
    return word if word in KINDS[section] else None


def metric_of(name: str | None, goal: str) -> tuple[str, str]:
    """Return the metric that corresponds to another tool's metric, and a comment on it."""
    if name is None:
        guess = "val/accuracy" if goal == "maximize" else "val/nll"
        return guess, "guessed: the file names no metric"
    word = re.sub(r"\W", "_", name, flags=re.ASCII).strip("_").lower()
    if word in _LOSSES or word == "loss":
        return "val/nll", f"from {name}"
    if word in _ACCURACIES or word in ("accuracy", "acc"):
        return "val/accuracy", f"from {name}"
    split, _, rest = name.partition("/")
    selects = f"; it was measured on {split}, but sweeps select by val" if split in ("train", "test") else ""
    return _metric_name(rest or name), f"guessed from {name}; your task must report it{selects}"


def _metric_name(metric: str) -> str:
    """Return `val/metric`, or the nearest name that a task may report."""
    own = re.sub(r"^(val|valid|validation|eval)_(?=\w)", "", metric.strip())
    try:
        return check_metric_name(f"val/{own}")
    except ValueError:
        plain = re.sub(r"[^\w.-]", "_", own, flags=re.ASCII) or "_"
        return f"val/{plain}"[:LONGEST_NAME]
