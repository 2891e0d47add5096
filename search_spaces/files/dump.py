"""Write specs as canonical YAML, and list the differences of two specs."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from pydantic import BaseModel

from search_spaces.files.yaml_parser import scalar
from search_spaces.recipe.recipe import Budget
from search_spaces.search.constraints import Constraint
from search_spaces.search.distributions import Distribution, Value, canonical
from search_spaces.search.parameters import Alternative
from search_spaces.specs.ablation import AblationSpec
from search_spaces.specs.ablation_parts import Arm
from search_spaces.specs.space import SpaceSpec

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")


def dump_space(spec: SpaceSpec) -> str:
    """Return the YAML of a space with every value: without `extends`, and with defaults, which releases may change.

    Equal specs give equal bytes, and `parse_space` returns the same spec.
    """
    lines = ["kind: sweep", *_space_lines(spec, [name for name, _ in spec if name != "name"])]
    return "\n".join(lines) + "\n"


def _space_lines(spec: SpaceSpec, names: Sequence[str]) -> Iterator[str]:
    for name in names:
        if name == "recipe" and spec.command is not None:
            yield f"args: {_flow(spec.recipe.args)}"
            yield f"budget: {_flow({f'{spec.recipe.budget.unit}s': spec.recipe.budget.length})}"
        elif name == "recipe":
            yield "recipe:"
            yield from (f"  {part}: {_flow(inner)}" for part, inner in spec.recipe if part != "args")
        elif name == "search" and (entries := _search(spec)):
            yield "search:"
            yield from (f"  {_text(key)}: {entries[key]}" for key in sorted(entries))
        elif name in ("constraints", "starts", "time_limit_s", "repeats"):  # left out if empty
            yield from [f"{name}: {_flow(getattr(spec, name))}"] if getattr(spec, name) else []
        elif name not in ("one_of", "when"):
            yield f"{name}: {_flow(getattr(spec, name))}"


def _search(spec: SpaceSpec) -> dict[str, str]:
    """Return each entry of the `search` section on one line."""
    entries = {name: _flow(values) for name, values in spec.search.items()}
    for name, conditions in spec.when.items():
        entries[name] = f"{entries[name][:-1]}, when: {_flow(conditions)}}}"
    for section, ones in spec.one_of.items():
        entries[section] = f"{{one_of: [{', '.join(map(_alternative, ones))}]}}"
    return entries


def _alternative(one: Alternative) -> str:
    rest = _flow({**one.settings, **one.search}).removeprefix("{")
    return f"{{kind: {_text(one.kind)}{'' if rest == '}' else ', '}{rest}"


def dump_ablation(spec: AblationSpec) -> str:
    """Return the YAML of an ablation with every value: without `space`, and with defaults, which releases may change.

    Equal specs give equal bytes, and `parse_ablation` returns the same spec.
    """
    lines = ["kind: ablation", f"question: {_flow(spec.question)}"]
    lines += _space_lines(spec.space, ["task", "recipe", "search", "resources", "checkpoint_every_s", "time_limit_s"])
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
        return f"{{{', '.join(f'{name}: {_flow(inner)}' for name, inner in canonical(value).items())}}}"
    if isinstance(value, Constraint):
        value = value.text
    if isinstance(value, BaseModel | Mapping):
        items = _fields(value) if isinstance(value, BaseModel) else sorted(value.items())
        return f"{{{', '.join(f'{_text(name)}: {_flow(inner)}' for name, inner in items)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_flow(item) for item in value)}]"
    return _text(value) if isinstance(value, str) else json.dumps(value)


def _fields(part: BaseModel) -> list[tuple[str, object]]:
    """Return the fields of a part, its kind first; of a budget, only those that it has."""
    found = sorted(part, key=_kind_first)
    return [(name, value) for name, value in found if value is not None or not isinstance(part, Budget)]


def _kind_first(item: tuple[str, object]) -> bool:
    return item[0] != "kind"


def _text(text: str) -> str:
    """Return a text in ASCII, with quotes unless it is safe without."""
    return text if _PLAIN.fullmatch(text) and scalar(text) == text else quoted(text)


def quoted(text: str) -> str:
    """Return a text in ASCII with quotes."""
    escaped = (char if " " <= char <= "~" and char not in '"\\' else f"\\U{ord(char):08x}" for char in text)
    return f'"{"".join(escaped)}"'


# They do not change the results of runs, so they may change in a running sweep.
DRIVING = ("checkpoint_every_s", "time_limit_s", "repeats")


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
        if isinstance(part, SpaceSpec) and name in DRIVING:
            continue
        if isinstance(part, SpaceSpec) and name in ("search", "one_of", "when"):
            entries = _search(part) if name == "search" else {}
            yield from ((f"{path}.{key}", entries[key]) for key in sorted(entries))
        elif isinstance(value, BaseModel):
            yield from _lines(value, f"{path}.")
        elif isinstance(value, Mapping):
            yield from ((f"{path}.{key}", _flow(value[key])) for key in sorted(value))
        else:
            yield path, _flow(value)
