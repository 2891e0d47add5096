"""Hyperparameter importance by two evaluators, from scores after the same number of epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from analysis.statistics.comparison import Goal
from analysis.statistics.intervals import Floats, Interval
from analysis.sweep.evidence import SweepEvidence
from analysis.sweep.fidelity import Fidelity, comparable_scores
from analysis.wording import part_of
from search_spaces import Distribution, Value
from search_spaces.search.distributions import contains, varies
from sweeps.study.importance import importances

Evaluator = Literal["fANOVA", "PED-ANOVA"]

REPEATS: Mapping[Evaluator, int] = {"fANOVA": 20, "PED-ANOVA": 60}  # a forest takes ten times as long
TREES, FEWER_TREES = 64, 8  # for the shares; for each repeat
MIN_BEST = 8  # number of best runs for PED-ANOVA, which needs at least five
LEVEL = (0.05, 0.95)  # twenty repeats do not give more extreme quantiles


@dataclass(frozen=True)
class FieldImportance:
    """Importance of one field.

    Attributes:
        field: Dotted path.
        share: Share of the importance of all fields; the shares of an evaluator sum to 1.
        interval: From the 5 % to the 95 % quantile over resampled runs; None if no resample could be evaluated.
        chance: 95 % quantile of the largest share of any field if the scores are shuffled over the runs. A share below
            it cannot be distinguished from that of a field without effect. It is the same for all fields: with a level
            for each field, some field would be above its own in many sweeps in which no field has an effect.
    """

    field: str
    share: float
    interval: Interval | None
    chance: float | None

    @property
    def above_chance(self) -> bool:
        """Whether the share is larger than with shuffled scores."""
        return self.chance is not None and self.share > self.chance


@dataclass(frozen=True)
class Importances:
    """Importance of all fields by one evaluator.

    Attributes:
        evaluator: `fANOVA`: share of the variance of the score over the whole space (Hutter, Hoos, Leyton-Brown, "An
            Efficient Approach for Assessing Hyperparameter Importance", ICML 2014). `PED-ANOVA`: what distinguishes
            the best runs (Watanabe, Bansal, Hutter, IJCAI 2023).
        fidelity: The compared scores; None if there are too few.
        repeats: Number of bootstrap resamples, and of shuffles.
        fields: Fields, the most important one first; empty if the importance could not be computed.
        left_out: Field -> reason for leaving it out.
        words: Description of the evaluator and its limits.
    """

    evaluator: Evaluator
    fidelity: Fidelity | None
    repeats: int
    fields: tuple[FieldImportance, ...]
    left_out: Mapping[str, str]
    words: str


def rank_fields(evidence: SweepEvidence, evaluator: Evaluator, seed: int, repeats: int | None = None) -> Importances:
    """Return the importance of every searched field.

    Only runs inside all ranges count; the baseline may be outside.

    Args:
        evidence: The sweep.
        evaluator: Definition of importance.
        seed: Seed for the forest, the bootstrap and the shuffling.
        repeats: Number of bootstrap resamples, and of shuffles; `REPEATS` by default.
    """
    count = REPEATS[evaluator] if repeats is None else repeats
    compared = comparable_scores(evidence)
    if compared is None:
        return Importances(
            evaluator,
            None,
            0,
            (),
            {},
            f"Fewer than 8 runs reached the same {evidence.spec.recipe.budget.unit}, too few to compare.",
        )
    search, left_out = _fields(evidence, compared)
    runs = [run for run in evidence.runs if run.number in compared.scores]
    inside = [run for run in runs if all(contains(search[field], run.values[field]) for field in search)]
    points = [run.values for run in inside]
    scores = np.array([compared.scores[run.number] for run in inside], dtype=np.float64)
    evaluation = _Evaluation(evaluator, search, points, evidence.spec.metric.goal, seed)
    shares = evaluation.shares(range(len(points)), scores, TREES) if len(search) > 1 and len(points) > 1 else {}
    if not shares:
        why = (
            "Too many scores are equal to compare."
            if len(search) > 1
            else "There are fewer than two fields to compare."
        )
        return Importances(evaluator, compared, 0, (), left_out, why)
    rng = np.random.default_rng(seed)
    drawn = [rng.integers(0, len(points), len(points)).tolist() for _ in range(count)]
    resampled = [found for order in drawn if (found := evaluation.shares(order, scores[order], FEWER_TREES))]
    mixed = [rng.permutation(scores) for _ in range(count)]
    shuffled = [found for one in mixed if (found := evaluation.shares(range(len(points)), one, FEWER_TREES))]
    chance = float(np.quantile([max(one.values()) for one in shuffled], LEVEL[1])) if shuffled else None
    fields = [_importance(field, share, resampled, chance) for field, share in shares.items()]
    fields.sort(key=lambda one: (-one.share, one.field))
    return Importances(
        evaluator, compared, count, tuple(fields), left_out, _words(evaluator, compared, len(inside), count)
    )


@dataclass(frozen=True)
class _Evaluation:
    """An evaluator with its fixed inputs."""

    evaluator: Evaluator
    search: Mapping[str, Distribution]
    points: Sequence[Mapping[str, Value]]
    goal: Goal
    seed: int

    def shares(self, order: Sequence[int], scores: Floats, trees: int) -> Mapping[str, float]:
        """Return the share of each field, for the points in this order (which may repeat some) and their scores."""
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
    """Return the share of best runs: a tenth, as the authors use, but at least `MIN_BEST` runs and at most half."""
    return min(0.5, max(0.1, MIN_BEST / runs))


def _fields(evidence: SweepEvidence, compared: Fidelity) -> tuple[dict[str, Distribution], dict[str, str]]:
    search: dict[str, Distribution] = {}
    left_out: dict[str, str] = {}
    runs = [run for run in evidence.runs if run.number in compared.scores]
    for field, distribution in sorted(evidence.search.items()):
        having = sum(field in run.values for run in runs)
        if not varies(distribution):
            left_out[field] = "it has one value only"
        elif having < len(runs):
            some = part_of(having, len(runs), "run", "has", "have")
            left_out[field] = f"only {some} it, because it depends on another field"
        else:
            search[field] = distribution
    return search, left_out


def _importance(
    field: str, share: float, resampled: Sequence[Mapping[str, float]], chance: float | None
) -> FieldImportance:
    interval = None
    if resampled:
        low, high = np.quantile([one[field] for one in resampled], LEVEL)
        interval = Interval(float(low), float(high))
    return FieldImportance(field, share, interval, chance)


def _words(evaluator: Evaluator, compared: Fidelity, inside: int, repeats: int) -> str:
    about = (
        "share of the variance of the score over the space"
        if evaluator == "fANOVA"
        else f"what distinguishes the best {_best_share(inside):.0%} of the runs from all runs"
    )
    return (
        f"{evaluator}: {about}, {compared.words}. The intervals are from {repeats} resamples of the runs and show the"
        " influence of single runs. What helps early in training may not help at its end."
    )
