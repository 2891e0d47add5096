"""Counts the findings of many runs, overall and by region of the space."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard

from analysis.diagnosis.findings import Code, Finding, Severity
from search_spaces.values import Value, show

BY_VALUE = 5  # a field with at most this many distinct values is counted by value
LOG_SPAN = 100.0  # a positive field with a larger ratio of its ends is divided on the log scale
THIRDS = ("lower third", "middle third", "upper third")


@dataclass(frozen=True)
class Axis:
    """The range of a numeric field.

    Attributes:
        low: Lower end.
        high: Upper end.
        log: Whether the scale is logarithmic.
    """

    low: float
    high: float
    log: bool = False

    def third(self, value: float) -> int:
        """Return the third of a value: 0, 1 or 2; a value outside the range belongs to the nearest third."""
        low, high, at = (math.log(n) if self.log else n for n in (self.low, self.high, value))
        return 0 if high <= low else min(2, max(0, math.floor(3.0 * (at - low) / (high - low))))

    def bounds(self, third: int) -> tuple[float, float]:
        """Return the ends of a third."""
        if self.log:
            step = (self.high / self.low) ** (1.0 / 3.0)
            return self.low * step**third, self.low * step ** (third + 1)
        width = (self.high - self.low) / 3.0
        return self.low + width * third, self.low + width * (third + 1)


@dataclass(frozen=True)
class Share:
    """Number of runs with a finding; the same code with another severity is another finding."""

    code: Code
    severity: Severity
    runs: int
    of: int

    @property
    def share(self) -> float:
        """Share of the runs, in `[0, 1]`."""
        return self.runs / self.of if self.of else 0.0


@dataclass(frozen=True)
class RegionShare(Share):
    """Number of runs with a finding in one region of the space.

    Attributes:
        field: Dotted name of the searched field.
        region: A third of the range with its ends, or a value.
    """

    field: str
    region: str


@dataclass(frozen=True)
class FindingTable:
    """Counts of the findings in a sweep.

    Attributes:
        runs: Number of diagnosed runs.
        without_alarm: Number of runs without errors and warnings.
        shares: Counts over all runs: alarms before infos, most frequent first.
        regions: Counts by region, in the order of `shares`, then by field, low values first.
    """

    runs: int
    without_alarm: int
    shares: tuple[Share, ...]
    regions: tuple[RegionShare, ...]


def summarize_findings(
    findings: Mapping[int, Sequence[Finding]],
    values: Mapping[int, Mapping[str, Value]],
    axes: Mapping[str, Axis] | None = None,
) -> FindingTable:
    """Return the counts of findings, over all runs and by region of the space.

    Args:
        findings: All findings of each run, by run number.
        values: Searched values of each run, by run number, without the fields that its recipe does not use.
        axes: Range of each numeric field. For other numeric fields, it is the range of the values, on a log scale if
            they are positive and span more than a factor of 100.
    """
    kinds = {number: {(one.code, one.severity) for one in every} for number, every in findings.items()}
    shares = [
        Share(code, severity, sum((code, severity) in had for had in kinds.values()), len(findings))
        for code, severity in set().union(*kinds.values())
    ]
    shares.sort(key=lambda one: (one.severity is Severity.INFO, -one.runs, list(Code).index(one.code), one.severity))
    regions = _regions({number: values.get(number, {}) for number in findings}, axes or {})
    return FindingTable(
        runs=len(findings),
        without_alarm=sum(not any(one.alarm for one in every) for every in findings.values()),
        shares=tuple(shares),
        regions=tuple(
            RegionShare(
                share.code,
                share.severity,
                sum((share.code, share.severity) in kinds[number] for number in numbers),
                len(numbers),
                field,
                region,
            )
            for share in shares
            for (field, region), numbers in regions.items()
        ),
    )


def _regions(values: Mapping[int, Mapping[str, Value]], axes: Mapping[str, Axis]) -> dict[tuple[str, str], list[int]]:
    """Return the run numbers of each non-empty region: `(field, region)` -> numbers, low values first."""
    regions: dict[tuple[str, str], list[int]] = {}
    for name in dict.fromkeys(name for fields in values.values() for name in fields):
        held = {number: fields[name] for number, fields in values.items() if name in fields}
        numbers = {number: float(value) for number, value in held.items() if _numeric(value)}
        distinct = {show(value) for value in held.values()}
        if len(numbers) == len(held) and (name in axes or len(distinct) > BY_VALUE):
            axis = axes.get(name) or _observed(list(numbers.values()))
            for third, title in enumerate(THIRDS):
                low, high = axis.bounds(third)
                inside = [number for number, value in numbers.items() if axis.third(value) == third]
                if inside:
                    regions[name, f"{title}, {low:.2g} to {high:.2g}"] = inside
        else:
            by_size = sorted(held, key=lambda number: (numbers.get(number, math.inf), show(held[number])))
            for number in by_size:
                regions.setdefault((name, show(held[number])), []).append(number)
    return regions


def _numeric(value: Value) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _observed(values: Sequence[float]) -> Axis:
    low, high = min(values), max(values)
    return Axis(low, high, log=low > 0 and high > LOG_SPAN * low)
