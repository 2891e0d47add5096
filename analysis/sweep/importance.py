"""Which searched fields the score hangs on, by two evaluators, among runs that trained equally long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from analysis.statistics.comparison import Goal
from analysis.statistics.intervals import Floats, Interval
from analysis.sweep.evidence import SweepEvidence
from analysis.sweep.fidelity import Fidelity, comparable_scores
from search_spaces import Constant, Distribution, Value
from search_spaces.search.distributions import lies_in
from sweeps.study.importance import importances

Evaluator = Literal["fANOVA", "PED-ANOVA"]

REPEATS: Mapping[Evaluator, int] = {"fANOVA": 20, "PED-ANOVA": 60}  # a forest takes ten times as long
TREES, FEWER_TREES = 64, 8  # of the shares themselves; of each repeat
TOP = 8  # runs: PED-ANOVA asks what the best ones have in common, and wants five of them at least
LEVEL = (0.05, 0.95)  # of twenty repeats nothing further out can be read


@dataclass(frozen=True)
class FieldImportance:
    """One field.

    Attributes:
        field: Dotted path.
        share: Of all fields' importance; the shares of a table sum to 1.
        interval: From the 5 % to the 95 % quantile over resampled runs; None where no resample could be judged.
        chance: The share, at its 95 % quantile, that the field gets where the scores are shuffled over the runs: one
            below it cannot be told from a field that the score does not hang on.
    """

    field: str
    share: float
    interval: Interval | None
    chance: float | None

    @property
    def above_chance(self) -> bool:
        """Whether it is more than shuffled scores give."""
        return self.chance is not None and self.share > self.chance


@dataclass(frozen=True)
class Importances:
    """What one evaluator says.

    Attributes:
        evaluator: `fANOVA`: share of the variance of the score over the whole space (Hutter, Hoos, Leyton-Brown, "An
            Efficient Approach for Assessing Hyperparameter Importance", ICML 2014). `PED-ANOVA`: what sets the best
            runs apart (Watanabe, Bansal, Hutter, IJCAI 2023).
        fidelity: Which scores it is about; None where there are too few.
        repeats: Of the bootstrap, and of the shuffling.
        fields: The most important one first; empty where nothing can be said.
        left_out: Field -> why.
        words: What it is about, and how far to trust it.
    """

    evaluator: Evaluator
    fidelity: Fidelity | None
    repeats: int
    fields: tuple[FieldImportance, ...]
    left_out: Mapping[str, str]
    words: str


def rank_fields(evidence: SweepEvidence, evaluator: Evaluator, seed: int, repeats: int | None = None) -> Importances:
    """Return the importance of every searched field.

    Only runs that lie in the ranges count: a baseline outside of them does not.

    Args:
        evidence: The sweep.
        evaluator: By whose definition.
        seed: Of the forest, the bootstrap and the shuffling.
        repeats: Of the bootstrap, and of the shuffling; `REPEATS` by default.
    """
    count = REPEATS[evaluator] if repeats is None else repeats
    compared = comparable_scores(evidence)
    if compared is None:
        return Importances(evaluator, None, 0, (), {}, "Fewer than 8 runs reached the same epoch: too few to tell.")
    search, left_out = _fields(evidence, compared)
    runs = [run for run in evidence.runs if run.number in compared.scores]
    inside = [run for run in runs if all(lies_in(search[field], run.values[field]) for field in search)]
    points = [run.values for run in inside]
    scores = np.array([compared.scores[run.number] for run in inside], dtype=np.float64)
    evaluation = _Evaluation(evaluator, search, points, evidence.spec.metric.goal, seed)
    shares = evaluation.shares(range(len(points)), scores, TREES) if len(search) > 1 and len(points) > 1 else {}
    if not shares:
        why = "Too many scores are alike to tell." if len(search) > 1 else "There are fewer than two fields to compare."
        return Importances(evaluator, compared, 0, (), left_out, why)
    rng = np.random.default_rng(seed)
    drawn = [rng.integers(0, len(points), len(points)).tolist() for _ in range(count)]
    resampled = [found for order in drawn if (found := evaluation.shares(order, scores[order], FEWER_TREES))]
    mixed = [rng.permutation(scores) for _ in range(count)]
    shuffled = [found for one in mixed if (found := evaluation.shares(range(len(points)), one, FEWER_TREES))]
    fields = [_importance(field, share, resampled, shuffled) for field, share in shares.items()]
    fields.sort(key=lambda one: (-one.share, one.field))
    return Importances(
        evaluator, compared, count, tuple(fields), left_out, _words(evaluator, compared, len(inside), count)
    )


@dataclass(frozen=True)
class _Evaluation:
    """Everything about an evaluation but the scores."""

    evaluator: Evaluator
    search: Mapping[str, Distribution]
    points: Sequence[Mapping[str, Value]]
    goal: Goal
    seed: int

    def shares(self, order: Sequence[int], scores: Floats, trees: int) -> Mapping[str, float]:
        """Of the points in this order, which may repeat some, with a score each."""
        return importances(
            self.evaluator,
            self.search,
            [self.points[index] for index in order],
            scores.tolist(),
            self.goal,
            seed=self.seed % 2**32,
            trees=trees,
            best=_best_share(len(scores)),
        )


def _best_share(runs: int) -> float:
    """A tenth of the runs, as its authors have it, but no fewer than `TOP` of them, and no more than half."""
    return min(0.5, max(0.1, TOP / runs))


def _fields(evidence: SweepEvidence, compared: Fidelity) -> tuple[dict[str, Distribution], dict[str, str]]:
    search: dict[str, Distribution] = {}
    left_out: dict[str, str] = {}
    runs = [run for run in evidence.runs if run.number in compared.scores]
    for field, distribution in sorted(evidence.search.items()):
        having = sum(field in run.values for run in runs)
        if isinstance(distribution, Constant) or len(set(distribution.edges())) < 2:
            left_out[field] = "has one value only"
        elif having < len(runs):
            left_out[field] = f"only {having} of {len(runs)} runs have it: it is conditional on another field"
        else:
            search[field] = distribution
    return search, left_out


def _importance(
    field: str, share: float, resampled: Sequence[Mapping[str, float]], shuffled: Sequence[Mapping[str, float]]
) -> FieldImportance:
    interval = None
    if resampled:
        low, high = np.quantile([one[field] for one in resampled], LEVEL)
        interval = Interval(float(low), float(high))
    chance = float(np.quantile([one[field] for one in shuffled], LEVEL[1])) if shuffled else None
    return FieldImportance(field, share, interval, chance)


def _words(evaluator: Evaluator, compared: Fidelity, inside: int, repeats: int) -> str:
    about = (
        "share of the variance of the score over the space"
        if evaluator == "fANOVA"
        else f"what sets the best {_best_share(inside):.0%} of the runs apart from all of them"
    )
    return (
        f"{evaluator}: {about}, {compared.words}. The intervals are of {repeats} resamples of the runs and say how much"
        " hangs on single runs; what helps early in training may not help at its end."
    )
