"""What the evaluations of one training are called.

It is the end of a metric's name, ``test/nll@ema``, and the ``weights`` of stored predictions. The last step's weights,
``raw``, are the one evaluation that the names of metrics leave out.
"""

from __future__ import annotations

RAW = "raw"
TEMPERATURE = "temperature"


def with_temperature(weights: str) -> str:
    """Return what weights are called whose logits a temperature divides: ``temperature``, ``ema+temperature``."""
    return TEMPERATURE if weights == RAW else f"{weights}+{TEMPERATURE}"


def pruned(fraction: float) -> str:
    """Return what the last step's weights are called without this share of them, in percent: ``pruned50``."""
    return f"pruned{100 * fraction:g}"


def fgsm(epsilon: float) -> str:
    """Return what the last step's weights are called on inputs moved by ``epsilon``: ``fgsm0.1``."""
    return f"fgsm{epsilon:g}"


def metric_name(split: str, metric: str, weights: str = RAW) -> str:
    """Return ``split/metric``, with ``@weights`` for any but the raw ones."""
    return read_from(f"{split}/{metric}", weights)


def read_from(name: str, weights: str) -> str:
    """Return the name under which a metric such as ``test/nll`` is reported for these weights."""
    return name if weights == RAW else f"{name}@{weights}"
