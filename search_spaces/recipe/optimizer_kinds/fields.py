"""The fields that several optimizers share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic.types import Strict

from search_spaces.recipe.part import Fraction

Decay = Literal["all", "matrices", "none"]
"""Which parameters weight decay shrinks: all of them, weight matrices only (not biases, norm scales and
other one-dimensional parameters), or none."""

# YAML and JSON write a tuple as a list; the items stay strict.
Betas = Annotated[tuple[Fraction, Fraction], Strict(False)]
