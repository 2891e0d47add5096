"""The means of the primary metric for two factors on and off, which show an interaction."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from search_spaces import AblationSpec


@dataclass(frozen=True)
class Crossing:
    """Means for two factors on and off.

    Attributes:
        design: `matched` or `retuned`.
        first: Name of the first factor.
        second: Name of the second factor.
        means: (first is on, second is on) -> mean of the primary metric over these arms.
    """

    design: str
    first: str
    second: str
    means: Mapping[tuple[bool, bool], float]


def crossings(spec: AblationSpec, means: Mapping[tuple[str, str], float | None]) -> tuple[Crossing, ...]:
    """Return the crossing of every two factors whose interaction the arrangement estimates.

    Args:
        spec: The ablation.
        means: (design, arm) -> mean of the primary metric; a design with a missing mean has no crossings.
    """
    signs = {one.name: one.coefficients for one in spec.factor_contrasts if one.kind == "treatment"}
    found = []
    for design in spec.designs:
        known = {arm: mean for arm in spec.all_arms if (mean := means.get((design, arm))) is not None}
        if len(known) < len(spec.all_arms):
            continue
        for one in spec.interactions:
            first, _, second = one.name.partition(" x ")
            if first in signs and second in signs:
                cells: dict[tuple[bool, bool], list[float]] = {}
                for arm, mean in known.items():
                    cells.setdefault((signs[first][arm] > 0, signs[second][arm] > 0), []).append(mean)
                averages = {place: float(np.mean(values)) for place, values in cells.items()}
                found.append(Crossing(design, first, second, averages))
    return tuple(found)
