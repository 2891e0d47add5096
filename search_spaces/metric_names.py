"""Names of metrics and of the evaluations of one training.

A metric is named ``split/metric@weights``, such as ``test/nll@ema``, and stored predictions have the same ``weights``.
Names of metrics omit ``@raw``: the weights of the last step.
"""

RAW = "raw"
TEMPERATURE = "temperature"


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
