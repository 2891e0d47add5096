"""Computes digests of the user's own source files: those that this process has imported, and those that they import."""

import ast
import hashlib
import importlib.util
import sys
import sysconfig
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.machinery import ModuleSpec
from pathlib import Path

_NOT_THEIRS = {"search_spaces", "trainers", "sweeps", "analysis", "__main__", "__mp_main__"}
_INSTALLED = {"site-packages", "dist-packages"}
_DIGEST_BYTES = 16


def user_sources(task: str, known: Iterable[str]) -> dict[str, str]:
    """Return the digest of each module of the user's own code by name.

    It is code outside the standard library, the installed packages and this project; the package of the task belongs to
    it, even if it is installed. A module counts if it is imported now, or if one that counts has an import of it
    anywhere, such as inside a function that only a training calls.

    Args:
        task: Reference of the task.
        known: Names of modules to include, even if they are not imported now: a module may be imported only if a cache
            is empty.
    """
    own = task.partition(":")[0].partition(".")[0]
    paths = {**dict(_findable(known)), **dict(_imported())}
    theirs = {
        name: path
        for name, path in paths.items()
        # a library may generate modules in other folders
        if _is_theirs(name, paths.get(name.partition(".")[0], path), own)
    }
    found = {}
    for name, path in sorted(_with_imports(theirs, own).items()):
        with suppress(OSError):  # a module of an archive has no file of its own
            found[name] = hashlib.blake2b(path.read_bytes(), digest_size=_DIGEST_BYTES).hexdigest()
    return found


def _is_theirs(name: str, path: Path, own: str) -> bool:
    top = name.partition(".")[0]
    return top not in _NOT_THEIRS and (top == own or not _installed(path))


def _with_imports(theirs: Mapping[str, Path], own: str) -> Mapping[str, Path]:
    """Return the user's modules and all that they import, also indirectly, without importing any."""
    found, left, seen = dict(theirs), list(theirs.items()), set(theirs)
    while left:
        for name in sorted(_import_names(*left.pop()) - seen):
            seen.add(name)
            path = _find(name)
            if path is not None and _is_theirs(name, path, own):
                found[name] = path
                left.append((name, path))
    return found


def _import_names(name: str, path: Path) -> set[str]:
    """Return what may be modules in the import statements of a source file, and the packages of these."""
    package = name if path.stem == "__init__" else name.rpartition(".")[0]
    names: set[str] = set()
    with suppress(Exception), warnings.catch_warnings(action="ignore"):  # a compiled module has no source
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                with suppress(ImportError):  # it points beyond its package
                    base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
                    names |= {f"{base}.{alias.name}" for alias in node.names}  # of a module, or of something in it
    parts = [one.split(".") for one in names if one.partition(".")[0] not in sys.stdlib_module_names]
    return {".".join(one[:count]) for one in parts for count in range(1, len(one) + 1)}


def _find(name: str) -> Path | None:
    """Return the file of a module without importing its packages; None if there is none."""
    folders, parts = None, name.split(".")
    for count in range(1, len(parts) + 1):
        spec = _spec(".".join(parts[:count]), folders)
        if spec is None or (count < len(parts) and spec.submodule_search_locations is None):
            return None
        folders = spec.submodule_search_locations
    return Path(spec.origin).resolve() if spec is not None and spec.origin is not None and spec.has_location else None


def _spec(name: str, folders: Sequence[str] | None) -> ModuleSpec | None:
    for finder in sys.meta_path:  # an editable install has a finder of its own
        with suppress(Exception):
            if (spec := finder.find_spec(name, folders)) is not None:
                return spec
    return None


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
