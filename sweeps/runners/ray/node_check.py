"""What a node must have in common with the driver, and what it lacks. Runs on the node; knows no Ray."""

from __future__ import annotations

import functools
import hashlib
import platform
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from search_spaces import SpaceSpec, UsageError
from sweeps.import_paths import add_import_paths
from trainers.storage.address import open_folder
from trainers.storage.folder import Folder

PACKAGES = ("ray", "torch", "numpy")
OURS = ("search_spaces", "trainers", "sweeps")


@dataclass(frozen=True)
class Expectation:
    """What the driver expects of every node.

    Attributes:
        versions: Of whatever decides what a run computes, and whether its steps can be read.
        folder: Of the checkpoints.
        token: Content of the file `MARKER` in that folder.
        task: The user's own, by dotted path; empty for a built-in one.
        import_paths: Folders where it is looked for, after those that Ray brings to the node.
    """

    versions: dict[str, str] = field(default_factory=dict)
    folder: str = ""
    token: str = ""
    task: str = ""
    import_paths: Sequence[str] = ()


MARKER = ".driver"


@contextmanager
def expectation(spec: SpaceSpec, folder: Folder, import_paths: tuple[str, ...]) -> Iterator[Expectation]:
    """What a sweep expects of every node, while it runs; its folder carries the driver's marker as long.

    Raises:
        UsageError: The folder cannot be written to.
    """
    token = secrets.token_hex(8)
    try:
        folder.write(MARKER, token.encode())
    except OSError as error:
        raise UsageError(f"--checkpoints: {folder} cannot be written to: {error.strerror or error}") from error
    try:
        task = spec.task if ":" in spec.task else ""
        yield Expectation(versions(), str(folder), token, task, import_paths)
    finally:
        with suppress(OSError):
            folder.delete(MARKER)


def versions() -> dict[str, str]:
    """Of Python, of the packages that train, and of our own code as it lies there."""
    found = {"Python": ".".join(platform.python_version_tuple()[:2]), "sweeps": f"{_version('sweeps')} ({_code()})"}
    return found | {package: _version(package) for package in PACKAGES}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


@functools.cache
def _code() -> str:
    """The beginning of a digest of our source files: releases have numbers, checkouts do not."""
    digest = hashlib.sha256()
    root = Path(__file__).parents[3]
    for path in sorted(path for package in OURS for path in (root / package).rglob("*.py")):
        digest.update(str(path.relative_to(root)).encode() + path.read_bytes())
    return f"code {digest.hexdigest()[:8]}"


def lacks(expected: Expectation) -> tuple[str, ...]:
    """What is wrong with this node, a line each; empty when runs can be trained here."""
    return tuple(_lacks(expected))


def _lacks(expected: Expectation) -> Iterator[str]:
    here = versions()
    for name, wanted in expected.versions.items():
        if here.get(name) != wanted:
            yield f"it has {name} {here.get(name)}, the driver {wanted}: install the same on both"
    if expected.folder and (problem := _folder_problem(expected)):
        yield problem
    if expected.task and (problem := _task_problem(expected)):
        yield problem


def _folder_problem(expected: Expectation) -> str | None:
    try:
        seen = open_folder(expected.folder).read(MARKER)
    except (OSError, UsageError):  # the latter: a package that reads such a URL is not there
        seen = b""
    if seen == expected.token.encode():
        return None
    return (
        f"it does not see the checkpoints in {expected.folder}: name a folder that every node shares, or a bucket, "
        "with --checkpoints"
    )


def _task_problem(expected: Expectation) -> str | None:
    from trainers.task_lookup import load_target

    add_import_paths(expected.import_paths)
    try:
        load_target(expected.task)
    except UsageError as error:
        return f"the task cannot be used there: {error}"
    return None
