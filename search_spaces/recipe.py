"""Every training hyperparameter of one training: a `Recipe` and its parts.

All classes are frozen, refuse unknown fields and check their arguments where they are born. Numbers are
strict: a text or a bool is not a number, 9 may stand for 9.0 but 9.0 not for 9, and NaN and infinity are
refused.

A default value is part of the meaning of `recipe_hash`, which leaves defaults out: **defaults never
change**. A new field must arrive with the default that does what was done before it existed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated

from pydantic import PlainValidator, StringConstraints

from search_spaces.optimizers import AdamW, Optimizer
from search_spaces.parts import Count, Fraction, Part, Positive
from search_spaces.schedules import Cosine, Schedule
from search_spaces.values import show


class Regularization(Part):
    """What keeps a training from fitting noise or from blowing up.

    Attributes:
        dropout: Probability that an activation is zeroed (Srivastava et al., JMLR 2014).
        label_smoothing: Mass spread evenly over all classes (Szegedy et al., CVPR 2016).
        clip_norm: Largest global gradient norm (Pascanu et al., ICML 2013); None does not clip.
    """

    dropout: Fraction = 0.0
    label_smoothing: Fraction = 0.0
    clip_norm: Positive | None = None


class Budget(Part):
    """How long a training is, and in what portions.

    Attributes:
        epochs: Passes over the training split.
        batch_size: Examples per micro-batch.
        accumulation: Micro-batches per optimizer step.
    """

    epochs: Count = 27
    batch_size: Count = 64
    accumulation: Count = 1


CustomValue = bool | int | float | str


def _check_custom(value: object) -> CustomValue:
    if not isinstance(value, CustomValue):
        raise ValueError(f"must be true, false, a number or a text, found {show(value)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"must be finite, found {value}")
    return value


_CustomName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=100)]


class Recipe(Part):
    """Every training hyperparameter of one training.

    Attributes:
        optimizer: One of `AdamW`, `Adam`, `SGD`.
        schedule: One of `Cosine`, `Linear`, `Constant`.
        regularization: Dropout, label smoothing, clipping.
        budget: Epochs, batch size, accumulation.
        custom: Hyperparameters of a user's own task or training loop, handed over untouched.
    """

    optimizer: Optimizer = AdamW()
    schedule: Schedule = Cosine()
    regularization: Regularization = Regularization()
    budget: Budget = Budget()
    custom: Mapping[_CustomName, Annotated[CustomValue, PlainValidator(_check_custom)]] = {}
