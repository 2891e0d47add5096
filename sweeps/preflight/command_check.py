"""`sweeps check` of a command, and the same before the first run: does each searched argument take effect?"""

from collections.abc import Callable, Iterator

from search_spaces import SpaceSpec, UsageError
from sweeps.console.output import short
from sweeps.preflight.command_start import short_start
from sweeps.preflight.effects import Probe, different, enough, probes
from trainers.check import Check, Outcome, failed, passed, warned
from trainers.command.metrics.reading import Reading

LIMIT_S = 60.0
"""Most seconds of each start of `sweeps check`, by default."""
_BRIEF_S = 10.0  # of each start before the first run
_BRIEF_TOTAL_S = 60.0


def command_checks(spec: SpaceSpec, limit_s: float, total_s: float = float("inf")) -> Iterator[Check]:
    """Yield whether the command reports metrics, and whether each searched argument changes them.

    Two starts of the baseline show which metrics differ by chance, and are not compared.

    Args:
        spec: Space with the command.
        limit_s: Most seconds of each start.
        total_s: Most seconds that all starts may be expected to take; otherwise arguments are not checked.

    Raises:
        UsageError: The program ended with an error in its first seconds.
    """
    baseline = short_start(spec, spec.recipe, limit_s, enough)
    names = {name for one in baseline.readings for name in one.values}
    if not names:
        advice = "give it more time with --limit, or look at what it prints"
        yield warned("metrics", f"no metric within {baseline.seconds:.0f} s", advice)
        return
    yield passed("metrics", f"{', '.join(sorted(names))}; the first after {baseline.times[0]:.1f} s")
    starts = probes(spec)
    if baseline.seconds * (1 + len(starts)) > total_s:
        about = f"{1 + len(starts)} more starts of {baseline.seconds:.0f} s"
        yield warned("arguments", f"not checked, which takes {about}", "sweeps check does it")
        return
    again = short_start(spec, spec.recipe, limit_s, enough)
    chance = different(baseline.readings, again.readings)
    if names <= chance:
        evidence = "two starts with the same seed and arguments reported different values of every metric"
        yield warned("arguments", evidence, "give the program ${seed}, if it can take one")
        return
    for probe in starts:
        yield _check(spec, probe, baseline.readings, chance, limit_s)


def _check(spec: SpaceSpec, probe: Probe, before: tuple[Reading, ...], chance: set[str], limit_s: float) -> Check:
    try:
        readings = short_start(spec, probe.recipe, limit_s, enough).readings
    except UsageError as error:
        return failed(probe.field, f"with {short(probe.value)}, {error}", "fix the program, or narrow the range")
    if not readings:
        return warned(
            probe.field, f"with {short(probe.value)}, no metric within {limit_s:.0f} s", "use a larger --limit"
        )
    if changed := different(before, readings) - chance:
        return passed(probe.field, f"{short(probe.value)} changes {', '.join(sorted(changed))}")
    compared = ", ".join(sorted({name for one in before for name in one.values} - chance))
    return warned(
        probe.field,
        f"{short(probe.value)} changes nothing in the first values of {compared}",
        "look whether the program uses this argument",
    )


def check_before_runs(spec: SpaceSpec, say: Callable[[str], None]) -> None:
    """Say which searched arguments take no effect, by short starts.

    Raises:
        UsageError: The program ended with an error in its first seconds.
    """
    for one in command_checks(spec, _BRIEF_S, _BRIEF_TOTAL_S):
        if one.outcome is not Outcome.PASS:
            say(f"warning: {one.name}: {one.evidence}; {one.next_step}")
