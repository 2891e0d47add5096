"""Alternatives of a section, each with values and ranges of its own: `optimizer: {one_of: [...]}`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from search_spaces.search.distributions import Distribution, Value


@dataclass(frozen=True)
class Alternative:
    """One kind that a section may have.

    Attributes:
        kind: Of the section; no two alternatives share one, so that a recipe tells which of them it is.
        settings: Values of this alternative, by their names in the section. What is neither here nor in `search` is
            the base recipe's where that has the same kind, and else the kind's default.
        search: Distribution of each of its searched fields, by their names in the section.
    """

    kind: str
    settings: Mapping[str, Value] = field(default_factory=dict)
    search: Mapping[str, Distribution] = field(default_factory=dict)
