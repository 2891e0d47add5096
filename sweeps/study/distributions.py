"""Convert distributions of a space to those of Optuna."""

import json
from typing import assert_never

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from search_spaces import Choice, Constant, Distribution, LogUniform, Normal, QUniform, RandInt, Uniform, Value


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
            return CategoricalDistribution([shown_label(option) for option in options])
        case Constant():
            return None
        case _:
            assert_never(distribution)


def shown_label(option: Value) -> str | int | float | bool | None:
    """Return the Optuna category of an option: a scalar, or the JSON text of a list."""
    return json.dumps(option) if isinstance(option, tuple | list) else option


def suggest_value(trial: optuna.Trial, name: str, distribution: BaseDistribution) -> str | int | float | bool | None:
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
