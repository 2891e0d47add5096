"""What the design of an ablation does not let one say, in words; each line follows from its file or its runs."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.ablation.claims import Claim
from analysis.ablation.evidence import Evidence
from analysis.ablation.pairing import fingerprint_counts
from search_spaces import MATCHED, RETUNED, AblationSpec

FEW_PAIRS = 6  # below it the sign-flip test cannot reach .05


def caveats(evidence: Evidence, claims: Sequence[Claim]) -> tuple[str, ...]:
    """Return the caveats, the widest first."""
    spec = evidence.spec
    return (
        *_scope(spec),
        *_pairs(evidence),
        *_pairing(evidence, claims),
        *_looks(spec),
        *_budgets(spec),
        *_arms(spec),
    )


def _scope(spec: AblationSpec) -> list[str]:
    lines = [f"One task, {spec.space.task}, and one test set: another task is another ablation."]
    if MATCHED in spec.designs and not spec.nuisance:
        lines.append("The matched design holds at this recipe; another learning rate may give another answer.")
    if RETUNED not in spec.designs:
        lines.append("No arm was re-tuned: a recipe that was tuned for the control favours it.")
    return lines


def _pairs(evidence: Evidence) -> list[str]:
    if not 0 < evidence.pairs < FEW_PAIRS:
        return []
    return [f"With {evidence.pairs} pairs the sign-flip test cannot reach .05; the t interval rests on normal deltas."]


def _pairing(evidence: Evidence, claims: Sequence[Claim]) -> list[str]:
    lines = []
    for design in evidence.spec.designs:
        known, total = fingerprint_counts(evidence, design, evidence.pairs)
        if known < total:
            lines.append(
                f"{total - known} of {total} runs ({design}) recorded no fingerprint, as a training loop of one's own "
                "does not: that their pairs share their random streams is assumed."
            )
    for claim in claims:
        comparison = claim.comparison
        if comparison is not None and comparison.efficiency is not None and comparison.efficiency >= 1:
            lines.append(f"Pairing bought nothing for {claim.contrast.name!r} ({claim.design}): its arms move apart.")
    return lines


def _looks(spec: AblationSpec) -> list[str]:
    if spec.looks_taken:
        taken = ", ".join(str(pairs) for pairs in spec.looks_taken)
        return [f"Pairs were added after the result at {taken} had been seen, so the e-process judges, at any number."]
    if spec.looks == "e_process":
        return ["The e-process allows a look after every pair; its intervals are wider than those of one test."]
    if isinstance(spec.looks, tuple):
        return [f"Looks were planned at {', '.join(map(str, spec.looks))} pairs; each has a share of the 5 %."]
    return []


def _budgets(spec: AblationSpec) -> list[str]:
    budgets = {arm: spec.recipe(arm).budget for arm in spec.all_arms}
    if len(set(budgets.values())) < 2:
        return []
    words = (
        f"{arm!r} {one.epochs} epochs of {one.batch_size * one.accumulation} examples a step"
        for arm, one in budgets.items()
    )
    return [f"The arms differ in their budget by design: {', '.join(words)}."]


def _arms(spec: AblationSpec) -> list[str]:
    own = [arm for arm, one in spec.all_arms.items() if one.seeds == "own"]
    lines = [f"{arm!r} has seeds of its own: its pairs are pairs in name only, a measure of the noise." for arm in own]
    shared = [arm for arm, owner in spec.trained_as().items() if arm != owner]
    if shared:
        names = ", ".join(repr(arm) for arm in shared)
        lines.append(f"{names}: another evaluation of the same training, so the arms share all but the weights read.")
    return lines
