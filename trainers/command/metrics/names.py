"""From the names that a program writes to names of metrics of the form ``split/name``.

1. A name of ``rename`` is replaced, whether it is the written name or the one that rules 2 to 4 make of it.
2. A name that is already valid stays: ``val/loss``, ``Loss/train``.
3. After a split, the separator becomes a slash: ``eval_loss`` -> ``eval/loss``, ``train loss`` -> ``train/loss``,
   ``Test.Acc`` -> ``Test/Acc``. Splits: train, training, val, valid, validation, eval, evaluation, dev and test.
4. Every other name is one of the training: ``lr`` -> ``train/lr``.

A name that is still invalid is left out, and so is every new name after the first 1,000.
"""

import re
from collections.abc import Mapping
from typing import Final

from search_spaces.errors import UsageError
from search_spaces.metric_names import check_metric_name
from search_spaces.values import show
from trainers.command.metrics.reading import Remarks

MOST_NAMES: Final = 1000
"""Different names of one program; more are a mistake, such as numbers in names, and would fill the database."""
SPLITS: Final = "training|train|validation|valid|val|evaluation|eval|dev|test"

_SPLIT = re.compile(rf"({SPLITS})[ _.-]+(.+)", re.IGNORECASE | re.DOTALL)


class Names:
    """Names the metrics of one program.

    Args:
        rename: Names of metrics by the names that they replace.
        remarks: Where names that are left out are reported.

    Raises:
        UsageError: A new name is not a valid name of a metric.
    """

    def __init__(self, rename: Mapping[str, str], remarks: Remarks) -> None:
        self._rename = dict(rename)
        self._remarks = remarks
        self._known: dict[str, str | None] = {}
        problems = [f"rename: {show(old)}: {wrong}" for old, new in self._rename.items() if (wrong := _invalid(new))]
        if problems:
            raise UsageError(*problems)

    def apply(self, written: Mapping[str, float]) -> dict[str, float]:
        """Return the values by the names of their metrics, without those that have no valid name."""
        values: dict[str, float] = {}
        for name, value in written.items():
            metric = self._known[name] if name in self._known else self._learn(name)
            if metric is None:
                continue
            if metric in values:
                self._remarks.add(f"{metric} has two names on one line; the first one counts: rename {show(name)}")
            else:
                values[metric] = value
        return values

    def _learn(self, name: str) -> str | None:
        if len(self._known) >= MOST_NAMES:
            self._remarks.add(f"more than {MOST_NAMES} names of metrics: {show(name)} and later new ones are left out")
            return None
        metric: str | None = self._rename.get(name) or metric_of(name)
        metric = self._rename.get(metric or "", metric)
        if metric is None or (wrong := _invalid(metric)):
            self._remarks.add(f"{show(name)} is left out: a metric's name {wrong if metric else 'may not be empty'}")
            metric = None
        self._known[name] = metric
        return metric


def metric_of(name: str) -> str | None:
    """Return the name of a metric for a name without a new one, by rules 2 to 4, or ``None`` for an empty one."""
    name = " ".join(name.split())
    if not name or _invalid(name) is None:
        return name or None
    split = _SPLIT.fullmatch(name)
    return f"{split[1]}/{split[2]}" if split else f"train/{name}"


def _invalid(name: str) -> str | None:
    try:
        check_metric_name(name)
    except ValueError as error:
        return str(error)
    return None
