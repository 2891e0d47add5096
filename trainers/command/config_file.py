"""Config files of users: read YAML, TOML and JSON, and write copies with other values in which all else stays."""

import difflib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tomlkit
from tomlkit.exceptions import TOMLKitError

from search_spaces.errors import Problem, SpecError
from search_spaces.files.lookup import read_text
from search_spaces.files.yaml_edit import Place, find_places, replace_places, yaml_text
from search_spaces.values import Scalar, Value, show

_KINDS: Mapping[str, Literal["yaml", "toml", "json"]] = {
    ".yaml": "yaml",
    ".yml": "yaml",
    ".toml": "toml",
    ".json": "json",
}
_MANY = 10


@dataclass(frozen=True)
class ConfigFile:
    """The text of a config file.

    Attributes:
        path: Path of the file.
        kind: Its language, by the ending of its name.
        text: Its text, with its line breaks as they are.
    """

    path: Path
    kind: Literal["yaml", "toml", "json"]
    text: str

    def scalars(self) -> dict[str, Scalar]:
        """Return the numbers, texts, booleans and nulls by dotted name, such as `layers.0.size`.

        YAML is read as version 1.2. PyYAML reads version 1.1, in which `no` is false and `1e-3` is a text, so a value
        that does not vary is left as it is written, rather than replaced by what is read here.
        """
        return {name: place.value for name, place in self._places().items() if place.kind == "scalar"}

    def replaced(self, values: Mapping[str, Value]) -> str:
        """Return the text with other values; their types stay: 1 is an integer, 1.0 a float and "1" a text.

        Args:
            values: Values by dotted name; each must be in the file.

        Raises:
            SpecError: A value cannot be replaced; has every problem.
        """
        places = self._places()
        problems = [problem for name in values for problem in self._problems(name, values, places)]
        if problems:
            raise SpecError(*problems)
        if self.kind == "toml":
            return _replaced_toml(self.text, values)
        write = json.dumps if self.kind == "json" else yaml_text
        return replace_places(self.text, [(places[name], write(value)) for name, value in values.items()])

    def _places(self) -> Mapping[str, Place]:
        """Return what is in the file; of TOML without indices in its text."""
        if self.kind == "toml":
            found: dict[str, Place] = {}
            for name, place in _toml_places(tomlkit.parse(self.text).unwrap(), ""):
                found[name] = Place(0, 0, 0, "unclear") if name in found else place
            return found
        return find_places(self.text, str(self.path))

    def _problems(self, name: str, values: Mapping[str, Value], places: Mapping[str, Place]) -> Iterator[Problem]:
        above = [".".join(name.split(".")[:count]) for count in range(1, name.count(".") + 1)]
        kinds = {one: places[one].kind for one in (*above, name) if one in places}
        line = places[name].line if name in places else 0
        where = f"{self.path}:{line}" if line else str(self.path)
        if twice := next((one for one, kind in kinds.items() if kind == "unclear"), None):
            yield Problem(where, name, f"{twice} must be in the file once and with a value; correct the file")
        elif name not in places:
            alias = next((one for one, kind in kinds.items() if kind == "alias"), None)
            hint = f"{alias} is an alias; write its section out" if alias else _closest(name, places)
            yield Problem(where, name, f"a value to replace must be in the file, found none; {hint}")
        elif kinds[name] == "section":
            yield Problem(where, name, f"must be a value, found a section; {_closest(f'{name}.', places)}")
        elif inside := next((one for one in above if one in values), None):
            yield Problem(where, name, f"is a part of {inside}, which is replaced, too; leave out one of them")
        elif self.kind == "toml" and _has_null(values[name]):
            yield Problem(where, name, "must not be null, which TOML lacks; use another value")


def _has_null(value: Value) -> bool:
    return None in value if isinstance(value, tuple) else value is None


def _closest(name: str, places: Mapping[str, Place]) -> str:
    names = [one for one, place in places.items() if one and place.kind != "section"]
    near = difflib.get_close_matches(name, names, n=3) or [one for one in names if one.startswith(name)][:_MANY]
    if near:
        return f"closest: {', '.join(near)}"
    return f"the file has {', '.join(names[:_MANY])}{', ...' if len(names) > _MANY else ''}" if names else "it is empty"


def read_config(path: Path) -> ConfigFile:
    """Read a config file.

    Raises:
        SpecError: It cannot be read, or its name or its text is invalid.
    """
    kind = _KINDS.get(path.suffix.lower())
    if kind is None:
        rule = f"the name of a config file must end with {', '.join(_KINDS)}"
        raise SpecError(Problem(str(path), "", f"{rule}; found {show(path.suffix)}"))
    config = ConfigFile(path, kind, read_text(path))
    try:
        if kind == "json":
            json.loads(config.text)
        if kind == "toml":
            tomlkit.parse(config.text)
        config.scalars()
    except json.JSONDecodeError as error:
        raise SpecError(Problem(f"{path}:{error.lineno}", "", f"not valid JSON: {error.msg}")) from None
    except (TOMLKitError, ValueError) as error:
        raise SpecError(Problem(str(path), "", f"not valid TOML: {error}")) from None
    except RecursionError:
        raise SpecError(Problem(str(path), "", "must have fewer levels, found too many to read")) from None
    return config


def write_copy(config: ConfigFile, values: Mapping[str, Value], target: Path) -> None:
    """Write a copy with other values, readable by those who can read the file.

    Raises:
        SpecError: A value cannot be replaced.
    """
    target.write_bytes(config.replaced(values).encode())
    shutil.copymode(config.path, target)


def _toml_places(node: object, name: str) -> Iterator[tuple[str, Place]]:
    inner: Iterator[tuple[str, Any]] = iter(())
    if isinstance(node, dict):
        inner = ((str(key), one) for key, one in node.items())
        yield name, Place(0, 0, 0, "section")
    elif isinstance(node, list):
        inner = ((str(index), one) for index, one in enumerate(node))
        yield name, Place(0, 0, 0, "list")
    else:
        yield name, Place(0, 0, 0, "scalar", node if isinstance(node, bool | int | float | str) else str(node))
    for key, one in inner:
        yield from _toml_places(one, f"{name}.{key}" if name else key)


def _replaced_toml(text: str, values: Mapping[str, Value]) -> str:
    document = tomlkit.parse(text)
    for name, value in values.items():
        _put_toml(document, name, list(value) if isinstance(value, tuple) else value)
    return tomlkit.dumps(document)


def _put_toml(node: Any, name: str, value: object) -> None:
    """Replace the value of a name; parts of the name may have dots."""
    keys = range(len(node)) if isinstance(node, list) else list(node)
    for key in keys:
        if name == str(key):
            node[key] = value
        elif name.startswith(f"{key}."):
            _put_toml(node[key], name.removeprefix(f"{key}."), value)
