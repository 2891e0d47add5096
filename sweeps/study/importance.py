"""Which searched fields the scores of a sweep depend on, by the two evaluators that Optuna has."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Literal

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.storages import InMemoryStorage

from search_spaces import Distribution, LogUniform, Value
from search_spaces.specs.space import Goal
from sweeps.study.distributions import optuna_distribution, shown_label


def importances(
    evaluator: Literal["fANOVA", "PED-ANOVA"],
    search: Mapping[str, Distribution],
    points: Sequence[Mapping[str, Value]],
    scores: Sequence[float],
    goal: Goal,
    *,
    seed: int = 0,
    trees: int = 64,
    best: float = 0.25,
) -> dict[str, float]:
    """Share of each field in what the scores differ by; the shares sum to 1. Empty where too many scores are alike.

    fANOVA (Hutter et al., ICML 2014) says what the score varies with over the whole space; PED-ANOVA (Watanabe et al.,
    IJCAI 2023) says which fields the best runs differ in from all runs.

    Args:
        evaluator: Which.
        search: Distribution of each field: none of one value alone.
        points: A value of every field for each run, inside its distribution.
        scores: One a point, finite.
        goal: ``maximize`` or ``minimize``.
        seed: Of the forest of fANOVA.
        trees: Of that forest.
        best: Share of the runs that are the best ones to PED-ANOVA.
    """
    if len(set(scores)) < 2:
        return {}
    study = optuna.create_study(storage=InMemoryStorage(), direction=goal)
    # fANOVA takes the mean over values, where nine tenths of a log range are its last decade: it gets the logarithms.
    words = {path: _unlogged(one) for path, one in search.items()}
    for point, score in zip(points, scores, strict=True):
        params = {path: _logarithm(one, point[path]) for path, one in search.items()}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=words, value=score))
    found = _judged(study, evaluator, seed, trees, best)
    total = sum(found.values())
    return {path: float(found[path] / total) for path in search} if total > 0.0 else {}


def _judged(study: optuna.Study, evaluator: str, seed: int, trees: int, best: float) -> dict[str, float]:
    # Loads scikit-learn and pandas, two seconds that no driver should wait for.
    from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator, get_param_importances

    judge: FanovaImportanceEvaluator | PedAnovaImportanceEvaluator
    if evaluator == "fANOVA":
        judge = FanovaImportanceEvaluator(n_trees=trees, seed=seed)
    else:
        judge = PedAnovaImportanceEvaluator(target_quantile=best)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of ties among the best, which come to nothing; and of normalize
        try:
            return get_param_importances(study, evaluator=judge, normalize=False)
        except RuntimeError:  # every tree of fANOVA saw scores that are all alike
            return {}


def _unlogged(distribution: Distribution) -> BaseDistribution:
    word = optuna_distribution(distribution)
    if word is None:
        raise ValueError("a constant has no importance")
    if isinstance(distribution, LogUniform):
        return FloatDistribution(math.log(distribution.low), math.log(distribution.high))
    return word


def _logarithm(distribution: Distribution, value: Value) -> str | int | float | bool | None:
    if not isinstance(distribution, LogUniform):
        return shown_label(value)
    assert isinstance(value, int | float)  # noqa: S101  it lies in the range, as the caller promised
    return min(max(math.log(value), math.log(distribution.low)), math.log(distribution.high))
