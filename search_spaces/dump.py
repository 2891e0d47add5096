"""SpaceSpec -> canonical YAML, and the difference of two specs in lines that a person can read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from pydantic import BaseModel

from search_spaces.distributions import Distribution, canonical
from search_spaces.spec import SpaceSpec
from search_spaces.yaml_text import scalar

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")


def dump_space(spec: SpaceSpec) -> str:
    """Return the YAML of a space with everything spelled out: no `extends`, and no default left to a release.

    Equal specs give equal bytes, and `parse_space` gives the spec back.
    """
    lines = ["kind: sweep"]
    for name, value in spec:
        if name == "name":
            continue
        if name == "recipe":
            lines += ["recipe:", *(f"  {part}: {_flow(inner)}" for part, inner in spec.recipe)]
        elif name == "search":
            searched = (f"  {_text(key)}: {_flow(spec.search[key])}" for key in sorted(spec.search))
            lines += ["search:", *searched] if spec.search else ["search: {}"]
        else:
            lines.append(f"{name}: {_flow(value)}")
    return "\n".join(lines) + "\n"


def _flow(value: object) -> str:
    """Return a value on one line."""
    if isinstance(value, Distribution):
        value = canonical(value)
    if isinstance(value, BaseModel | Mapping):
        items = sorted(value, key=_kind_first) if isinstance(value, BaseModel) else sorted(value.items())
        return f"{{{', '.join(f'{_text(name)}: {_flow(inner)}' for name, inner in items)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_flow(item) for item in value)}]"
    return _text(value) if isinstance(value, str) else json.dumps(value)


def _kind_first(item: tuple[str, object]) -> bool:
    return item[0] != "kind"


def _text(text: str) -> str:
    """Return a text bare where that is safe, and else quoted, in ASCII."""
    if _PLAIN.fullmatch(text) and scalar(text) == text:
        return text
    escaped = (char if " " <= char <= "~" and char not in '"\\' else f"\\U{ord(char):08x}" for char in text)
    return f'"{"".join(escaped)}"'


def diff_spaces(old: SpaceSpec, new: SpaceSpec) -> tuple[str, ...]:
    """Return one line for each difference, such as `recipe.budget.epochs: 27 -> 9`."""
    before, after = dict(_lines(old)), dict(_lines(new))
    return tuple(
        f"{path}: {before.get(path, 'absent')} -> {after.get(path, 'absent')}"
        for path in dict.fromkeys([*before, *after])
        if before.get(path) != after.get(path)
    )


def _lines(part: BaseModel, prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in sorted(part, key=_kind_first):
        path = f"{prefix}{name}"
        if isinstance(value, BaseModel):
            yield from _lines(value, f"{path}.")
        elif isinstance(value, Mapping):
            yield from ((f"{path}.{key}", _flow(value[key])) for key in sorted(value))
        else:
            yield path, _flow(value)
