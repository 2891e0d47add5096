"""Recipe hashes and proposals that an earlier release recorded: a refactoring must not change one of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from search_spaces import Value, load_space, recipe_hash, shipped_spaces
from sweeps.plan.search_plan import SearchPlan
from tests.fakes import snapshot_of

RECORDED = json.loads(Path(__file__).with_name("recorded_proposals.json").read_text(encoding="utf-8"))


def score(values: Mapping[str, Value]) -> float:
    return sum(value if isinstance(value, float) else len(str(value)) / 10 for value in values.values())


def test_every_shipped_space_keeps_its_recipe_hash() -> None:
    assert {name: recipe_hash(load_space(name).recipe) for name in shipped_spaces()} == RECORDED["recipe_hashes"]


@pytest.mark.parametrize("case", RECORDED["proposals"])
def test_every_sampler_keeps_its_proposals(case: str) -> None:
    space, kind = case.split()
    spec = load_space(space)
    plan = SearchPlan(spec.model_copy(update={"sampler": spec.sampler.model_copy(update={"kind": kind, "seed": 3})}))
    for number, recorded in enumerate(RECORDED["proposals"][case]):
        values = plan.values(plan.propose(number))
        assert json.loads(json.dumps(values)) == same(recorded), number
        value = score(values)
        plan.learn(snapshot_of(number, values=values, value=value, curve={27: value}))


def same(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers as close as two machines come; everything else as it is."""
    return {
        name: pytest.approx(value, rel=1e-6) if isinstance(value, float) else value for name, value in recorded.items()
    }
