"""The runs of a sweep as columns: what slices, contours and parallel coordinates are drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from analysis.sweep.evidence import SweepEvidence
from analysis.sweep.fidelity import Fidelity
from analysis.sweep.good_region import range_positions
from search_spaces import Choice, Constant, LogUniform, Value
from search_spaces.values import show
from sweeps.run_state import RunState


@dataclass(frozen=True)
class FieldAxis:
    """The scale of one searched field.

    Attributes:
        field: Dotted path.
        kind: `log` and `linear` have ends, `options` a list.
        low: The lower end; None of options.
        high: The upper end; None of options.
        options: As texts, in the order of the space; empty of a range.
    """

    field: str
    kind: Literal["log", "linear", "options"]
    low: float | None
    high: float | None
    options: tuple[str, ...]


@dataclass(frozen=True)
class SpaceData:
    """One entry a run in every column, by number.

    Attributes:
        axes: Of every searched field that has more than one value.
        numbers: Of the runs.
        states: Of the runs.
        epochs: Trained.
        values: The last value of the sweep's metric, each after its own number of epochs: not to be compared.
        scores: The metric after the same number of epochs, `epoch`; None of a run that did not get there.
        epoch: Of `scores`; None where too few runs share one.
        columns: Field -> the value of each run; None where its recipe has no use for the field.
        places: Field -> where that lies on the axis, 0 to 1: of options, evenly spaced.
        contour: The two fields that matter most, both ranges; None where there are no two.
    """

    axes: tuple[FieldAxis, ...]
    numbers: tuple[int, ...]
    states: tuple[RunState, ...]
    epochs: tuple[int, ...]
    values: tuple[float | None, ...]
    scores: tuple[float | None, ...]
    epoch: int | None
    columns: Mapping[str, tuple[Value, ...]]
    places: Mapping[str, tuple[float | None, ...]]
    contour: tuple[str, str] | None


def space_data(evidence: SweepEvidence, compared: Fidelity | None, ranking: tuple[str, ...]) -> SpaceData:
    """Return the runs as columns.

    Args:
        evidence: The sweep.
        compared: Which scores are comparable.
        ranking: Fields, the most important one first.
    """
    axes = tuple(axis for field in evidence.search if (axis := _axis(evidence, field)) is not None)
    runs = evidence.runs
    spots = [range_positions(evidence, run) for run in runs]
    columns = {axis.field: tuple(run.values.get(axis.field) for run in runs) for axis in axes}
    ranges = {axis.field for axis in axes if axis.kind != "options"}
    leading = [field for field in ranking if field in ranges]
    scores = compared.scores if compared is not None else {}
    return SpaceData(
        axes=axes,
        numbers=tuple(run.number for run in runs),
        states=tuple(run.state for run in runs),
        epochs=tuple(run.epoch for run in runs),
        values=tuple(run.value for run in runs),
        scores=tuple(scores.get(run.number) for run in runs),
        epoch=compared.epoch if compared is not None else None,
        columns=columns,
        places={
            axis.field: tuple(
                _option(axis, run.values.get(axis.field)) if axis.kind == "options" else spot.get(axis.field)
                for run, spot in zip(runs, spots, strict=True)
            )
            for axis in axes
        },
        contour=(leading[0], leading[1]) if len(leading) > 1 else None,
    )


def _axis(evidence: SweepEvidence, field: str) -> FieldAxis | None:
    distribution = evidence.search[field]
    if isinstance(distribution, Constant):
        return None
    if isinstance(distribution, Choice):
        return FieldAxis(field, "options", None, None, tuple(show(option) for option in distribution.options))
    low, high = (float(end) for end in distribution.edges() if isinstance(end, int | float))
    return FieldAxis(field, "log" if isinstance(distribution, LogUniform) else "linear", low, high, ())


def _option(axis: FieldAxis, value: Value) -> float | None:
    text = show(value)
    if text not in axis.options:
        return None
    return axis.options.index(text) / max(1, len(axis.options) - 1)
