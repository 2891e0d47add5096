"""Which space to start from: a few questions -> a space file that runs as it is, with its reasons as comments."""

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar, get_args

from search_spaces.recommend.decisions import (
    Choice,
    Line,
    Model,
    Situation,
    Start,
    Wish,
    choose_budget,
    choose_optimizer,
    choose_regularization,
    choose_schedule,
)

__all__ = ["Advice", "Prompt", "Situation", "advise", "ask"]

Prompt = Callable[[str, Sequence[str]], str]
"""Takes a question and its answers, the default first, and returns what the person typed: nothing is the default.
A question for a number comes with its default alone."""

_WIDTH = 118
_MOST_DIGITS = 9  # what a recipe takes for a count
_Option = TypeVar("_Option", bound=str)


@dataclass(frozen=True)
class Advice:
    """A space to start from.

    Attributes:
        text: YAML that `parse_space` reads.
        reasons: Why, in the order of the file.
        placeholder: Built-in task of the same family, to be replaced by the user's own.
    """

    text: str
    reasons: tuple[str, ...]
    placeholder: str


class _StandIn(NamedTuple):
    """A built-in task.

    Attributes:
        task: Task, as in a space file.
        metric: Metric that fits the task.
        model: Section of the recipe, where the task leaves the choice.
        note: What is different about it.
    """

    task: str
    metric: str = "{name: val/accuracy, goal: maximize}"
    model: str = ""
    note: str = ""


_TEXT = "{text: {length: 32}}"
_NO_VIT = "No built-in vision transformer is pretrained; a transformer for texts is."
_STAND_INS: Mapping[tuple[str, bool], _StandIn] = {
    ("transformer", False): _StandIn(
        "characters", "{name: val/nll, goal: minimize}", "{kind: transformer, width: 64, depth: 2}"
    ),
    ("transformer", True): _StandIn(_TEXT),
    ("vit", False): _StandIn("digits", model="{kind: transformer, width: 64, depth: 2}"),
    ("vit", True): _StandIn(_TEXT, note=_NO_VIT),
    ("cnn", False): _StandIn("digits", model="{kind: cnn}"),
    ("cnn", True): _StandIn("mnist1d_transfer"),
    ("rnn", False): _StandIn("mnist1d", model="{kind: gru, init: orthogonal}"),
    ("rnn", True): _StandIn("mnist1d", model="{kind: gru}", note="No built-in recurrent network is pretrained."),
    ("mlp", False): _StandIn("mnist1d", model="{kind: mlp}"),
    ("mlp", True): _StandIn("mnist1d", model="{kind: mlp}", note="No built-in perceptron is pretrained."),
    ("rl", False): _StandIn("cartpole", "{name: val/return, goal: maximize}"),
    ("rl", True): _StandIn("cartpole", "{name: val/return, goal: maximize}", note="Its policy is not pretrained."),
}


def advise(situation: Situation) -> Advice:
    """Return the space to start from in a situation."""
    stand_in = _STAND_INS[situation.model, situation.task != "scratch"]
    blocks = (_head(situation, stand_in), _recipe(situation, stand_in), _search(situation), _tail(situation))
    lines = [line for block in blocks for line in block]
    text = "\n\n".join("\n".join(_written(block)) for block in blocks)
    task = stand_in.task if stand_in.task != _TEXT else "text"
    reasons = tuple(line.reason for line in lines if line.reason)
    return Advice(f"# {_title(situation)}\n{text}\n", reasons, task)


def ask(prompt: Prompt) -> Situation:
    """Ask what `advise` wants to know, one question after the other, again where an answer cannot be used."""
    return Situation(
        model=_choose(prompt, "What is the model?", get_args(Model)),
        task=_choose(prompt, "Train from scratch, fine-tune all of it, or train adapters?", get_args(Start)),
        batch=_count(prompt, "How many examples does a batch have?", 64),
        data=_count(prompt, "How many training examples are there?", 5000),
        epochs=_count(prompt, "How many epochs may a run train? 0 leaves it to the advice.", 0, low=0) or None,
        wish=_choose(prompt, "The best result, or a good one fast?", get_args(Wish)),
    )


def _choose(prompt: Prompt, question: str, options: tuple[_Option, ...]) -> _Option:
    asked = question
    while True:
        answer = prompt(asked, options).strip().lower() or options[0]
        for option in options:
            if option == answer:
                return option
        asked = f"{question} One of {', '.join(options)}."


def _count(prompt: Prompt, question: str, default: int, low: int = 1) -> int:
    asked = question
    while True:
        answer = prompt(asked, (str(default),)).strip().replace(",", "").replace("_", "") or str(default)
        if answer.isascii() and answer.isdecimal() and len(answer) <= _MOST_DIGITS and int(answer) >= low:
            return int(answer)
        asked = f"{question} A whole number from {low} on."


def _title(s: Situation) -> str:
    start = {"scratch": "from scratch", "finetune": "fine-tuned", "lora": "with adapters"}[s.task]
    wish = "the best result" if s.wish == "best" else "a good result fast"
    return f"{s.model}, {start}, batches of {s.batch:,} out of {s.data:,} examples: {wish}."


def _head(s: Situation, stand_in: _StandIn) -> Sequence[Line]:
    note = f" {stand_in.note}" if stand_in.note else ""
    why = f"A placeholder for your own task, which is written my_package.my_module:MyTask (docs/tasks.md).{note}"
    return Line("kind", "sweep"), Line("task", stand_in.task, why), Line("metric", stand_in.metric)


def _recipe(s: Situation, stand_in: _StandIn) -> Sequence[Line]:
    chosen = choose_optimizer(s)
    decay = f", weight_decay: {chosen.decay}, decay: matrices" if chosen.decay else ""
    optimizer = f"{{kind: {chosen.kind}, lr: {chosen.rate}{decay}}}"
    kind = _kind(chosen)
    return (
        Line("recipe", "", "Run 0 is this recipe, unchanged: the baseline that the sweep must beat."),
        Line("  optimizer", optimizer, chosen.reason),
        *(_nested(line) for line in _groups(s)),
        _nested(choose_schedule(s)[0]),
        _nested(choose_regularization(s, kind)[0]),
        *([Line("  model", stand_in.model)] if stand_in.model else _adapters(s)),
        _nested(choose_budget(s, kind)),
        *([Line("  custom", "{updates: 4, evaluations: 8, gamma: 0.99, entropy: 0.01}")] if s.model == "rl" else []),
    )


def _kind(chosen: Choice) -> str:
    return chosen.kind.partition(",")[0]


def _nested(line: Line) -> Line:
    return line._replace(key=f"  {line.key}")


def _groups(s: Situation) -> Iterator[Line]:
    if s.task == "lora" and not s.adapters:
        why = (
            f"Adapters are for the linear layers of transformers: all of the {s.model} is fine-tuned, its head faster."
        )
    else:
        why = "A new head has everything to learn: it takes 10 to 100 times the rate of the pretrained layers."
    if s.task != "scratch" and not s.adapters and s.model != "rl":
        yield Line("groups", "{head_lr_scale: 10.0}", why)


def _adapters(s: Situation) -> Iterator[Line]:
    if s.adapters:
        why = "Rank 8 is the paper's usual one; alpha = 2 x rank is common."
        yield Line("  model", "{lora_rank: 8, lora_alpha: 16.0}", why)


def _search(s: Situation) -> Sequence[Line]:
    chosen = choose_optimizer(s)
    lines = [
        Line(
            "optimizer.lr", chosen.rates, "The usual range and some room: both ends are bad, so the best lies inside."
        ),
        Line("optimizer.weight_decay", chosen.decays, chosen.why_decay),
        choose_schedule(s)[1],
        *_searched_policy(s),
    ]
    if s.wish == "best":
        lines += [*_searched_optimizer(s, _kind(chosen)), *choose_regularization(s, _kind(chosen))[1]]
    return [Line("search", ""), *(_nested(line) for line in lines if line.value)]


def _searched_policy(s: Situation) -> Iterator[Line]:
    if s.model == "rl":
        yield Line(
            "budget.batch_size", "{choice: [4, 8, 16]}", "More episodes give a steadier gradient, and fewer steps."
        )
        yield Line("custom.gamma", "{choice: [0.95, 0.98, 0.99]}", "Close to 1 looks further ahead and is noisier.")


def _searched_optimizer(s: Situation, kind: str) -> Iterator[Line]:
    if kind == "sgd":
        why = "Its effect is that of a rate of lr / (1 - momentum), so the two are tuned together."
        yield Line("optimizer.momentum", "{choice: [0.8, 0.9, 0.95, 0.99]}", why)
    if s.task == "scratch" and s.model in ("transformer", "vit"):
        why = "0.95 to 0.98 is reported for long runs of transformers; 0.999 is the default."
        yield Line("optimizer.betas.1", "{choice: [0.95, 0.98, 0.999]}", why)
    if s.adapters:
        yield Line(
            "model.lora_rank", "{choice: [4, 8, 16]}", "A higher rank has more to say, and more to overfit with."
        )
    elif s.task != "scratch" and s.model != "rl":
        yield Line(
            "groups.head_lr_scale", "{choice: [1.0, 10.0, 100.0]}", "As fast as the other layers, or much faster."
        )


def _tail(s: Situation) -> Sequence[Line]:
    runs, startup = (12, 4) if s.wish == "fast" else (32, 10)
    grace = 3 if s.model == "rl" else 1
    stopping = Line("early_stopping", "{kind: none}", "Too few epochs to tell a bad run early.")
    if s.budget > grace * 2:
        why = "Two thirds of the runs stop at each rung: after 1, 3, 9, ... epochs."
        why = why if grace == 1 else "Returns are noisy: no decision before epoch 3."
        stopping = Line("early_stopping", f"{{kind: asha, grace_epochs: {grace}, reduction_factor: 3}}", why)
    sampler = Line("sampler", f"{{kind: tpe, seed: 0, startup: {startup}}}")
    return sampler, stopping, Line("runs", str(runs)), Line("resources", "{cpu: 1, gpu: 0}")


def _written(lines: Sequence[Line]) -> Iterator[str]:
    """Yield the lines of YAML, each under its reason."""
    for line in lines:
        indent = " " * (len(line.key) - len(line.key.lstrip()))
        yield from (f"{indent}# {part}" for part in textwrap.wrap(line.reason, _WIDTH - len(indent) - 2))
        yield f"{line.key}: {line.value}".rstrip()
