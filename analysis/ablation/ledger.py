"""All claims of a database that were judged on the same examples: each further one makes a false one more likely."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from search_spaces import AblationSpec
from search_spaces.values import counted


@dataclass(frozen=True)
class Judged:
    """The claims of one ablation.

    Attributes:
        name: Name of the ablation.
        created_at: Time of creation, in UTC.
        claims: Number of claims: contrasts times designs.
        examples: Digest of the examples that judge them; None if it was not recorded.
    """

    name: str
    created_at: datetime
    claims: int
    examples: str | None


def judged(spec: AblationSpec, created_at: datetime, provenance: Mapping[str, Any]) -> Judged:
    """Return the claims of one ablation and the examples that judge them."""
    data = (provenance.get("trained_with") or {}).get("data") or {}
    split = spec.metrics.primary.partition("/")[0]
    return Judged(spec.name, created_at, len(spec.treatments) * len(spec.designs), data.get(split))


def earlier_claims(own: Judged, others: Sequence[Judged]) -> tuple[Judged, ...]:
    """Return the ablations that were created before this one and are judged on the same examples."""
    if own.examples is None:
        return ()
    before = (one for one in others if one.examples == own.examples and one.created_at < own.created_at)
    return tuple(sorted(before, key=lambda one: (one.created_at, one.name)))


def ledger_sentence(own: Judged, earlier: Sequence[Judged], split: str) -> str:
    """Return which claims on these examples those of this ablation are: ``claims 4 to 6 on this test set``."""
    if own.examples is None:
        return f"The {split} examples have no digest, so earlier claims about them are not known."
    first = 1 + sum(one.claims for one in earlier)
    last = first + own.claims - 1
    which = f"claim {first}" if first == last else f"claims {first} to {last}"
    are = f"This ablation makes {which} on this {split} set among the ablations of this database"
    if not earlier:
        return f"{are}; there is no earlier one."
    names = ", ".join(f"{one.name} {one.claims}" for one in earlier)
    return (
        f"{are}, after {counted(first - 1, 'claim')} of earlier ones ({names}). Holm's adjustment covers this ablation "
        "alone."
    )
