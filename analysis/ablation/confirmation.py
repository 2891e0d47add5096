"""Finds the confirmation of a sweep in its database, and reads its verdicts."""

from analysis.ablation.claims import Claim, claims, settled
from analysis.ablation.evidence import Evidence, read_evidence
from analysis.ablation.sentences import verdict_sentence
from analysis.load import sweeps_frame
from analysis.sweep.confirmation import Confirmation, ConfirmedRun
from analysis.sweep.evidence import SweepEvidence
from search_spaces import recipe_hash


def read_confirmation(url: str, sweep: SweepEvidence) -> Confirmation | None:
    """Return the first confirmation of a sweep that has the recipe of its best run, or else the first one; or None.

    Args:
        url: URL of the database.
        sweep: The sweep.
    """
    rows = sweeps_frame(url)  # in the order of creation
    names = [
        str(name)
        for name, kind, notes in zip(rows["name"], rows["kind"], rows["provenance"], strict=True)
        if kind == "ablation" and notes.get("confirms") == sweep.spec.name
    ]
    found = [confirmation_of(read_evidence(url, name), sweep, names) for name in names]
    return next((one for one in found if one.covers_best), found[0] if found else None)


def confirmation_of(evidence: Evidence, sweep: SweepEvidence, names: list[str] | None = None) -> Confirmation:
    """Return the confirmation of a sweep from the evidence of its ablation.

    Args:
        evidence: The ablation.
        sweep: The sweep.
        names: Names of all confirmations of the sweep.
    """
    spec = evidence.spec
    finals, ended = evidence.finals, evidence.pairs
    over = ended >= spec.pairs or settled(spec, finals, ended)
    results = tuple(_result(evidence, sweep, one) for one in claims(evidence)) if over else ()
    arms = [one.simple[1] for one in spec.treatments if one.simple is not None]
    return Confirmation(
        name=spec.name,
        runs=sum(run.state.finished for run in evidence.runs),
        planned=evidence.table.until(ended if over else spec.pairs),
        pairs=ended if over else spec.pairs,
        covers_best=any(_is_best(evidence, sweep, arm) for arm in arms),
        results=results,
        others=tuple(name for name in names or () if name != spec.name),
    )


def _result(evidence: Evidence, sweep: SweepEvidence, claim: Claim) -> ConfirmedRun:
    comparison = claim.comparison
    return ConfirmedRun(
        run=claim.contrast.name,
        best=_is_best(evidence, sweep, claim.contrast.name),
        verdict=claim.verdict,
        sentence=verdict_sentence(evidence.spec, claim),
        delta=None if comparison is None else comparison.delta,
        interval=claim.interval,
        p=claim.p,
        pairs=claim.pairs,
    )


def _is_best(evidence: Evidence, sweep: SweepEvidence, arm: str) -> bool:
    return sweep.best is not None and recipe_hash(evidence.spec.recipe(arm, {})) == sweep.best.recipe_hash
