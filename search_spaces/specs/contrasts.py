"""The comparisons that an ablation file declares: two of its arms, or a weighted combination of several."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

from pydantic import AfterValidator, PlainValidator, ValidationError

from search_spaces.errors import Problem, suggest
from search_spaces.recipe.part import Part
from search_spaces.recipe.validation import invalid_values
from search_spaces.specs.ablation_parts import ArmName
from search_spaces.specs.factorial import Contrast
from search_spaces.values import show

_FORM = "[treatment, control] or {name: NAME, weights: {arm: weight}}"


def _check_weights(weights: Mapping[str, float]) -> Mapping[str, float]:
    total = sum(weights.values())
    if abs(total) > 1e-9 * sum(map(abs, weights.values())):
        raise ValueError(f"the weights of a contrast must sum to 0, found {total:g}")
    if sum(weight != 0.0 for weight in weights.values()) < 2:
        raise ValueError(f"a contrast needs at least 2 arms with a weight other than 0, found {show(weights)}")
    return weights


class Combination(Part):
    """A weighted combination of arms.

    Attributes:
        name: Name in the report.
        weights: Arm -> weight; the weights sum to 0.
    """

    name: ArmName
    weights: Annotated[Mapping[str, float], AfterValidator(_check_weights)]


def _read(written: object) -> tuple[str, str] | Combination:
    match written:
        case Combination():
            return written
        case (str() as treatment, str() as control):
            return treatment, control
        case Mapping():
            try:
                return Combination.model_validate(written)
            except ValidationError as error:
                path, message = invalid_values(error, Combination)[0]
                raise ValueError(f"{'.'.join(path)}: {message}") from None
    raise ValueError(f"must be {_FORM}, found {show(written)}")


Declared = Annotated[tuple[str, str] | Combination, PlainValidator(_read)]
"""`(treatment, control)`, or a named combination of arms."""


def contrast_of(declared: tuple[str, str] | Combination) -> Contrast:
    """Return the contrast that a file declares."""
    if isinstance(declared, Combination):
        return Contrast(declared.name, {arm: weight for arm, weight in declared.weights.items() if weight})
    treatment, control = declared
    return Contrast(f"{treatment} vs {control}", {control: -1.0, treatment: 1.0})


def validate_contrasts(declared: Sequence[tuple[str, str] | Combination], arms: Sequence[str]) -> Iterator[Problem]:
    """Yield the problems of declared contrasts.

    Args:
        declared: Contrasts as the file declares them.
        arms: Names of all arms.
    """
    seen: dict[frozenset[tuple[str, float]], int] = {}
    names: Counter[str] = Counter()
    for index, one in enumerate(declared):
        field = f"contrasts.{index}"
        named = list(one.weights) if isinstance(one, Combination) else list(one)
        unknown = [arm for arm in named if arm not in arms]
        if unknown:
            yield Problem("", field, f"unknown arm {show(unknown[0])}; {suggest(unknown[0], arms)}")
            continue
        if len(set(named)) < len(named):
            yield Problem("", field, f"compares {show(named[0])} with itself; name two different arms")
            continue
        contrast = contrast_of(one)
        names[contrast.name] += 1
        first = min(seen.setdefault(key, index) for key in _both_ways(contrast))
        if first < index:
            yield Problem("", field, f"is the same comparison as contrasts.{first}; remove one of them")
        elif names[contrast.name] > 1:
            yield Problem("", field, f"has the name of another contrast, {show(contrast.name)}; choose another")


def _both_ways(contrast: Contrast) -> tuple[frozenset[tuple[str, float]], frozenset[tuple[str, float]]]:
    """Return what identifies a comparison, in either direction and at any scale."""
    largest = max(abs(weight) for weight in contrast.coefficients.values())
    scaled = {arm: round(weight / largest, 9) for arm, weight in contrast.coefficients.items()}
    return frozenset(scaled.items()), frozenset((arm, -weight) for arm, weight in scaled.items())
