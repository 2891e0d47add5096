"""Checks of the space: edges, good region, coverage, and where runs diverge or fail."""

import math
from collections.abc import Sequence

import numpy as np

from analysis.statistics.intervals import Floats
from analysis.sweep.evidence import INFEASIBLE, SweepEvidence
from analysis.sweep.good_region import good_region, range_positions
from analysis.sweep.new_ranges import NewRange, new_ranges
from analysis.wording import part_of
from search_spaces import Choice, Distribution
from search_spaces.search.distributions import canonical
from search_spaces.values import counted, identity, show
from trainers.check import Check, Outcome, failed, passed, warned

MIN_GOOD = 5  # number of good runs
MAX_INFEASIBLE = 0.25  # share of infeasible runs
MIN_SEPARATION = 0.8  # minimum P(an infeasible run is further out than another run) for a field that explains it
THIRDS = ("lower", "middle", "upper")
MIN_SAMPLED = 9  # minimum number of sampled runs for the check


def edge_checks(evidence: SweepEvidence) -> tuple[Check, ...]:
    """Return one check for each field whose best value is near an end of its range, or one check if there is none.

    Source: Godbole et al., "Deep Learning Tuning Playbook", 2023: a best point near a boundary suggests that the space
    is too small.
    """
    best = evidence.best
    if best is None:
        return ()
    found = new_ranges(evidence)
    if not found:
        text = f"The best run, {best.number}, is more than 10 % away from the ends of every range."
        return (passed("edge of the space", text),)
    return tuple(_edge_check(evidence, best.number, one) for one in found)


def _edge_check(evidence: SweepEvidence, number: int, found: NewRange) -> Check:
    edge = found.edge
    old = evidence.search[edge.field]
    end = old.edges()[-1 if edge.upper else 0]
    evidence_text = (
        f"The best run, {number}, has {edge.field} {_number(edge.value)}, near the {'upper' if edge.upper else 'lower'}"
        f" end of {show(list(old.edges()))} ({_place(edge.place)});"
        f" {part_of(edge.near, edge.others, 'other good run', 'is', 'are')} in the third at that end"
    )
    if found.distribution is None:
        limit = f"{evidence_text}. The recipe allows nothing beyond {_number(end)}, so the range cannot be extended."
        return passed(f"edge of {edge.field}", limit)
    if not edge.backed:
        chance = f"{evidence_text}. This may be chance, so the range stays."
        return passed(f"edge of {edge.field}", chance)
    next_step = f"Search {search_line(edge.field, found.distribution)} next: sweeps extend {evidence.spec.name} --edge."
    return warned(f"edge of {edge.field}", f"{evidence_text}.", next_step)


def search_line(field: str, distribution: Distribution) -> str:
    """Return a line to paste under `search`."""
    [(name, arguments)] = canonical(distribution).items()
    return f"{field}: {{{name}: {show(arguments)}}}"


def good_region_check(evidence: SweepEvidence) -> Check:
    """Check whether enough runs are about as good as the best one; otherwise its score may be the luck of one point."""
    region = good_region(evidence)
    name = "runs in the good region"
    if region is None:
        return failed(name, "No run is complete, so there is no good region.", "Look at the failures first.")
    count = len(region.runs)
    some = part_of(count, len(evidence.runs), "run", "is", "are")
    text = f"{some} within {region.tolerance:.3g} of the best score {region.words}."
    if count >= MIN_GOOD:
        return passed(name, text)
    spans = _spans(evidence, region.runs)
    more = f"Add runs, or narrow the space around the good ones{spans}; a region needs at least {MIN_GOOD} good runs."
    return warned(name, text, more)


def _spans(evidence: SweepEvidence, numbers: Sequence[int]) -> str:
    """Return the range of the good runs in each field; empty for a single run."""
    spans = []
    for field in evidence.search if len(numbers) > 1 else ():
        values = [value for number in numbers if (value := evidence.runs[number].values.get(field)) is not None]
        numeric = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
        if numeric and len(numeric) == len(values):
            spans.append(f"{field} {min(numeric):.3g} to {max(numeric):.3g}")
    return f" ({', '.join(spans)})" if spans else ""


def infeasible_check(evidence: SweepEvidence) -> Check:
    """Check whether more than a quarter of the runs diverged or failed."""
    name, ended = "infeasible runs", evidence.finished
    bad = [run for run in ended if run.state in INFEASIBLE]
    if not ended:
        return warned(name, "No run has finished yet.", "Wait for the first runs.")
    failed = sum(run.error is not None for run in bad)
    share = f"{len(bad)} of {counted(len(ended), 'run')} ({len(bad) / len(ended):.0%})"
    text = f"{share} diverged ({len(bad) - failed}) or failed ({failed})"
    where = _infeasible_side(evidence, {run.number for run in bad})
    if len(bad) <= MAX_INFEASIBLE * len(ended):
        return passed(name, f"{text}{where}.")
    next_step = "Exclude the part of the space where runs diverge, or add warmup and clipping; see sweeps diagnose."
    return Check(name, Outcome.FAIL if len(bad) == len(ended) else Outcome.WARN, f"{text}{where}.", next_step)


def _infeasible_side(evidence: SweepEvidence, bad: set[int]) -> str:
    """Return the field, and the side of its range, that separates the infeasible runs best; empty if there is none."""
    found: list[tuple[float, str]] = []
    spots = {run.number: range_positions(evidence, run) for run in evidence.finished}
    for field in evidence.search:
        inside = np.array([one[field] for number, one in spots.items() if number in bad and field in one])
        others = np.array([one[field] for number, one in spots.items() if number not in bad and field in one])
        if len(inside) < 2 or len(others) < 2:
            continue
        above = _probability_above(inside, others)
        values = [float(value) for number in bad if isinstance(value := evidence.runs[number].values.get(field), float)]
        if max(above, 1.0 - above) >= MIN_SEPARATION and values:
            side = f"{field} {min(values):.2g} and above" if above > 0.5 else f"{field} {max(values):.2g} and below"
            found.append((max(above, 1.0 - above), side))
    return f"; they are at {max(found)[1]}" if found else ""


def _probability_above(inside: Floats, others: Floats) -> float:
    """Return P(a value of the first > a value of the second); ties count one half."""
    gaps = inside[:, None] - others[None, :]
    return float((gaps > 0).mean() + 0.5 * (gaps == 0).mean())


def coverage_check(evidence: SweepEvidence) -> Check:
    """Check whether the sampler covered each third of each range and each option."""
    name = "coverage"
    sampled = [run for run in evidence.runs if run.number > 0]
    if len(sampled) < MIN_SAMPLED:
        few = f"{counted(len(sampled), 'sampled run')}: too few to cover {counted(len(evidence.search), 'field')}."
        return warned(name, few, f"Use at least {MIN_SAMPLED + 1} runs.")
    missed: list[str] = []
    least = len(sampled)
    for field, distribution in evidence.search.items():
        counts = _counts(evidence, field, distribution)
        missed += [f"{region} of {field}" for region, count in counts.items() if not count]
        least = min(least, *counts.values()) if counts else least
    if not missed:
        return passed(name, f"Every third of every range, and every option, has at least {counted(least, 'run')}.")
    text = f"Not covered by any of {len(sampled)} sampled runs: {', '.join(missed)}."
    next_step = "Use more runs, a larger sampler.startup, or sampler: {kind: qmc}, which covers a space evenly."
    return warned(name, text, next_step)


def _counts(evidence: SweepEvidence, field: str, distribution: Distribution) -> dict[str, int]:
    """Return the number of sampled runs in each region; empty for a field with too many options for the runs."""
    runs = [run for run in evidence.runs if run.number > 0 and field in run.values]
    if isinstance(distribution, Choice):
        if 3 * distribution.size > len(runs):
            return {}
        tried = [identity(run.values[field]) for run in runs]
        return {f"option {show(one)}": tried.count(identity(one)) for one in distribution.options}
    places = (range_positions(evidence, run).get(field) for run in runs)
    spots = [place for place in places if place is not None and math.isfinite(place)]
    if not spots or len(set(distribution.edges())) + getattr(distribution, "size", 3) - 2 < 3:
        return {}
    thirds = [min(2, max(0, math.floor(3.0 * place))) for place in spots]
    return {f"{words} third": thirds.count(index) for index, words in enumerate(THIRDS)}


def _place(place: float) -> str:
    if not 0.0 <= place <= 1.0:
        return "outside the range"
    return f"at {place:.0%} of its scale"


def _number(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else show(value)
