"""The runs of a sweep as columns, for slices, contours and parallel coordinates."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from analysis.sweep.evidence import SweepEvidence
from analysis.sweep.fidelity import Fidelity
from analysis.sweep.good_region import range_positions
from search_spaces import Choice, Constant, Distribution, LogUniform, Value
from search_spaces.values import identity, show
from sweeps.run_state import RunState


@dataclass(frozen=True)
class FieldAxis:
    """Axis of one searched field.

    Attributes:
        field: Dotted path.
        kind: `log` or `linear` for a range, `options` for a list.
        low: Lower end; None for options.
        high: Upper end; None for options.
        options: Options as texts, in the order of the space; empty for a range.
    """

    field: str
    kind: Literal["log", "linear", "options"]
    low: float | None
    high: float | None
    options: tuple[str, ...]


@dataclass(frozen=True)
class SpaceData:
    """Columns with one entry per run, in the order of the run numbers.

    Attributes:
        axes: Axes of all searched fields with more than one value.
        numbers: Run numbers.
        states: States of the runs.
        epochs: Numbers of trained epochs.
        values: Last values of the sweep's metric, after different numbers of epochs, so not comparable.
        scores: Values of the metric after `epoch` epochs; None for a run that did not reach it.
        epoch: Epoch of `scores`; None if too few runs share one.
        columns: Field -> value of each run; None if its recipe does not use the field.
        places: Field -> position on the axis, 0 to 1; options are evenly spaced.
        contour: The two most important fields with a range; None if there are fewer than two.
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
        compared: Scores after the same epoch.
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
                _option(evidence.search[axis.field], run.values.get(axis.field))
                if axis.kind == "options"
                else spot.get(axis.field)
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


def _option(distribution: Distribution, value: Value) -> float | None:
    options = [identity(option) for option in distribution.edges()]  # two long options may be shown as the same text
    return options.index(identity(value)) / max(1, len(options) - 1) if identity(value) in options else None
