"""The decisions behind a recommended space: the lines of its recipe and search, each with its reason.

Sources: the papers that each reason names, and Godbole et al., "Deep Learning Tuning Playbook", 2023.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from search_spaces.errors import UsageError
from search_spaces.recipe.optimizers import OPTIMIZERS
from search_spaces.values import show

Architecture = Literal["cnn", "transformer", "vit", "rnn", "mlp", "rl"]
Approach = Literal["scratch", "finetune", "lora"]
Priority = Literal["best", "fast"]

_ATTENTION = ("transformer", "vit")
_LITTLE_DATA = 1000
_LARGE_BATCH = 8192
_SCALED_BATCH = 512  # larger batches scale the learning rate
_LONG = 5000  # steps; in a fine-tune of this length, the warmup is given in steps


@dataclass(frozen=True)
class Situation:
    """The facts on which a recommendation depends.

    Attributes:
        model: Architecture of the model, or `rl` for reinforcement learning.
        approach: Training from scratch, fine-tuning of all weights, or training of low-rank adapters.
        batch: Number of examples per optimizer step.
        data: Number of training examples.
        epochs: Number of epochs per run; None uses the recommended number.
        priority: The best result, or a good result in a short time.

    Raises:
        UsageError: A number is below 1.
    """

    model: Architecture
    approach: Approach = "scratch"
    batch: int = 64
    data: int = 5000
    epochs: int | None = None
    priority: Priority = "best"

    def __post_init__(self) -> None:
        for name, number in (("batch", self.batch), ("data", self.data), ("epochs", self.epochs)):
            if number is not None and number < 1:
                raise UsageError(f"{name} must be at least 1, found {show(number)}")

    @property
    def step_size(self) -> int:
        """Number of examples per step, limited by the data."""
        return min(self.batch, self.data)

    @property
    def budget(self) -> int:
        """Number of epochs per run."""
        if self.epochs is not None:
            return self.epochs
        if self.approach != "scratch" and self.model in _ATTENTION:
            return 3
        return 27 if self.approach == "scratch" and self.model != "transformer" else 9

    @property
    def adapters(self) -> bool:
        """Whether low-rank adapters are requested and possible."""
        return self.approach == "lora" and self.model in _ATTENTION


class Line(NamedTuple):
    """One line of YAML, `key: value`, with its reason as a comment above it."""

    key: str
    value: str
    reason: str = ""


class OptimizerChoice(NamedTuple):
    """An optimizer with its baseline values and ranges, all as YAML.

    Attributes:
        kind: Kind, followed by the fields that are not searched.
        lr: Learning rate of the baseline.
        lr_range: Distribution of the learning rate.
        reason: Reason for the kind and its learning rate.
        decay: Weight decay of the baseline; empty for a kind without one.
        decay_range: Distribution of the weight decay.
        decay_reason: Reason for the weight decay.
    """

    kind: str
    lr: str
    lr_range: str
    reason: str
    decay: str = ""
    decay_range: str = ""
    decay_reason: str = ""


def choose_optimizer(s: Situation) -> OptimizerChoice:
    """Return the optimizer for a situation."""
    if s.model == "rl":
        return _policy_gradient(s)
    if s.adapters:
        return OptimizerChoice(
            "adamw",
            "3e-4",
            "{loguniform: [1e-4, 3e-3]}",
            "Adapters are small and start at zero; they need ten times the rate of a full fine-tune (Hu et al., 2022).",
            "0.0",
            "{uniform: [0.0, 0.01]}",
            "A low rank already regularizes, so a weight decay of 0 to 0.01 is enough.",
        )
    chosen = _fine_tune(s) if s.approach != "scratch" else _from_scratch(s)
    if s.data >= _LITTLE_DATA or not chosen.decay:
        return chosen
    why = f"With fewer than {_LITTLE_DATA:,} examples, a network memorizes them all: use a weight decay of 0.1 to 1."
    return chosen._replace(decay="0.1", decay_range="{loguniform: [0.1, 1.0]}", decay_reason=why)


def _policy_gradient(s: Situation) -> OptimizerChoice:
    why = (
        "Adam at 3e-4 is common for policy gradients. No weight decay: it would pull the policy towards random actions."
    )
    if s.approach == "scratch":
        return OptimizerChoice("adam", "3e-4", "{loguniform: [1e-4, 3e-3]}", why)
    why += " A pretrained policy needs a lower rate."
    return OptimizerChoice("adam", "1e-4", "{loguniform: [1e-5, 1e-3]}", why)


def _fine_tune(s: Situation) -> OptimizerChoice:
    # Pretrained transformers lose what they have learned at rates that convolutional networks tolerate.
    high = "2e-4" if s.model in _ATTENTION else "1e-3"
    return OptimizerChoice(
        "adamw",
        "3e-5",
        f"{{loguniform: [1e-5, {high}]}}",
        "1e-5 to 5e-5 preserves a large pretrained network (Devlin et al., 2019); small networks need higher rates.",
        "0.01",
        "{loguniform: [1e-3, 0.1]}",
        "A weight decay of 0.01 to 0.1 is common in fine-tuning, 0.01 in vision.",
    )


def _from_scratch(s: Situation) -> OptimizerChoice:
    if s.step_size > _LARGE_BATCH:
        return _large_batch(s)
    match s.model:
        case "transformer":
            why = "AdamW at 1e-4 to 5e-4 is the default for transformers; small ones need higher rates."
            decay = (
                "A weight decay of 0.1 is common for large language models (Brown et al., 2020), 0.01 for small ones."
            )
            return OptimizerChoice(
                "adamw", "3e-4", "{loguniform: [1e-4, 2e-3]}", why, "0.1", "{loguniform: [1e-2, 0.3]}", decay
            )
        case "vit":
            why = "Vision transformers are trained with AdamW at 5e-4 to 1e-3 (Dosovitskiy et al., 2021)."
            decay = "A weight decay of 0.05 to 0.1, since they overfit sooner than convolutional networks."
            return OptimizerChoice(
                "adamw", "5e-4", "{loguniform: [1e-4, 3e-3]}", why, "0.05", "{loguniform: [1e-2, 0.3]}", decay
            )
        case "cnn" if s.priority == "best" and s.step_size >= 32 and s.data >= _LITTLE_DATA:
            why = "Tuned SGD with Nesterov momentum at about 0.1 gives convolutional networks the best final accuracy."
            decay = "A weight decay of 1e-4 to 5e-4 is common for convolutional networks with SGD (He et al., 2016)."
            kind = "sgd, momentum: 0.9, nesterov: true"
            return OptimizerChoice(
                kind, "0.1", "{loguniform: [1e-2, 0.5]}", why, "5e-4", "{loguniform: [5e-5, 2e-3]}", decay
            )
        case "rnn" if s.data >= _LITTLE_DATA:
            why = "Adam at 3e-4 to 1e-3 is common for recurrent networks. No weight decay: it would close their gates."
            return OptimizerChoice("adam", "1e-3", "{loguniform: [1e-4, 1e-2]}", why)
        case _:
            why = "AdamW at 1e-3 with a weight decay of 0.01 is a safe start if time, batch size or data are limited."
            decay = "Small networks need little weight decay, often 0 to 1e-4; the search decides."
            return OptimizerChoice(
                "adamw", "1e-3", "{loguniform: [1e-4, 1e-2]}", why, "0.01", "{loguniform: [1e-5, 0.1]}", decay
            )


def _large_batch(s: Situation) -> OptimizerChoice:
    if s.model == "cnn":
        why = (
            "For batches above 8k examples: LARS, with steps relative to each layer (You et al., 2017), at 0.3 x batch"
        )
        return OptimizerChoice(
            "lars",
            "0.3",
            "{loguniform: [0.1, 1.0]}",
            f"{why} / 256 (Chen et al., 2020).",
            "1e-4",
            "{loguniform: [1e-5, 1e-3]}",
            "A weight decay of 1e-4 is common with LARS. It is part of the gradient, as in SGD.",
        )
    return OptimizerChoice(
        "lamb",
        "1e-3",
        "{loguniform: [3e-4, 1e-2]}",
        "For batches above 8k examples: LAMB, which is AdamW with steps relative to each layer (You et al., 2020).",
        "0.01",
        "{loguniform: [1e-3, 0.1]}",
        "A weight decay of 0.01 is the paper's choice.",
    )


def choose_schedule(s: Situation) -> tuple[Line, Line]:
    """Return the schedule of the recipe, and the search over its warmup."""
    if s.model == "rl":
        why = "No warmup and no decay to zero: there is no fixed data set to converge on."
        return Line("schedule", "{kind: constant}", why), Line("schedule.warmup", "")
    kind = "linear" if s.approach != "scratch" and s.model in _ATTENTION else "cosine"
    tail = ", min_factor: 0.1" if (s.model, s.approach) == ("transformer", "scratch") else ""
    field, value, values, why = _warmup(s)
    return (
        Line("schedule", f"{{kind: {kind}, {field}: {value}{tail}}}", why),
        Line(
            f"schedule.{field}", values, "Tuned with the learning rate, since a longer warmup tolerates a higher peak."
        ),
    )


def _warmup(s: Situation) -> tuple[str, str, str, str]:
    """Return the field of the warmup, its value, its distribution and the reason."""
    steps = math.ceil(s.data / s.step_size) * s.budget
    if s.approach != "scratch" and steps >= _LONG:
        why = f"A warmup of 500 to 1,000 of {steps:,} steps protects the pretrained layers from the untrained ones."
        short = "With the shorter built-in example task, a fraction such as `warmup: 0.1` fits better."
        return "warmup_steps", "500", "{choice: [500, 1000]}", f"{why} {short}"
    if s.approach != "scratch":
        why = f"10 to 20 % of {steps:,} steps, which are too few for the 500 to 1,000 steps common in fine-tuning."
        return "warmup", "0.1", "{uniform: [0.05, 0.2]}", why
    if s.step_size > _LARGE_BATCH:
        why = "With large batches, the first steps diverge without a long warmup (Goyal et al., 2017)."
        return "warmup", "0.1", "{uniform: [0.05, 0.3]}", why
    if s.model in _ATTENTION:
        why = "A transformer without warmup often diverges in its first steps (Xiong et al., 2020)."
        return "warmup", "0.05", "{uniform: [0.01, 0.2]}", why
    return "warmup", "0.05", "{uniform: [0.0, 0.2]}", "A warmup of 1 to 5 % makes the first steps more stable."


def choose_regularization(s: Situation, kind: str) -> tuple[Line, Iterator[Line]]:
    """Return the regularization of the recipe, and the search over it if the best result has priority.

    Args:
        s: The situation.
        kind: Kind of the optimizer.
    """
    clip = "" if kind in ("sgd", "lars") else "clip_norm: 1.0"
    dropout = {"transformer": "0.1", "vit": "0.1", "mlp": "0.1"}.get(s.model, "0.0")
    fields = {"dropout": f"dropout: {dropout}", "smoothing": "", "clip": clip}
    if s.model == "vit" and s.approach == "scratch":
        fields["smoothing"] = "label_smoothing: 0.1"
    why = "Clipping at 1.0 changes few steps of a stable run and limits the damage of a bad batch."
    if s.model == "rnn":
        why = "Always clip: gradients through many time steps sometimes explode (Pascanu et al., 2013)."
    value = f"{{{', '.join(filter(None, fields.values()))}}}"
    return Line("regularization", value, why if clip else ""), _searched_regularization(s)


def _searched_regularization(s: Situation) -> Iterator[Line]:
    if s.model == "rl":
        return
    yield Line(
        "regularization.dropout", "{choice: [0.0, 0.1, 0.2]}", "One regularizer at a time, with moderate values."
    )
    if s.model in ("cnn", "vit") or s.approach != "scratch":
        why = "0.1 is the value of Szegedy et al. (2016); 0 turns label smoothing off."
        yield Line("regularization.label_smoothing", "{choice: [0.0, 0.1]}", why)
    if s.model == "rnn":
        yield Line("regularization.clip_norm", "{loguniform: [0.5, 5.0]}", "A value below 0.5 would clip most steps.")


def choose_budget(s: Situation, kind: str) -> Line:
    """Return the budget: epochs, batch size, and the scaling of the learning rate with the batch size.

    Args:
        s: The situation.
        kind: Kind of the optimizer.
    """
    if s.model == "rl":
        why = "For CartPole, batch_size is the number of episodes per update; your own loop may use it differently."
        return Line("budget", f"{{epochs: {s.budget}, batch_size: 8}}", why)
    size, rule = s.step_size, ""
    why = "" if size == s.batch else f"A batch of {s.batch:,} would be larger than the {s.data:,} training examples."
    if size > _SCALED_BATCH:
        scaling, base = OPTIMIZERS[kind].LR_SCALING, 8192 if kind == "lamb" else 256
        rule = f", lr_scaling: {scaling}, base_batch_size: {base}"
        name = "in proportion to" if scaling == "linear" else "with the square root of"
        why += f" Learning rates are those for a batch of {base:,} and scale {name} the batch size."
        why += " If a batch does not fit into memory, reduce batch_size and increase accumulation."
    return Line("budget", f"{{epochs: {s.budget}, batch_size: {size}{rule}}}", why.strip())
