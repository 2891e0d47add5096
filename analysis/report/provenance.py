"""The rows of a report that say when, where and with which versions it was trained."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from analysis.wording import NONE


def provenance_rows(created_at: datetime, digest: str, provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the date, the machine, the digest of the file, the commit and the versions."""
    versions = provenance.get("packages") or {}
    return [
        ("first trained", f"{created_at:%Y-%m-%d %H:%M} UTC on {provenance.get('machine') or 'a machine'}"),
        ("file", f"{digest} (first digits of its SHA-256)"),
        ("commit", f"{provenance.get('git_commit') or 'none'}{' with changes' if provenance.get('git_dirty') else ''}"),
        ("versions", ", ".join(f"{name} {version}" for name, version in versions.items()) or NONE),
    ]
