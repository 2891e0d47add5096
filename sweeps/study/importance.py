"""Hyperparameter importance, by two evaluators of Optuna."""

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Literal

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.storages import InMemoryStorage

from search_spaces import Choice, Distribution, LogUniform, Value
from search_spaces.recipe.reported import Goal
from sweeps.study.distributions import OptunaValue, optuna_distribution, to_optuna

_LARGEST = 1e30


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
    """Return the importance of each field; the importances sum to 1. Empty if too many scores are equal.

    fANOVA (Hutter et al., ICML 2014) measures how much of the variance of the scores each field explains over the whole
    space. PED-ANOVA (Watanabe et al., IJCAI 2023) measures in which fields the best runs differ from all runs.

    Args:
        evaluator: Method.
        search: Searched field -> distribution; no constants.
        points: Values of all fields for each run, inside their distributions.
        scores: Finite score of each run.
        goal: ``maximize`` or ``minimize``.
        seed: Seed for the random forest of fANOVA.
        trees: Number of trees of that forest.
        best: Share of the runs that PED-ANOVA takes as the best ones.
    """
    if len(set(scores)) < 2:
        return {}
    study = optuna.create_study(storage=InMemoryStorage(), direction=goal)
    # fANOVA averages over values, and nine tenths of a log range are in its last decade. So it gets the logarithms.
    distributions = {path: _log_range(one) for path, one in search.items()}
    for point, score in zip(points, scores, strict=True):
        params = {path: _logarithm(one, point[path]) for path, one in search.items()}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=distributions, value=score))
    found = _evaluate(study, evaluator, seed, trees, best)
    total = sum(found.values())
    return {path: float(found[path] / total) for path in search} if total > 0.0 else {}


def _evaluate(study: optuna.Study, evaluator: str, seed: int, trees: int, best: float) -> dict[str, float]:
    # Loads scikit-learn and pandas, which takes two seconds and is not needed in a driver.
    from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator, get_param_importances

    method: FanovaImportanceEvaluator | PedAnovaImportanceEvaluator
    if evaluator == "fANOVA":
        method = FanovaImportanceEvaluator(n_trees=trees, seed=seed)
    else:
        method = PedAnovaImportanceEvaluator(target_quantile=best)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # harmless: ties among the best scores, and normalize
        try:
            return get_param_importances(study, evaluator=method, normalize=False)
        except RuntimeError:  # every tree of fANOVA was given equal scores
            return {}


def _log_range(distribution: Distribution) -> BaseDistribution:
    converted = optuna_distribution(distribution)
    if converted is None:
        raise ValueError("a constant has no importance")
    if isinstance(distribution, LogUniform):
        return FloatDistribution(math.log(distribution.low), math.log(distribution.high))
    return FloatDistribution(-1.0, 1.0) if _scale(distribution) > 1.0 else converted


def _scale(distribution: Distribution) -> float:
    """Return the divisor that makes the values of a range fit into 32 bits, as fANOVA needs; 1.0 for most ranges."""
    ends = [float(end) for end in distribution.edges() if isinstance(end, int | float)]
    most = max(map(abs, ends), default=0.0)
    return most if most > _LARGEST and not isinstance(distribution, Choice) else 1.0


def _logarithm(distribution: Distribution, value: Value) -> OptunaValue:
    if not isinstance(distribution, LogUniform):
        scale, stored = _scale(distribution), to_optuna(distribution, value)
        return stored / scale if scale > 1.0 and isinstance(stored, int | float) else stored
    assert isinstance(value, int | float)  # noqa: S101  the caller passes values in the range
    return min(max(math.log(value), math.log(distribution.low)), math.log(distribution.high))
