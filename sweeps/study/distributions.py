"""Distributions of a space as Optuna's distributions."""

import json
from typing import assert_never

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from search_spaces import (
    Choice,
    Constant,
    Distribution,
    LogUniform,
    Normal,
    QUniform,
    RandInt,
    Uniform,
    Value,
)


def optuna_distribution(distribution: Distribution) -> BaseDistribution | None:
    """Optuna's word for one of ours; ``None`` for a constant, which is no parameter."""
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
            return FloatDistribution(*distribution.ends)  # Optuna has no normal: its samplers see the range only
        case Choice(options):
            return CategoricalDistribution([shown_label(option) for option in options])
        case Constant():
            return None
        case _:
            assert_never(distribution)


def _ends(distribution: Normal | Uniform | LogUniform | RandInt) -> tuple[float, float]:
    low, high = distribution.edges()
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        raise TypeError(f"{distribution} has no numeric ends")
    return low, high


def shown_label(option: Value) -> str | int | float | bool | None:
    """Optuna's categories are scalars; a list is shown as its JSON text."""
    return json.dumps(option) if isinstance(option, tuple | list) else option


def suggest_value(trial: optuna.Trial, name: str, distribution: BaseDistribution) -> str | int | float | bool | None:
    """Ask a trial for the value of one parameter."""
    match distribution:
        case FloatDistribution():
            one = distribution
            return trial.suggest_float(name, one.low, one.high, step=one.step, log=one.log)
        case IntDistribution():
            return trial.suggest_int(name, distribution.low, distribution.high)
        case CategoricalDistribution():
            return trial.suggest_categorical(name, distribution.choices)
        case _:
            raise TypeError(f"{distribution} is none that optuna_distribution makes")
