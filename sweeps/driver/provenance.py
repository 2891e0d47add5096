"""Records on what a sweep was created: code version, packages and machine, without secrets."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import psutil

from sweeps.changes import CodeState
from sweeps.driver.git import git_output

PACKAGES = ("sweeps", "torch", "ray", "optuna", "numpy", "scipy", "pydantic", "sqlalchemy", "mnist1d", "scikit-learn")

LONGEST_DIFF = 256 * 1024  # characters
MOST_UNTRACKED = 200

_WHOLE = ("--no-color", "--no-ext-diff", "--no-textconv", "--no-relative", "--src-prefix=a/", "--dst-prefix=b/")


def provenance() -> dict[str, Any]:
    """Return the git commit, the package versions and the machine."""
    return {
        "git_commit": _commit(),
        "git_dirty": bool(git_output("status", "--porcelain")),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.node(),
        "cpus": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def code_state(at: str, runs: int) -> CodeState | None:
    """Return the commit and what differs from it; None outside a repository, without git, and before a commit.

    Args:
        at: Time in UTC, in ISO format.
        runs: Number of recorded runs.
    """
    commit, diff = _commit(), git_output("diff", "HEAD", *_WHOLE)
    if commit is None or diff is None:
        return None
    if len(diff) > LONGEST_DIFF:
        diff = f"{diff[:LONGEST_DIFF]}\n# cut: {len(diff) - LONGEST_DIFF} more characters\n"
    root = (git_output("rev-parse", "--show-toplevel") or ".").rstrip("\n")
    listed = git_output("-C", root, "ls-files", "--others", "--exclude-standard", "-z") or ""
    names = [name for name in listed.split("\0") if name]
    more = [f"... ({len(names) - MOST_UNTRACKED} more)"] if len(names) > MOST_UNTRACKED else []
    return CodeState(commit, diff, (*names[:MOST_UNTRACKED], *more), at, runs)


def _commit() -> str | None:
    found = git_output("rev-parse", "HEAD")
    return None if found is None else found.strip()
