"""Where a space is found: a file or the library, and the spaces that it extends."""

from collections.abc import Sequence
from pathlib import Path

from search_spaces.errors import Problem, SpecError, UsageError, suggest
from search_spaces.files.nodes import Leaf, Mark, Section, drop, merge, plain
from search_spaces.files.yaml_parser import MAX_BYTES, parse_yaml
from search_spaces.values import show

_LIBRARY = Path(__file__).parents[1] / "library"
_MAX_CHAIN = 8


def shipped_spaces() -> tuple[str, ...]:
    """Return the names of the spaces in the library."""
    return shipped(_LIBRARY)


def shipped(library: Path) -> tuple[str, ...]:
    """Return the names of the files in a folder of them."""
    return tuple(sorted(path.stem for path in library.glob("*.yaml")))


def locate(name_or_path: str, library: Path = _LIBRARY, what: str = "space") -> Path:
    """Return the file of a space: an existing file wins over a shipped one of that name.

    Args:
        name_or_path: As it was typed.
        library: Folder of the shipped ones.
        what: They are, for messages.

    Raises:
        UsageError: When there is neither.
    """
    path = Path(name_or_path)
    if _is_file(path):
        return path
    if name_or_path in shipped(library):
        return library / f"{name_or_path}.yaml"
    raise UsageError(_nothing(name_or_path, shipped(library), what))


def read_text(path: Path) -> str:
    """Return the text of a file of bounded size.

    Raises:
        SpecError: When it cannot be read, is too large or is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SpecError(Problem(str(path), "", f"cannot be read: {error.strerror}")) from None
    if len(data) > MAX_BYTES:
        raise SpecError(Problem(str(path), "", f"a file may have at most {MAX_BYTES // 1024} KiB, found more"))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        mark = Mark(str(path), data[: error.start].count(b"\n") + 1)
        raise SpecError(Problem(str(mark), "", "a file must be UTF-8 text, found other bytes")) from None


def read_nodes(text: str, source: str, below: tuple[Path, ...] = ()) -> Section:
    """Return the nodes of a text, merged onto those of the space that it extends.

    Args:
        text: YAML.
        source: Name of the file, to which a relative `extends` is relative.
        below: The files that led here by `extends`.

    Raises:
        SpecError: When it is not a YAML section, or extends what cannot be extended.
    """
    tree = parse_yaml(text, source)
    if not isinstance(tree, Section):
        found = "an empty file" if tree == Leaf(tree.mark, None) else show(plain(tree))
        raise SpecError(Problem(str(tree.mark), "", f"must be a section of `name: value` lines, found {found}"))
    return read_base(tree, "extends", source, below)


def read_base(tree: Section, key: str, source: str, below: tuple[Path, ...] = ()) -> Section:
    """Return a section merged onto the space that its entry `key` names, if it has that entry.

    Raises:
        SpecError: As `read_nodes`.
    """
    if key not in tree.entries:
        return tree
    below = (*below, Path(source).resolve())
    base = _base(tree, key, Path(source), below)
    merged = merge(read_nodes(read_text(base), str(base), below), drop(tree, [key]))
    return merged if isinstance(merged, Section) else tree


def _base(tree: Section, key: str, source: Path, below: Sequence[Path]) -> Path:
    target = plain(tree.entries[key])
    path = source.parent / str(target)
    if target in shipped_spaces():
        path = _LIBRARY / f"{target}.yaml"
    if not isinstance(target, str) or not target:
        message = f"must be a shipped space or a path, found {show(target)}"
    elif not _is_file(path):
        message = _nothing(target, shipped_spaces(), "space")
    elif path.resolve() in below:
        message = f"goes round in a circle: {' -> '.join(step.name for step in (*below, path))}"
    elif len(below) >= _MAX_CHAIN:
        message = f"at most {_MAX_CHAIN} files may extend one another, found more"
    else:
        return path
    raise SpecError(Problem(str(tree.keys[key]), key, message))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, or has a NUL
        return False


def _nothing(name: str, known: Sequence[str], what: str) -> str:
    return f"no file and no shipped {what} {show(name)}; {suggest(name, known)}"
