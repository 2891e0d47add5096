"""Names of metrics and of the evaluations of one training.

A metric is named ``split/metric@weights``, such as ``test/nll@ema``, and stored predictions have the same ``weights``.
Names of metrics omit ``@raw``: the weights of the last step.
"""

import re
from typing import Final

from search_spaces.values import show

RAW = "raw"
TEMPERATURE = "temperature"
SCORES: Final = ("nll", "accuracy", "brier", "ece")
"""The metrics of a classifier on one split."""
LONGEST_NAME: Final = 128
"""Characters of a metric's name, including the split; the database has room for these."""

_NAME = re.compile(r"[^\W\d][\w.-]*/\S(.*\S)?")
_WRITTEN = re.compile(
    r"(training|train|validation|valid|val|evaluation|eval|dev|test)[ _.-]+(.+)", re.IGNORECASE | re.DOTALL
)
_WEIGHTS = re.compile(rf"(raw|ema|swa|best|pruned[\d.]+|fgsm[\d.e+-]+)(\+{TEMPERATURE})?|{TEMPERATURE}")
_LOSSES = ("loss", "nll")  # of any split and weights


def check_metric_name(name: object) -> str:
    """Return the name of a metric if a space file may use it and a training may report it.

    Raises:
        ValueError: The name is invalid; the message has the rule and what was found.
    """
    if isinstance(name, str) and len(name) <= LONGEST_NAME and name.isprintable() and _NAME.fullmatch(name):
        return name
    rule = f"must be split/name, such as val/accuracy, of at most {LONGEST_NAME} printable characters"
    raise ValueError(f"{rule}, found {show(name)}")


def metric_of(written: str) -> str:
    """Return the name of a metric for the name that a program gives it.

    A valid name stays. After a split, the separator becomes a slash: ``eval_loss`` -> ``eval/loss``, ``Test.Acc`` ->
    ``Test/Acc``. Every other name is one of the training: ``lr`` -> ``train/lr``.
    """
    name = " ".join(written.split())
    if _NAME.fullmatch(name):
        return name
    split = _WRITTEN.fullmatch(name)
    return f"{split[1]}/{split[2]}" if split else f"train/{name}"


def split_weights(name: str) -> tuple[str, str]:
    """Return a metric without its split and its weights: ``val/nll@ema`` -> ``("nll", "ema")``.

    ``val/hits@10`` is a metric of the raw weights.
    """
    metric = name.partition("/")[2]
    plain, _, weights = metric.rpartition("@")
    return (plain, weights) if plain and _WEIGHTS.fullmatch(weights) else (metric, RAW)


def must_be_finite(name: str, metric: str) -> bool:
    """Return whether a run ends when this metric is not finite: a loss, or the metric of the sweep.

    Any other metric may be undefined in an epoch, such as the AUC of a single class.
    """
    return name == metric or split_weights(name)[0] in _LOSSES


def evaluation_words(weights: str) -> str:
    """Return how predictions were made, for a caption: ``as trained``, ``ema weights, after T``."""
    base = weights.removesuffix(f"+{TEMPERATURE}")
    words = {RAW: "as trained", TEMPERATURE: "after T"}.get(base, f"{base} weights")
    return words if base == weights else f"{words}, after T"


def with_temperature(weights: str) -> str:
    """Return the name of weights with temperature scaling: ``temperature`` or ``ema+temperature``."""
    return TEMPERATURE if weights == RAW else f"{weights}+{TEMPERATURE}"


def pruned(fraction: float) -> str:
    """Return the name of the raw weights with this fraction of them pruned, in percent: ``pruned50``."""
    return f"pruned{100 * fraction:g}"


def fgsm(epsilon: float) -> str:
    """Return the name of the raw weights under an FGSM attack of size ``epsilon``: ``fgsm0.1``."""
    return f"fgsm{epsilon:g}"


def metric_name(split: str, metric: str, weights: str = RAW) -> str:
    """Return ``split/metric``, with ``@weights`` unless they are raw."""
    return read_from(f"{split}/{metric}", weights)


def read_from(name: str, weights: str) -> str:
    """Return the name of a metric such as ``test/nll`` for these weights."""
    return name if weights == RAW else f"{name}@{weights}"
