"""The paragraph on methods: what was done, sentence by sentence, each with the references that it needs."""

from collections.abc import Iterator
from dataclasses import dataclass

from analysis.ablation.claims import ALPHA
from analysis.ablation.findings import AblationFindings
from analysis.statistics.verdicts import Verdict
from analysis.wording import number
from search_spaces import AblationSpec, Contrast
from search_spaces.specs.ablation import MATCHED, RETUNED
from search_spaces.values import counted
from sweeps.run_state import RunState

_PACKAGES = {"torch": ("PyTorch", "paszke2019pytorch"), "ray": ("Ray", "moritz2018ray")}


@dataclass(frozen=True)
class Sentence:
    """One sentence without its full stop.

    Attributes:
        text: The words.
        cites: Keys of its references in `analysis.report.paper.references.REFERENCES`.
    """

    text: str
    cites: tuple[str, ...] = ()


def methods(findings: AblationFindings) -> tuple[Sentence, ...]:
    """Return the sentences of the paragraph, in order."""
    spec = findings.spec
    return (
        *_design(findings),
        *_judging(spec),
        *_looks(spec),
        *_tuning(spec),
        *_failures(findings),
        *_calibration(findings),
        *software(findings),
    )


def _design(findings: AblationFindings) -> Iterator[Sentence]:
    spec, budget = findings.spec, findings.spec.space.recipe.budget
    yield Sentence(
        f"We train {counted(len(spec.all_arms), 'arm')} on {spec.space.task_name} in "
        f"{counted(findings.pairs, 'pair')} of runs, each of {budget.counted(budget.length)}"
    )
    yield Sentence(f"Compared are: {'; '.join(map(_compared, spec.treatments))}")
    differs, same = findings.varying.differs, findings.varying.same
    yield Sentence(f"The runs of a pair share their seed; between pairs differ: {', '.join(differs)}")
    if same:
        yield Sentence(f"The same in all pairs: {', '.join(same)}")
    if own := [name for name, arm in spec.all_arms.items() if arm.seeds == "own"]:
        yield Sentence(f"Seeds of their own have: {', '.join(own)}")
    free = [name for name, owner in spec.trained_as().items() if owner != name]
    if free:
        yield Sentence(
            f"Evaluations of another arm's trained model, without a training of their own: {', '.join(free)}"
        )


def _compared(one: Contrast) -> str:
    if one.simple is None:
        return f"{one.name} (a weighted combination)"
    control, treatment = one.simple
    return f"{treatment} with {control}"


def _judging(spec: AblationSpec) -> Iterator[Sentence]:
    metrics = spec.metrics
    better = "lower" if metrics.goal == "minimize" else "higher"
    margin = (
        "no margin was declared"
        if metrics.margin is None
        else f"differences below {number(metrics.margin)} do not matter"
    )
    yield Sentence(f"The primary metric, declared before training, is {metrics.primary} ({better} is better; {margin})")
    if spec.looks != "e_process":
        level = f"{ALPHA:g}"
        yield Sentence(
            f"We test the mean difference over pairs with a two-sided paired t-test at level {level} and give its "
            "interval; where a sign-flip permutation test of the same differences, from 6 pairs on, disagrees, there is"
            " no verdict",
            ("student1908probable", "pitman1937significance"),
        )
    if metrics.margin is not None:
        yield Sentence(
            "Arms are called equivalent if two one-sided tests place the difference within the margin",
            ("schuirmann1987comparison",),
        )
    if (family := len(spec.treatments)) > 1:
        yield Sentence(f"p-values are adjusted by Holm's method for the {family} contrasts", ("holm1979simple",))
    if metrics.others:
        yield Sentence(f"Other metrics are exploratory, with unadjusted intervals: {', '.join(metrics.others)}")


def _looks(spec: AblationSpec) -> Iterator[Sentence]:
    if spec.looks == "e_process":
        yield Sentence(
            "The result may be looked at after every pair: claims rest on the t e-process, which rejects at 20, and "
            "intervals are the confidence sequences that belong to it",
            ("wang2025anytime",),
        )
    elif spec.looks != "none":
        yield Sentence(
            f"Results were to be looked at after {', '.join(map(str, spec.looks))} pairs, at equal levels that are "
            f"{ALPHA:g} over all looks",
            ("pocock1977group",),
        )


def _tuning(spec: AblationSpec) -> Iterator[Sentence]:
    if spec.retune is None or RETUNED not in spec.designs:
        yield Sentence("All arms share one setting of the other hyperparameters, which were not tuned for each arm")
        return
    fields = ", ".join(spec.retune.over)
    also = ", and also compared at the common setting" if MATCHED in spec.designs else ""
    yield Sentence(
        f"Each arm is compared at its own best of {spec.retune.runs} tries over {fields}{also}: the common setting and "
        f"the points of one scrambled Sobol sequence, the same for all arms, selected by {spec.metrics.selection}; the "
        "winners are trained again on other seeds",
        ("joe2008constructing", "dodge2019show"),
    )


def _failures(findings: AblationFindings) -> Iterator[Sentence]:
    if not findings.failures:
        return
    diverged = sum(run.state is RunState.DIVERGED for run in findings.failures)
    unstable = any(claim.verdict is Verdict.UNSTABLE for claim in findings.claims)
    yield Sentence(
        f"{counted(len(findings.failures), 'run')} failed ({diverged} of them diverged); their pairs are excluded"
        + (", and a contrast in which the arms differ in such runs has no other verdict" if unstable else "")
    )


def _calibration(findings: AblationFindings) -> Iterator[Sentence]:
    if findings.classifies and findings.calibration:
        yield Sentence(
            "Calibration errors are top-label errors in 15 bins of equal width; temperatures are fitted on a part of "
            "the validation set",
            ("guo2017calibration",),
        )


def software(findings: AblationFindings) -> Iterator[Sentence]:
    """Yield the sentence about software, with the commit of the code."""
    versions = findings.provenance.get("packages") or {}
    on_ray = any(run.node for run in findings.runs)
    used = [package for package in _PACKAGES if package in versions and (package != "ray" or on_ray)]
    named = [f"{_PACKAGES[package][0]} {versions[package]}" for package in used]
    cites = tuple(_PACKAGES[package][1] for package in used)
    python = findings.provenance.get("python")
    parts = [*named, *((f"Python {python}",) if python else ()), *_own_version(versions)]
    commit = findings.provenance.get("git_commit")
    changed = " with uncommitted changes" if findings.provenance.get("git_dirty") else ""
    at = f"; commit {commit[:12]}{changed}" if commit else ""
    yield Sentence(f"Software: {', '.join(parts) or 'unknown'}{at}", cites)


def _own_version(versions: dict[str, str]) -> tuple[str, ...]:
    return (f"sweeps {versions['sweeps']}",) if "sweeps" in versions else ()
