"""Recommend a space to start from: a complete space file, with the reason for each choice as a comment."""

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar, get_args

from search_spaces.recommend.decisions import (
    Approach,
    Architecture,
    Line,
    OptimizerChoice,
    Priority,
    Situation,
    choose_budget,
    choose_optimizer,
    choose_regularization,
    choose_schedule,
)
from search_spaces.specs.builtin_tasks import BUILTIN_TASKS

Prompt = Callable[[str, Sequence[str]], str]
"""Takes a question and the valid answers, and returns what the user typed; an empty text selects the first answer.
A question for a number has its default as the only answer."""

_WIDTH = 118
_MOST_DIGITS = 9  # of a count in a recipe
_Option = TypeVar("_Option", bound=str)


@dataclass(frozen=True)
class Recommendation:
    """A space to start from.

    Attributes:
        text: Space file, as YAML.
        reasons: Reasons for the choices, in the order of the file.
        task: Built-in task of the same model family, to be replaced by the user's own.
    """

    text: str
    reasons: tuple[str, ...]
    task: str


class _Example(NamedTuple):
    """A built-in task as an example of the user's own.

    Attributes:
        task: Name of the built-in task.
        model: Section `model` of the recipe, as YAML.
        arguments: Arguments of the task, as YAML.
        note: Difference from what the user asked for.
    """

    task: str
    model: str = ""
    arguments: str = ""
    note: str = ""


_TEXT = _Example("text", arguments="{length: 32}")
_EXAMPLES: Mapping[tuple[Architecture, bool], _Example] = {
    ("transformer", False): _Example("characters", "{kind: transformer, width: 64, depth: 2}"),
    ("transformer", True): _TEXT,
    ("vit", False): _Example("digits", "{kind: transformer, width: 64, depth: 2}"),
    ("vit", True): _TEXT._replace(note="No built-in vision transformer is pretrained, so this one reads text."),
    ("cnn", False): _Example("digits", "{kind: cnn}"),
    ("cnn", True): _Example("mnist1d_transfer"),
    ("rnn", False): _Example("mnist1d", "{kind: gru, init: orthogonal}"),
    ("rnn", True): _Example("mnist1d", "{kind: gru}", note="No built-in recurrent network is pretrained."),
    ("mlp", False): _Example("mnist1d", "{kind: mlp}"),
    ("mlp", True): _Example("mnist1d", "{kind: mlp}", note="No built-in perceptron is pretrained."),
    ("rl", False): _Example("cartpole"),
    ("rl", True): _Example("cartpole", note="Its policy is not pretrained."),
}
"""Example for each architecture, from scratch and pretrained."""


def recommend_space(situation: Situation) -> Recommendation:
    """Return the space to start from in a situation."""
    example = _EXAMPLES[situation.model, situation.approach != "scratch"]
    blocks = (_head(example), _recipe(situation, example), _search(situation), _tail(situation))
    lines = [line for block in blocks for line in block]
    text = "\n\n".join("\n".join(_written(block)) for block in blocks)
    reasons = tuple(line.reason for line in lines if line.reason)
    return Recommendation(f"# {_title(situation)}\n{text}\n", reasons, example.task)


def ask_situation(prompt: Prompt) -> Situation:
    """Ask the user for the situation. A question is repeated until its answer is valid."""
    return Situation(
        model=_choose(prompt, "Which model architecture?", get_args(Architecture)),
        approach=_choose(prompt, "Train from scratch, fine-tune all weights, or train adapters?", get_args(Approach)),
        batch=_count(prompt, "How many examples per batch?", 64),
        data=_count(prompt, "How many training examples?", 5000),
        epochs=_count(prompt, "How many epochs per run? 0 uses the recommended number.", 0, low=0) or None,
        priority=_choose(prompt, "The best result, or a good result fast?", get_args(Priority)),
    )


def _choose(prompt: Prompt, question: str, options: tuple[_Option, ...]) -> _Option:
    asked = question
    while True:
        answer = prompt(asked, options).strip().lower() or options[0]
        for option in options:
            if option == answer:
                return option
        asked = f"{question} Enter one of {', '.join(options)}."


def _count(prompt: Prompt, question: str, default: int, low: int = 1) -> int:
    asked = question
    while True:
        answer = prompt(asked, (str(default),)).strip().replace(",", "").replace("_", "") or str(default)
        if answer.isascii() and answer.isdecimal() and len(answer) <= _MOST_DIGITS and int(answer) >= low:
            return int(answer)
        asked = f"{question} Enter a whole number of at least {low}."


def _title(s: Situation) -> str:
    approach = {"scratch": "from scratch", "finetune": "fine-tuned", "lora": "with adapters"}[s.approach]
    priority = "the best result" if s.priority == "best" else "a good result fast"
    return f"{s.model}, {approach}, batches of {s.batch:,}, {s.data:,} training examples: {priority}."


def _head(example: _Example) -> Sequence[Line]:
    why = "An example. Replace it with your own task, written as my_package.my_module:MyTask (docs/tasks.md)."
    task = f"{{{example.task}: {example.arguments}}}" if example.arguments else example.task
    metric = f"{{name: {BUILTIN_TASKS[example.task].metric}, goal: {BUILTIN_TASKS[example.task].goal}}}"
    return Line("kind", "sweep"), Line("task", task, f"{why} {example.note}".strip()), Line("metric", metric)


def _recipe(s: Situation, example: _Example) -> Sequence[Line]:
    chosen = choose_optimizer(s)
    decay = f", weight_decay: {chosen.decay}, decay: matrices" if chosen.decay else ""
    optimizer = f"{{kind: {chosen.kind}, lr: {chosen.lr}{decay}}}"
    kind = _kind(chosen)
    return (
        Line("recipe", "", "Run 0 uses this recipe unchanged. It is the baseline that the sweep must beat."),
        Line("  optimizer", optimizer, chosen.reason),
        *(_nested(line) for line in _groups(s)),
        _nested(choose_schedule(s)[0]),
        _nested(choose_regularization(s, kind)[0]),
        *([Line("  model", example.model)] if example.model else _adapters(s)),
        _nested(choose_budget(s, kind)),
        *([Line("  custom", "{updates: 4, evaluations: 8, gamma: 0.99, entropy: 0.01}")] if s.model == "rl" else []),
    )


def _kind(chosen: OptimizerChoice) -> str:
    return chosen.kind.partition(",")[0]


def _nested(line: Line) -> Line:
    return line._replace(key=f"  {line.key}")


def _groups(s: Situation) -> Iterator[Line]:
    if s.approach == "lora" and not s.adapters:
        why = f"Only transformers have adapters here, so all of the {s.model} is fine-tuned, its head at a higher rate."
    else:
        why = "The head is untrained: it needs 10 to 100 times the rate of the pretrained layers."
    if s.approach != "scratch" and not s.adapters and s.model != "rl":
        yield Line("groups", "{head_lr_scale: 10.0}", why)


def _adapters(s: Situation) -> Iterator[Line]:
    if s.adapters:
        why = "Rank 8 is the paper's usual choice; alpha = 2 x rank is common practice."
        yield Line("  model", "{lora_rank: 8, lora_alpha: 16.0}", why)


def _search(s: Situation) -> Sequence[Line]:
    chosen = choose_optimizer(s)
    lines = [
        Line("optimizer.lr", chosen.lr_range, "Wider than the typical range, so that the best value is not at an end."),
        Line("optimizer.weight_decay", chosen.decay_range, chosen.decay_reason),
        choose_schedule(s)[1],
        *_searched_policy(s),
    ]
    if s.priority == "best":
        lines += [*_searched_optimizer(s, _kind(chosen)), *choose_regularization(s, _kind(chosen))[1]]
    return [Line("search", ""), *(_nested(line) for line in lines if line.value)]


def _searched_policy(s: Situation) -> Iterator[Line]:
    if s.model == "rl":
        yield Line(
            "budget.batch_size", "{choice: [4, 8, 16]}", "More episodes give a less noisy gradient, but fewer updates."
        )
        yield Line(
            "custom.gamma", "{choice: [0.95, 0.98, 0.99]}", "Values closer to 1 look further ahead, but are noisier."
        )


def _searched_optimizer(s: Situation, kind: str) -> Iterator[Line]:
    if kind == "sgd":
        why = "Tuned with the learning rate, since the effective rate is lr / (1 - momentum)."
        yield Line("optimizer.momentum", "{choice: [0.8, 0.9, 0.95, 0.99]}", why)
    if s.approach == "scratch" and s.model in ("transformer", "vit"):
        why = "0.95 to 0.98 is reported for long runs of transformers; 0.999 is the default."
        yield Line("optimizer.betas.1", "{choice: [0.95, 0.98, 0.999]}", why)
    if s.adapters:
        yield Line(
            "model.lora_rank", "{choice: [4, 8, 16]}", "A higher rank is more expressive, but overfits more easily."
        )
    elif s.approach != "scratch" and s.model != "rl":
        yield Line(
            "groups.head_lr_scale",
            "{choice: [1.0, 10.0, 100.0]}",
            "From the same rate as the other layers to a much higher one.",
        )


def _tail(s: Situation) -> Sequence[Line]:
    runs, startup = (12, 4) if s.priority == "fast" else (32, 10)
    grace = 3 if s.model == "rl" else 1
    stopping = Line("early_stopping", "{kind: none}", "Too few epochs to recognize a bad run early.")
    if s.budget > grace * 2:
        why = "Two thirds of the runs stop at each rung: after 1, 3, 9, ... epochs."
        why = why if grace == 1 else "Returns are noisy, so no run is stopped before epoch 3."
        stopping = Line("early_stopping", f"{{kind: asha, grace_epochs: {grace}, reduction_factor: 3}}", why)
    sampler = Line("sampler", f"{{kind: tpe, seed: 0, startup: {startup}}}")
    return sampler, stopping, Line("runs", str(runs)), Line("resources", "{cpu: 1, gpu: 0}")


def _written(lines: Sequence[Line]) -> Iterator[str]:
    """Yield the lines of YAML, each below its reason."""
    for line in lines:
        indent = " " * (len(line.key) - len(line.key.lstrip()))
        yield from (f"{indent}# {part}" for part in textwrap.wrap(line.reason, _WIDTH - len(indent) - 2))
        yield f"{line.key}: {line.value}".rstrip()
