"""Computes digests of the user's own source files that this process has imported."""

import hashlib
import importlib.util
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

_NOT_THEIRS = {"search_spaces", "trainers", "sweeps", "analysis", "__main__", "__mp_main__"}
_INSTALLED = {"site-packages", "dist-packages"}
_DIGEST_BYTES = 16


def user_sources(task: str, known: Iterable[str]) -> dict[str, str]:
    """Return the digest of each module of the user's own code by name.

    It is code outside the standard library, the installed packages and this project; the package of the task belongs to
    it, even if it is installed.

    Args:
        task: Reference of the task.
        known: Names of modules to include, even if they are not imported now: a module may be imported only if a cache
            is empty.
    """
    own = task.partition(":")[0].partition(".")[0]
    paths = {**dict(_findable(known)), **dict(_imported())}
    found = {}
    for name, path in sorted(paths.items()):
        top = name.partition(".")[0]
        if top not in _NOT_THEIRS and (
            top == own or not _installed(paths.get(top, path))
        ):  # a library may generate modules in other folders
            with suppress(OSError):  # a module of an archive has no file of its own
                found[name] = hashlib.blake2b(path.read_bytes(), digest_size=_DIGEST_BYTES).hexdigest()
    return found


def _imported() -> Iterator[tuple[str, Path]]:
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if isinstance(path, str):
            yield name, Path(path).resolve()


def _findable(known: Iterable[str]) -> Iterator[tuple[str, Path]]:
    for name in known:
        with suppress(Exception):  # finding it imports its packages, which are the user's code
            spec = importlib.util.find_spec(name)
            if spec is not None and spec.origin is not None and spec.has_location:
                yield name, Path(spec.origin).resolve()


def _installed(path: Path) -> bool:
    library = (Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib"))
    return bool(_INSTALLED.intersection(path.parts)) or any(path.is_relative_to(folder) for folder in library)
