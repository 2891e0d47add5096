"""Check on a node that it can train for the driver: versions, checkpoints, task. It does not use Ray."""

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
from sweeps.changes import comparable
from sweeps.import_paths import add_import_paths
from trainers.storage.address import open_folder
from trainers.storage.folder import Folder

PACKAGES = ("ray", "torch", "numpy")
OURS = ("search_spaces", "trainers", "sweeps")


@dataclass(frozen=True)
class Expectation:
    """What the driver expects of every node.

    Attributes:
        versions: Version of Python and of each package that affects a run or its messages.
        folder: Path or URL of the checkpoints.
        token: Content of the file `MARKER` in that folder.
        task: Dotted path of the user's task; empty for a built-in one.
        import_paths: Folders to import the task from, after those that Ray sends to the node.
    """

    versions: dict[str, str] = field(default_factory=dict)
    folder: str = ""
    token: str = ""
    task: str = ""
    import_paths: Sequence[str] = ()


MARKER = ".driver"


@contextmanager
def expectation(spec: SpaceSpec, folder: Folder, import_paths: tuple[str, ...]) -> Iterator[Expectation]:
    """Yield what a sweep expects of every node, with the driver's marker file in its folder.

    Raises:
        UsageError: The folder is not writable.
    """
    token = secrets.token_hex(8)
    try:
        folder.write(MARKER, token.encode())
    except OSError as error:
        raise UsageError(f"--checkpoints: {folder} is not writable: {error.strerror or error}") from error
    try:
        task = spec.task if isinstance(spec.task, str) and spec.own_code else ""
        yield Expectation(versions(), str(folder), token, task, import_paths)
    finally:
        with suppress(OSError):
            folder.delete(MARKER)


def versions() -> dict[str, str]:
    """Return the versions of Python, of the training packages, and of our code with a digest of it."""
    found = {"Python": ".".join(platform.python_version_tuple()[:2]), "sweeps": f"{_version('sweeps')} ({_code()})"}
    return found | {package: _version(package) for package in PACKAGES}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


@functools.cache
def _code() -> str:
    """Return the start of a digest of our source files; a checkout has no version number of its own."""
    digest = hashlib.sha256()
    root = Path(__file__).parents[3]
    for path in sorted(path for package in OURS for path in (root / package).rglob("*.py")):
        digest.update(str(path.relative_to(root)).encode() + path.read_bytes())
    return f"code {digest.hexdigest()[:8]}"


def lacks(expected: Expectation) -> tuple[str, ...]:
    """Return the problems of this node, one line each; empty when it can train."""
    return tuple(_lacks(expected))


def _lacks(expected: Expectation) -> Iterator[str]:
    here = versions()
    for name, wanted in expected.versions.items():
        if comparable(here[name]) != comparable(wanted):
            yield f"it has {name} {here.get(name)}, the driver has {wanted}: install the same version on both"
    if expected.folder and (problem := _folder_problem(expected)):
        yield problem
    if expected.task and (problem := _task_problem(expected)):
        yield problem


def _folder_problem(expected: Expectation) -> str | None:
    try:
        seen = open_folder(expected.folder).read(MARKER)
    except (OSError, UsageError):  # UsageError: the package for this kind of URL is not installed
        seen = b""
    if seen == expected.token.encode():
        return None
    return (
        f"it cannot read the checkpoints in {expected.folder}: set --checkpoints to a folder that every node "
        "shares, or to a bucket"
    )


def _task_problem(expected: Expectation) -> str | None:
    from trainers.task_lookup import load_target

    add_import_paths(expected.import_paths)
    try:
        load_target(expected.task)
    except UsageError as error:
        return f"the task cannot be used there: {error}"
    return None
