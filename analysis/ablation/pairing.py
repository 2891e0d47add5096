"""Checks that the runs of a pair share split, order, initial weights and GPU, by the fingerprints of the trainings."""

from dataclasses import dataclass

from analysis.ablation.evidence import Evidence
from search_spaces import Contrast
from search_spaces.values import counted
from sweeps.store.records import RunRecord

_PARTS = {"split": "split", "weights": "initial weights", "order": "order of the examples"}
_WORDS = {
    "split": "the same split",
    "order": "the same order of the examples",
    "weights": "the same initial weights",
    "device": "the same model of GPU, on which the numbers of dropout depend",
}


def mismatches(evidence: Evidence, design: str, one: Contrast, pairs: int) -> tuple[str, ...]:
    """Return a text for each thing that the arms of a contrast should share but do not in some pair.

    Arms with different models start from different weights, and an arm with its own seeds shares nothing by design.

    Args:
        evidence: The ablation.
        design: `matched` or `retuned`.
        one: The compared arms.
        pairs: Number of first pairs to check.
    """
    paired = [arm for arm in one.coefficients if evidence.spec.all_arms[arm].seeds == "paired"]
    lines = []
    for part, words in _WORDS.items():
        if part == "weights" and len({_model(evidence, arm) for arm in paired}) > 1:
            continue
        wrong = [pair for pair in range(pairs) if len(_fingerprints(evidence, design, pair, paired, part)) > 1]
        if wrong:
            lines.append(f"runs in {len(wrong)} of {counted(pairs, 'pair')} (first: {wrong[0]}) do not have {words}")
    return tuple(lines)


@dataclass(frozen=True)
class Varying:
    """What differs between pairs.

    Attributes:
        differs: What differs between at least two pairs.
        same: What is the same in all pairs.
    """

    differs: tuple[str, ...]
    same: tuple[str, ...]


def varying(evidence: Evidence) -> Varying:
    """Return what differs between the pairs of the first design, by the fingerprints of its first arm."""
    design, arm = evidence.spec.designs[0], evidence.table.arms[0]
    runs = [run for pair in range(evidence.pairs) if (run := evidence.run(design, pair, arm)) is not None]
    differs: list[str] = ["seed", *evidence.spec.nuisance]
    same: list[str] = []
    for part, words in _PARTS.items():
        marks = [run.fingerprint[part] for run in runs if part in run.fingerprint]
        if len(marks) > 1:
            (differs if len(set(marks)) > 1 else same).append(words)
    return Varying(tuple(differs), tuple(same))


def fingerprint_counts(evidence: Evidence, design: str, pairs: int) -> tuple[int, int]:
    """Return ``(runs with a fingerprint, runs)`` for the first pairs; custom training loops record no fingerprint."""
    runs = [
        run
        for pair in range(pairs)
        for arm in evidence.table.arms
        if (run := evidence.run(design, pair, arm)) is not None
    ]
    return sum(bool(run.fingerprint) for run in runs), len(runs)


def _model(evidence: Evidence, arm: str) -> str:
    recipe = evidence.spec.recipe(arm)
    return f"{recipe.model!r} {sorted(recipe.custom.items())!r}"


def _fingerprints(evidence: Evidence, design: str, pair: int, arms: list[str], part: str) -> set[str]:
    runs: list[RunRecord | None] = [evidence.run(design, pair, arm) for arm in arms]
    return {run.fingerprint[part] for run in runs if run is not None and part in run.fingerprint}
