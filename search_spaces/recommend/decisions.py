"""The decisions behind a recommended space: the lines of its recipe and search, each with its reason.

Sources: the papers that each reason names, and Godbole et al., "Deep Learning Tuning Playbook", 2023.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from search_spaces.errors import UsageError
from search_spaces.values import show

Model = Literal["cnn", "transformer", "vit", "rnn", "mlp", "rl"]
Start = Literal["scratch", "finetune", "lora"]
Wish = Literal["best", "fast"]

_ATTENTION = ("transformer", "vit")
_LITTLE_DATA = 1000
_LARGE_BATCH = 8192
_SCALED_BATCH = 512  # up to here, rates are used as they are written
_LONG = 5000  # steps of a fine-tune for which a warmup is counted in steps


@dataclass(frozen=True)
class Situation:
    """The answers on which the recommendation depends.

    Attributes:
        model: Architecture, or `rl` for reinforcement learning.
        task: From scratch, all of a pretrained model, or low-rank adapters in one.
        batch: Examples of an optimizer step.
        data: Training examples.
        epochs: Epochs of a run; None to choose them here.
        wish: The best result, or a good one soon.

    Raises:
        UsageError: A number is below 1.
    """

    model: Model
    task: Start = "scratch"
    batch: int = 64
    data: int = 5000
    epochs: int | None = None
    wish: Wish = "best"

    def __post_init__(self) -> None:
        for name, number in (("batch", self.batch), ("data", self.data), ("epochs", self.epochs)):
            if number is not None and number < 1:
                raise UsageError(f"{name} must be at least 1, found {show(number)}")

    @property
    def step_size(self) -> int:
        """Examples of a step that there can be."""
        return min(self.batch, self.data)

    @property
    def budget(self) -> int:
        """Epochs of a run."""
        if self.epochs is not None:
            return self.epochs
        if self.task != "scratch" and self.model in _ATTENTION:
            return 3
        return 27 if self.task == "scratch" and self.model != "transformer" else 9

    @property
    def adapters(self) -> bool:
        """Return whether low-rank adapters are wanted and possible."""
        return self.task == "lora" and self.model in _ATTENTION


class Line(NamedTuple):
    """One line of YAML: `key: value` under its reason. Without a value there is nothing to write."""

    key: str
    value: str
    reason: str = ""


class Choice(NamedTuple):
    """An optimizer with its ranges.

    Attributes:
        kind: Kind in the recipe, with fields that are not searched.
        rate: Learning rate of the baseline.
        rates: Learning rates of the search.
        reason: Reason for the kind and its rate.
        decay: Weight decay of the baseline; empty for a kind without one.
        decays: Weight decays of the search.
        why_decay: Reason for the decay.
    """

    kind: str
    rate: str
    rates: str
    reason: str
    decay: str = ""
    decays: str = ""
    why_decay: str = ""


def choose_optimizer(s: Situation) -> Choice:
    """Return the optimizer for a situation."""
    if s.model == "rl":
        return _policy_gradient(s)
    if s.adapters:
        return Choice(
            "adamw",
            "3e-4",
            "{loguniform: [1e-4, 3e-3]}",
            "Adapters start at zero and are small: they take ten times the rate of a full fine-tune (Hu et al., 2022).",
            "0.0",
            "{uniform: [0.0, 0.01]}",
            "A low rank is a regularizer of its own: decay 0 to 0.01.",
        )
    chosen = _fine_tune(s) if s.task != "scratch" else _from_scratch(s)
    if s.data >= _LITTLE_DATA or not chosen.decay:
        return chosen
    why = f"Under {_LITTLE_DATA:,} examples a network memorizes them all: decay 0.1 to 1."
    return chosen._replace(decay="0.1", decays="{loguniform: [0.1, 1.0]}", why_decay=why)


def _policy_gradient(s: Situation) -> Choice:
    why = "Adam at 3e-4 is the usual start of policy gradients. No decay: a pull to zero is a pull to random actions."
    if s.task == "scratch":
        return Choice("adam", "3e-4", "{loguniform: [1e-4, 3e-3]}", why)
    why += " A policy that has learnt something takes less."
    return Choice("adam", "1e-4", "{loguniform: [1e-5, 1e-3]}", why)


def _fine_tune(s: Situation) -> Choice:
    # Pretrained transformers forget at rates that a convolutional network still bears.
    high = "2e-4" if s.model in _ATTENTION else "1e-3"
    return Choice(
        "adamw",
        "3e-5",
        f"{{loguniform: [1e-5, {high}]}}",
        "1e-5 to 5e-5 keeps what a large pretrained network knows (Devlin et al., 2019); small ones take more.",
        "0.01",
        "{loguniform: [1e-3, 0.1]}",
        "0.01 to 0.1 is usual in fine-tunes, 0.01 in vision.",
    )


def _from_scratch(s: Situation) -> Choice:
    if s.step_size > _LARGE_BATCH:
        return _large_batch(s)
    match s.model:
        case "transformer":
            why = "AdamW at 1e-4 to 5e-4 is the default for transformers; small ones take more."
            decay = "0.1 is that of large language models (Brown et al., 2020), 0.01 that of small ones."
            return Choice("adamw", "3e-4", "{loguniform: [1e-4, 2e-3]}", why, "0.1", "{loguniform: [1e-2, 0.3]}", decay)
        case "vit":
            why = "Vision transformers train with AdamW at 5e-4 to 1e-3 (Dosovitskiy et al., 2021)."
            decay = "0.05 to 0.1: they overfit sooner than convolutions."
            return Choice(
                "adamw", "5e-4", "{loguniform: [1e-4, 3e-3]}", why, "0.05", "{loguniform: [1e-2, 0.3]}", decay
            )
        case "cnn" if s.wish == "best" and s.step_size >= 32 and s.data >= _LITTLE_DATA:
            why = "SGD with Nesterov momentum at 0.1 is the best final accuracy of convolutions, when it is tuned."
            decay = "1e-4 to 5e-4 is usual for convolutions with SGD (He et al., 2016)."
            kind = "sgd, momentum: 0.9, nesterov: true"
            return Choice(kind, "0.1", "{loguniform: [1e-2, 0.5]}", why, "5e-4", "{loguniform: [5e-5, 2e-3]}", decay)
        case "rnn" if s.data >= _LITTLE_DATA:
            why = "Adam at 3e-4 to 1e-3 is where recurrent networks are started; no decay, which shuts their gates."
            return Choice("adam", "1e-3", "{loguniform: [1e-4, 1e-2]}", why)
        case _:
            why = "AdamW at 1e-3 with decay 0.01 is where one starts when time, the batch or the data are small."
            decay = "Small networks want little decay, 0 to 1e-4: let the data decide."
            return Choice(
                "adamw", "1e-3", "{loguniform: [1e-4, 1e-2]}", why, "0.01", "{loguniform: [1e-5, 0.1]}", decay
            )


def _large_batch(s: Situation) -> Choice:
    if s.model == "cnn":
        why = (
            "Above 8k examples a batch: LARS, whose steps are relative to each layer (You et al., 2017), at 0.3 x batch"
        )
        return Choice(
            "lars",
            "0.3",
            "{loguniform: [0.1, 1.0]}",
            f"{why} / 256 (Chen et al., 2020).",
            "1e-4",
            "{loguniform: [1e-5, 1e-3]}",
            "1e-4 is usual with LARS; it is a part of the gradient, as in SGD.",
        )
    return Choice(
        "lamb",
        "1e-3",
        "{loguniform: [3e-4, 1e-2]}",
        "Above 8k examples a batch: LAMB, AdamW with steps relative to each layer (You et al., 2020).",
        "0.01",
        "{loguniform: [1e-3, 0.1]}",
        "0.01 is that of the paper.",
    )


def choose_schedule(s: Situation) -> tuple[Line, Line]:
    """Return the schedule of the recipe, and the search of its warmup."""
    if s.model == "rl":
        why = "No warmup and no decay to zero: there is no fixed data set to converge on."
        return Line("schedule", "{kind: constant}", why), Line("schedule.warmup", "")
    kind = "linear" if s.task != "scratch" and s.model in _ATTENTION else "cosine"
    tail = ", min_factor: 0.1" if (s.model, s.task) == ("transformer", "scratch") else ""
    field, value, values, why = _warmup(s)
    return (
        Line("schedule", f"{{kind: {kind}, {field}: {value}{tail}}}", why),
        Line(f"schedule.{field}", values, "Tuned with the learning rate: a longer warmup tolerates a higher peak."),
    )


def _warmup(s: Situation) -> tuple[str, str, str, str]:
    """Return the field of the warmup, its value, its distribution and the reason."""
    steps = math.ceil(s.data / s.step_size) * s.budget
    if s.task != "scratch" and steps >= _LONG:
        why = f"A warmup of 500 to 1,000 of your {steps:,} steps keeps the new layers from throwing off the others."
        short = "With a shorter built-in task as placeholder, a fraction such as `warmup: 0.1` fits better."
        return "warmup_steps", "500", "{choice: [500, 1000]}", f"{why} {short}"
    if s.task != "scratch":
        why = f"10 to 20 % of your {steps:,} steps: too few for the usual 500 to 1,000 of a fine-tune."
        return "warmup", "0.1", "{uniform: [0.05, 0.2]}", why
    if s.step_size > _LARGE_BATCH:
        why = "Large batches diverge in their first steps without a long warmup (Goyal et al., 2017)."
        return "warmup", "0.1", "{uniform: [0.05, 0.3]}", why
    if s.model in _ATTENTION:
        why = "A transformer without warmup often diverges in its first steps (Xiong et al., 2020)."
        return "warmup", "0.05", "{uniform: [0.01, 0.2]}", why
    return "warmup", "0.05", "{uniform: [0.0, 0.2]}", "1 to 5 % of warmup guard the first steps at the peak."


def choose_regularization(s: Situation, kind: str) -> tuple[Line, Iterator[Line]]:
    """Return the regularization of the recipe, and what of it is searched for the best result.

    Args:
        s: The situation.
        kind: Kind of the optimizer.
    """
    clip = "" if kind in ("sgd", "lars") else "clip_norm: 1.0"
    dropout = {"transformer": "0.1", "vit": "0.1", "mlp": "0.1"}.get(s.model, "0.0")
    fields = {"dropout": f"dropout: {dropout}", "smoothing": "", "clip": clip}
    if s.model == "vit" and s.task == "scratch":
        fields["smoothing"] = "label_smoothing: 0.1"
    why = "Clipping at 1.0 changes few steps of a healthy run, and saves one that meets a bad batch."
    if s.model == "rnn":
        why = "Gradients explode through many steps now and then (Pascanu et al., 2013): clip, always."
    value = f"{{{', '.join(filter(None, fields.values()))}}}"
    return Line("regularization", value, why if clip else ""), _searched_regularization(s)


def _searched_regularization(s: Situation) -> Iterator[Line]:
    if s.model == "rl":
        return
    yield Line("regularization.dropout", "{choice: [0.0, 0.1, 0.2]}", "One regularizer at a time: mild values of it.")
    if s.model in ("cnn", "vit") or s.task != "scratch":
        why = "0.1 moves the targets as in Szegedy et al. (2016); 0 leaves them."
        yield Line("regularization.label_smoothing", "{choice: [0.0, 0.1]}", why)
    if s.model == "rnn":
        yield Line("regularization.clip_norm", "{loguniform: [0.5, 5.0]}", "Below 0.5 it would clip most steps.")


def choose_budget(s: Situation, kind: str) -> Line:
    """Return the budget: epochs, batch, and how the learning rate follows the batch.

    Args:
        s: The situation.
        kind: Kind of the optimizer.
    """
    if s.model == "rl":
        why = "CartPole counts whole episodes of an update, 8 of them; your own loop reads this as it likes."
        return Line("budget", f"{{epochs: {s.budget}, batch_size: 8}}", why)
    size, rule = s.step_size, ""
    why = "" if size == s.batch else f"Your batch of {s.batch:,} would be more than all {s.data:,} examples."
    if size > _SCALED_BATCH:
        scaling, base = _SCALING.get(kind, ("sqrt", 256))
        rule = f", lr_scaling: {scaling}, base_batch_size: {base}"
        name = "in proportion" if scaling == "linear" else "with the square root"
        why += f" Rates are written for {base:,} examples and follow the batch {name}."
        why += " If it does not fit into memory, make batch_size smaller and write accumulation."
    return Line("budget", f"{{epochs: {s.budget}, batch_size: {size}{rule}}}", why.strip())


_SCALING: Mapping[str, tuple[str, int]] = {"sgd": ("linear", 256), "lars": ("linear", 256), "lamb": ("sqrt", 8192)}
