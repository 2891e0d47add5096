"""The limits of what an ablation shows; each sentence follows from its file or its runs."""

from collections.abc import Iterator, Sequence

from analysis.ablation.arms.training_problems import ArmProblem
from analysis.ablation.claims import Claim
from analysis.ablation.evidence import Evidence
from analysis.ablation.pairing import fingerprint_counts
from analysis.statistics.comparison import NORMAL_PAIRS, Comparison
from analysis.statistics.permutation import MIN_PAIRS
from analysis.wording import change_caveats, p_number, p_words, part_of
from search_spaces import MATCHED, RETUNED, AblationSpec
from search_spaces.specs.command_task import CommandTask
from search_spaces.values import counted

LOW_CORRELATION = 0.2  # below it, an interval of pairs is at most 11 % narrower than one of unpaired runs


def caveats(evidence: Evidence, claims: Sequence[Claim], problems: Sequence[ArmProblem] = ()) -> tuple[str, ...]:
    """Return the caveats, the most general first."""
    spec = evidence.spec
    return (
        *change_caveats(evidence.provenance),
        *_scope(spec),
        *_distributions(claims),
        *_pairing(evidence, claims),
        *_looks(spec),
        *_budgets(spec),
        *_arms(spec),
        *_trainings(problems),
    )


def _scope(spec: AblationSpec) -> list[str]:
    this, tuned = "this recipe", "a recipe that was tuned"
    if spec.space.command:
        this, tuned = "these arguments", "tuning the arguments"
    data = "" if spec.space.command else ", and one test set"
    lines = [f"One task, {spec.space.task_name}{data}: other tasks need their own ablation."]
    if MATCHED in spec.designs and not spec.nuisance:
        lines.append(f"The matched design holds for {this}; with another learning rate, the result may differ.")
    if RETUNED not in spec.designs:
        lines.append(f"No arm was re-tuned: {tuned} for the control favours the control.")
    return lines


def _distributions(claims: Sequence[Claim]) -> list[str]:
    """Return what the tests assume about the differences, and where these do not look like it."""
    cannot, hardly = "cannot reach .05", "reaches .05 only if all differences have one sign"
    few = sorted({claim.pairs for claim in claims if 1 < claim.pairs <= NORMAL_PAIRS})
    lines = [
        f"With {counted(pairs, 'pair')}, a verdict rests on the t-test, which assumes normal differences: the "
        f"sign-flip test {cannot if pairs < MIN_PAIRS else hardly}."
        for pairs in few
    ]
    return lines + [line for claim in claims if claim.comparison for line in _shape(claim, claim.comparison)]


def _shape(claim: Claim, comparison: Comparison) -> Iterator[str]:
    which = f"{claim.contrast.name!r} ({claim.design})"
    if comparison.skewed and comparison.skewness is not None:
        yield (
            f"The differences of {which} are skewed ({comparison.skewness:+.2f} over {counted(comparison.n, 'pair')}). "
            "For skewed differences, 95 % t intervals contain the mean in about 90 % of studies of 10 pairs."
        )
    if comparison.tests_disagree and comparison.p_t is not None and comparison.p_permutation is not None:
        yield (
            f"The t-test ({p_words(comparison.p_t)}) and the sign-flip test ({p_words(comparison.p_permutation)}) of "
            f"{which} are on different sides of {p_number(comparison.alpha)}, so neither decides."
        )


def _pairing(evidence: Evidence, claims: Sequence[Claim]) -> list[str]:
    command = evidence.spec.space.command
    if command is not None:
        return _command_pairing(command, evidence.spec, claims)
    lines = []
    for design in evidence.spec.designs:
        known, total = fingerprint_counts(evidence, design, evidence.pairs)
        if known < total:
            lines.append(
                f"{part_of(total - known, total, 'run', 'has', 'have')} no fingerprint ({design}), as with a custom "
                "training loop: the report assumes that their pairs share all random streams."
            )
    for claim in claims:
        comparison = claim.comparison
        if comparison is not None and comparison.efficiency is not None and comparison.efficiency >= 1:
            which = f"{claim.contrast.name!r} ({claim.design})"
            lines.append(f"Pairing did not help for {which}: its arms are not positively correlated.")
    return lines


def _command_pairing(command: CommandTask, spec: AblationSpec, claims: Sequence[Claim]) -> list[str]:
    """Return what pairing a command by its seed has achieved, since a program has no digests to compare."""
    if command.takes_seed(spec.space.recipe):
        lines = [
            "The runs of a pair share the seed that the command was given. What the program draws from it (split, "
            "initial weights, order) is unknown, and nothing else was compared."
        ]
    else:
        lines = ["The command takes no ${seed}, so its runs differ by chance and those of a pair share nothing."]
    return lines + [line for claim in claims if (line := _correlation(claim)) is not None]


def _correlation(claim: Claim) -> str | None:
    if claim.comparison is None or claim.comparison.rho is None:
        return None
    rho, which = claim.comparison.rho, f"{claim.contrast.name!r} ({claim.design})"
    found = f"Over {counted(claim.pairs, 'pair')}, the paired values of {which} have a correlation of {rho:.2f}"
    if rho >= LOW_CORRELATION:
        return f"{found}, so pairing narrows its interval."
    return f"{found}: pairing did not help, and its interval is as wide as that of unpaired runs."


def _looks(spec: AblationSpec) -> list[str]:
    if spec.looks_taken:
        taken = ", ".join(str(pairs) for pairs in spec.looks_taken)
        return [f"Pairs were added after the result at {taken} was seen, so the e-process decides, which allows this."]
    if spec.looks == "e_process":
        return ["The e-process allows a look after every pair; its intervals are wider than those of a single test."]
    if isinstance(spec.looks, tuple):
        return [f"Looks were planned at {', '.join(map(str, spec.looks))} pairs; each uses a part of the 5 %."]
    return []


def _budgets(spec: AblationSpec) -> list[str]:
    budgets = {arm: spec.recipe(arm).budget for arm in spec.all_arms}
    if len(set(budgets.values())) < 2:
        return []
    batches = {arm: f" with {one.batch_size * one.accumulation} examples per step" for arm, one in budgets.items()}
    words = (f"{arm!r} has {one.text}{'' if spec.space.command else batches[arm]}" for arm, one in budgets.items())
    return [f"The arms differ in their budget by design: {', '.join(words)}."]


def _trainings(problems: Sequence[ArmProblem]) -> list[str]:
    """Return what most runs of an arm suffer from, so that a claim holds for trainings of this kind only."""
    return [f"{one}. First run: {one.evidence}" for one in problems if one.usual]


def _arms(spec: AblationSpec) -> list[str]:
    own = [arm for arm, one in spec.all_arms.items() if one.seeds == "own"]
    lines = [f"{arm!r} has its own seeds: its pairs are not matched and only measure the noise." for arm in own]
    shared = [arm for arm, owner in spec.trained_as().items() if arm != owner]
    if shared:
        names = ", ".join(repr(arm) for arm in shared)
        lines.append(f"{names}: another evaluation of the same training; only the evaluated weights differ.")
    return lines
