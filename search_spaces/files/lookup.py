"""Find a space, in a file or in the library, and the spaces that it extends."""

from collections.abc import Sequence
from pathlib import Path

from search_spaces.errors import Problem, SpecError, UsageError, suggest
from search_spaces.files.nodes import Leaf, Mark, Section, drop, merge, plain
from search_spaces.files.yaml_parser import MAX_BYTES, parse_yaml
from search_spaces.values import show

_LIBRARY = Path(__file__).parents[1] / "library"
_MAX_EXTENDS = 8


def shipped_spaces() -> tuple[str, ...]:
    """Return the names of the spaces in the library."""
    return shipped(_LIBRARY)


def shipped(library: Path) -> tuple[str, ...]:
    """Return the names of the YAML files in a folder."""
    return tuple(sorted(path.stem for path in library.glob("*.yaml")))


def locate(name_or_path: str, library: Path = _LIBRARY, what: str = "space") -> Path:
    """Return the path of a space. An existing file has precedence over a shipped one with that name.

    Args:
        name_or_path: Path of a file, or name of a shipped one.
        library: Folder of the shipped ones.
        what: Kind of file, for messages.

    Raises:
        UsageError: There is neither.
    """
    path = Path(name_or_path)
    if _is_file(path):
        return path
    if name_or_path in shipped(library):
        return library / f"{name_or_path}.yaml"
    raise UsageError(_not_found(name_or_path, shipped(library), what))


def read_text(path: Path) -> str:
    """Return the text of a file of bounded size.

    Raises:
        SpecError: It cannot be read, is too large or is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SpecError(Problem(str(path), "", f"cannot be read: {error.strerror}")) from None
    if len(data) > MAX_BYTES:
        raise SpecError(Problem(str(path), "", f"a file must have at most {MAX_BYTES // 1024} KiB, found more"))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        mark = Mark(str(path), data[: error.start].count(b"\n") + 1)
        raise SpecError(Problem(str(mark), "", "a file must be UTF-8 text, found other bytes")) from None


def read_nodes(text: str, source: str, chain: tuple[Path, ...] = ()) -> Section:
    """Return the nodes of a text, merged with those of the space that it extends.

    Args:
        text: YAML.
        source: Name of the file; a relative `extends` is relative to it.
        chain: Files that led to this one by `extends`.

    Raises:
        SpecError: It is not a YAML section, or what it extends is invalid.
    """
    root = parse_yaml(text, source)
    if not isinstance(root, Section):
        found = "an empty file" if root == Leaf(root.mark, None) else show(plain(root))
        raise SpecError(Problem(str(root.mark), "", f"must be a section of `name: value` lines, found {found}"))
    return read_base(root, "extends", source, chain)


def read_base(root: Section, key: str, source: str, chain: tuple[Path, ...] = ()) -> Section:
    """Return a section merged with the space that its entry `key` names, if it has that entry.

    Raises:
        SpecError: The space is invalid.
    """
    if key not in root.entries:
        return root
    chain = (*chain, Path(source).resolve())
    base = _base(root, key, Path(source), chain)
    merged = merge(read_nodes(read_text(base), str(base), chain), drop(root, [key]))
    return merged if isinstance(merged, Section) else root


def _base(root: Section, key: str, source: Path, chain: Sequence[Path]) -> Path:
    target = plain(root.entries[key])
    path = source.parent / str(target)
    if target in shipped_spaces():
        path = _LIBRARY / f"{target}.yaml"
    if not isinstance(target, str) or not target:
        message = f"must be a shipped space or a path, found {show(target)}"
    elif not _is_file(path):
        message = _not_found(target, shipped_spaces(), "space")
    elif path.resolve() in chain:
        message = f"must not extend itself, found {' -> '.join(step.name for step in (*chain, path))}"
    elif len(chain) >= _MAX_EXTENDS:
        message = f"must be a chain of at most {_MAX_EXTENDS} files, found more"
    else:
        return path
    raise SpecError(Problem(str(root.keys[key]), key, message))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # the name is too long or has a NUL
        return False


def _not_found(name: str, known: Sequence[str], what: str) -> str:
    return f"no file and no shipped {what} {show(name)}; {suggest(name, known)}"
