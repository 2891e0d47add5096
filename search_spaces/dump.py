"""A spec -> canonical YAML, and the difference of two specs in lines that a person can read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from pydantic import BaseModel

from search_spaces.ablation import AblationSpec, Arm
from search_spaces.distributions import Distribution, Value, canonical
from search_spaces.spec import SpaceSpec
from search_spaces.yaml_text import scalar

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")


def dump_space(spec: SpaceSpec) -> str:
    """Return the YAML of a space with everything spelled out: no `extends`, and no default left to a release.

    Equal specs give equal bytes, and `parse_space` gives the spec back.
    """
    lines = ["kind: sweep", *_space_lines(spec, [name for name, _ in spec if name != "name"])]
    return "\n".join(lines) + "\n"


def _space_lines(spec: SpaceSpec, names: Sequence[str]) -> Iterator[str]:
    for name in names:
        if name == "recipe":
            yield "recipe:"
            yield from (f"  {part}: {_flow(inner)}" for part, inner in spec.recipe)
        elif name == "search" and spec.search:
            yield "search:"
            yield from (f"  {_text(key)}: {_flow(spec.search[key])}" for key in sorted(spec.search))
        else:
            yield f"{name}: {_flow(getattr(spec, name))}"


def dump_ablation(spec: AblationSpec) -> str:
    """Return the YAML of an ablation with everything spelled out: no `space`, and no default left to a release.

    Equal specs give equal bytes, and `parse_ablation` gives the spec back.
    """
    lines = ["kind: ablation", f"question: {_flow(spec.question)}"]
    lines += _space_lines(spec.space, ["task", "recipe", "search", "resources", "checkpoint_every_s"])
    lines.append(f"seed: {spec.space.sampler.seed}")
    for name in ("arms", "factors"):
        arms = getattr(spec, name)
        lines += [f"{name}:", *(f"  {_text(arm)}: {_arm(arms[arm])}" for arm in arms)] if arms else []
    left = [name for name in type(spec).model_fields if name not in ("question", "space", "arms", "factors")]
    lines += [f"{name}: {_flow(value)}" for name in left if (value := getattr(spec, name)) is not None]
    return "\n".join(lines) + "\n"


def _arm(arm: Arm | Mapping[str, Value]) -> str:
    if not isinstance(arm, Arm):
        return _flow(arm)
    own = {name: value for name, value in arm if name != "settings" and value is not None}
    return _flow({**arm.settings, **own})


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


def diff_specs(old: SpaceSpec | AblationSpec, new: SpaceSpec | AblationSpec) -> tuple[str, ...]:
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
