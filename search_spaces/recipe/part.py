"""The base class of every part of a spec, and the number types of its fields."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.types import Strict

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1, le=10**9)]
Steps = Annotated[int, Field(ge=0, le=10**9)]


class Part(BaseModel):
    """Base class of every part of a spec: frozen, strict, no unknown fields, finite numbers.

    `HINTS` maps names of fields that are missing on purpose to a message about what to use instead.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    HINTS: ClassVar[Mapping[str, str]] = {}


Decay = Literal["all", "matrices", "none"]


# YAML and JSON write a tuple as a list; the items stay strict.
Betas = Annotated[tuple[Fraction, Fraction], Strict(False)]
