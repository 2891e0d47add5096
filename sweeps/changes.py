"""Finds what has changed since the runs of a sweep were trained: the user's code, the data, the packages.

Recipe and seed are recorded for every run. A score depends on more than these two, so a sweep also records what else it
was trained with. If that differs when the sweep is continued, its runs cannot be compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

REFUSED = ("torch", "numpy")
"""Packages whose versions change the results of a training."""
OURS = "sweeps"


def comparable(version: str) -> str:
    """Return a version without its local part, such as `+cpu`: a driver without a GPU and its nodes have other ones."""
    return re.sub(r"\+[\w.]+", "", version)


@dataclass(frozen=True)
class TrainedWith:
    """What scores depend on besides recipe and seed. An empty mapping is unknown, which is no difference.

    Attributes:
        packages: Version of each package by name.
        sources: Digest of each module of the user's own code by name.
        data: Digest of each split by name.
    """

    packages: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def recorded(cls, provenance: Mapping[str, Any]) -> TrainedWith:
        """Return what the provenance of a sweep holds. The last release recorded versions of packages only."""
        if "trained_with" in provenance:
            return cls(**provenance["trained_with"])
        packages = provenance.get("packages") or {}
        return cls(packages={name: packages[name] for name in REFUSED if name in packages})

    def filled_from(self, other: TrainedWith) -> TrainedWith:
        """Return the same, with the values of another one where this one is unknown."""
        return TrainedWith(self.packages or other.packages, self.sources or other.sources, self.data or other.data)


@dataclass(frozen=True)
class Difference:
    """Something that has changed.

    Attributes:
        text: What has changed, such as "module mine has changed".
        refused: Whether it ends a command; otherwise it is only recorded.
    """

    text: str
    refused: bool = True


def differences(recorded: TrainedWith, current: TrainedWith) -> tuple[Difference, ...]:
    """Return what differs between two trainings, one entry each; what is unknown in either does not differ."""
    return (
        *_sources(recorded.sources, current.sources),
        *_data(recorded.data, current.data),
        *_packages(recorded.packages, current.packages),
    )


def _sources(recorded: Mapping[str, str], current: Mapping[str, str]) -> Iterator[Difference]:
    if not recorded or not current:
        return
    for name in sorted({*recorded, *current}):
        if name not in current:
            yield Difference(f"module {name} is gone")
        elif name not in recorded:
            yield Difference(f"module {name} is new")
        elif recorded[name] != current[name]:
            yield Difference(f"module {name} has changed")


def _data(recorded: Mapping[str, str], current: Mapping[str, str]) -> Iterator[Difference]:
    for name, digest in recorded.items():
        if current.get(name, digest) != digest:
            yield Difference(f"the {name} data has changed")


def _packages(recorded: Mapping[str, str], current: Mapping[str, str]) -> Iterator[Difference]:
    for name in (*REFUSED, OURS):
        before, now = recorded.get(name), current.get(name)
        if before is not None and now is not None and comparable(before) != comparable(now):
            yield Difference(f"package {name} was {before} and is {now}", refused=name in REFUSED)


@dataclass(frozen=True)
class CodeState:
    """The files of a git repository when a command was trained.

    Attributes:
        commit: The commit that is checked out.
        diff: Differences of tracked files from it, as `git diff HEAD` writes them; empty if there are none.
        untracked: Names of files that git neither has nor ignores; their content is not recorded.
        at: Time in UTC, in ISO format.
        runs: Number of runs that were recorded before.
    """

    commit: str
    diff: str
    untracked: tuple[str, ...]
    at: str
    runs: int

    @property
    def text(self) -> str:
        """The differences as a file for `git apply`, after lines that say what they belong to."""
        head = [f"# commit {self.commit}, {_when(self.at, self.runs)}"]
        head += [f"# untracked, not recorded: {name}" for name in self.untracked]
        return "\n".join([*head, self.diff])

    @property
    def clean(self) -> bool:
        """Whether the commit has everything."""
        return not self.diff and not self.untracked


def recorded_code(provenance: Mapping[str, Any]) -> tuple[CodeState, ...]:
    """Return the states of the code with which the runs of a command were trained, the oldest first."""
    found = provenance.get("code", ())
    return tuple(CodeState(**{**one, "untracked": tuple(one["untracked"])}) for one in found)


@dataclass(frozen=True)
class ArmCode:
    """The code that an arm of an ablation runs, as it was when the ablation was started.

    Attributes:
        rev: Revision of git as the file of the ablation names it.
        commit: The commit that this was.
        patch_file: File of the patch; empty if there is none.
        patch: Text of the patch, which is applied to the commit.
    """

    rev: str
    commit: str
    patch_file: str = ""
    patch: str = ""

    def __str__(self) -> str:
        patched = f" with {self.patch_file}" if self.patch_file else ""
        return f"commit {self.commit[:12]} ({self.rev}){patched}"


def recorded_arms(provenance: Mapping[str, Any]) -> dict[str, ArmCode]:
    """Return the code of the arms of an ablation, without those that run the files as they are."""
    return {name: ArmCode(**one) for name, one in provenance.get("arms", {}).items()}


def _when(at: str, runs: int) -> str:
    after = "before the first run" if not runs else f"after {runs} run{'s' * (runs > 1)}"
    return f"{datetime.fromisoformat(at):%Y-%m-%d %H:%M} UTC, {after}"


@dataclass(frozen=True)
class Change:
    """A difference with which a sweep was continued.

    Attributes:
        text: Text of the difference.
        at: Time in UTC, in ISO format.
        runs: Number of runs that were recorded before.
    """

    text: str
    at: str
    runs: int

    def __str__(self) -> str:
        return f"{self.text} ({_when(self.at, self.runs)})"


def recorded_changes(provenance: Mapping[str, Any]) -> tuple[Change, ...]:
    """Return the differences with which a sweep was continued, the oldest first."""
    return tuple(Change(**one) for one in provenance.get("changes", ()))
