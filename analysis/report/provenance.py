"""Rows of a report about the date, machine, file, commit and versions of the training."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from analysis.wording import NONE


def provenance_rows(created_at: datetime, digest: str, provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return one `(label, value)` row each for date and machine, file digest, commit and versions."""
    changed = " with uncommitted changes" if provenance.get("git_dirty") else ""
    versions = provenance.get("packages") or {}
    return [
        ("first trained", f"{created_at:%Y-%m-%d %H:%M} UTC on {provenance.get('machine') or 'an unknown machine'}"),
        ("file digest", f"{digest} (first digits of its SHA-256)"),
        ("commit", f"{provenance.get('git_commit') or 'none'}{changed}"),
        ("versions", ", ".join(f"{name} {version}" for name, version in versions.items()) or NONE),
    ]
