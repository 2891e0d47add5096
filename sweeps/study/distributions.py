"""Convert distributions of a space to those of Optuna."""

import json
from collections.abc import Sequence
from typing import assert_never

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from search_spaces import Choice, Constant, Distribution, LogUniform, Normal, QUniform, RandInt, Uniform, Value
from search_spaces.values import Scalar, identity

OptunaValue = Scalar
"""The value of a parameter in an Optuna trial."""


def optuna_distribution(distribution: Distribution) -> BaseDistribution | None:
    """Return the distribution in Optuna, or ``None`` for a constant, which is not a parameter there."""
    match distribution:
        case LogUniform(low, high):
            return FloatDistribution(low, high, log=True)
        case Uniform(low, high):
            return FloatDistribution(low, high)
        case QUniform(low, high, q):
            return FloatDistribution(low, high, step=q)
        case RandInt(low, high):
            return IntDistribution(low, high)
        case Normal():
            return FloatDistribution(
                *distribution.ends
            )  # Optuna has no normal distribution; its samplers use the range only
        case Choice(options):
            return CategoricalDistribution(_categories(options))
        case Constant():
            return None
        case _:
            assert_never(distribution)


def _categories(options: Sequence[Value]) -> Sequence[OptunaValue]:
    """Return the Optuna category of each option: a scalar, or the JSON text of a list.

    Optuna finds a category by equality, for which true is 1. If two categories are equal, every one is a JSON text.
    """
    categories = [json.dumps(option) if isinstance(option, tuple) else option for option in options]
    if len(set(categories)) == len(categories):
        return categories
    return [json.dumps(option, ensure_ascii=False) for option in options]


def to_optuna(distribution: Distribution, value: Value) -> OptunaValue:
    """Return a value of a distribution as an Optuna trial stores it."""
    if isinstance(distribution, Choice):
        at = [*map(identity, distribution.options)].index(identity(value))
        return _categories(distribution.options)[at]
    assert not isinstance(value, tuple)  # noqa: S101  ranges have numbers only
    return value


def from_optuna(distribution: Distribution, stored: OptunaValue) -> Value:
    """Return the value of a distribution for what an Optuna trial stores."""
    if isinstance(distribution, Choice):
        return distribution.options[_categories(distribution.options).index(stored)]
    if isinstance(distribution, QUniform) and isinstance(stored, int | float):
        # Optuna counts up in floats: 0.1 + 0.1 + 0.1
        return distribution.at(round((stored - distribution.low) / distribution.q))
    return stored


def suggest_value(trial: optuna.Trial, name: str, distribution: BaseDistribution) -> OptunaValue:
    """Return the value that a trial suggests for one parameter."""
    match distribution:
        case FloatDistribution():
            one = distribution
            return trial.suggest_float(name, one.low, one.high, step=one.step, log=one.log)
        case IntDistribution():
            return trial.suggest_int(name, distribution.low, distribution.high)
        case CategoricalDistribution():
            return trial.suggest_categorical(name, distribution.choices)
        case _:
            raise TypeError(f"unexpected distribution {distribution}")
