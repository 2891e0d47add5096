"""Write results as JSON with every number, in a fixed order."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from typing import Any

import numpy as np
from pydantic import BaseModel

from search_spaces import Distribution, SpaceSpec
from search_spaces.search.distributions import canonical
from sweeps.store.records import RunRecord
from sweeps.study.snapshot import RunSnapshot


def to_json(data: object) -> str:
    """Return JSON with sorted keys; non-finite numbers become null."""
    return json.dumps(plain(data), indent=1, sort_keys=True, ensure_ascii=True, allow_nan=False) + "\n"


def picked(data: object, names: Sequence[str]) -> dict[str, Any]:
    """Return these attributes as a dict."""
    return {name: getattr(data, name) for name in names}


def run_facts(run: RunRecord | RunSnapshot, names: Sequence[str], spec: SpaceSpec) -> dict[str, Any]:
    """Return these attributes of a run; the recipe of a command has its arguments and its budget only."""
    facts = picked(run, names)
    if spec.command is None:
        return facts
    budget = run.recipe.budget
    return {**facts, "recipe": {"args": run.recipe.args, "budget": {f"{budget.unit}s": budget.length}}}


def plain(data: object) -> Any:
    """Convert dataclasses, tuples, enums, arrays, dates and recipes to dicts, lists and scalars."""
    match data:
        case Enum():
            return plain(data.value)
        case None | bool() | int() | str():
            return data
        case float() | np.floating():
            return float(data) if math.isfinite(data) else None
        case np.bool_() | np.integer() | np.ndarray():
            return plain(data.tolist())
        case datetime():
            return data.isoformat()
        case BaseModel():
            return plain(data.model_dump())
        case _ if isinstance(data, Distribution):
            return plain(canonical(data))
        case Mapping():
            return {_key(key): plain(value) for key, value in data.items()}
        case _ if is_dataclass(data):
            return {field.name: plain(getattr(data, field.name)) for field in fields(data)}
        case tuple() if hasattr(data, "_fields"):
            return {name: plain(getattr(data, name)) for name in data._fields}
        case Sequence():
            return [plain(value) for value in data]
        case _:
            raise TypeError(f"no JSON for {type(data).__name__}")


def _key(key: object) -> str:
    if isinstance(key, tuple):
        return ",".join(_key(part) for part in key)
    return str(key).lower() if isinstance(key, bool) else str(key)
