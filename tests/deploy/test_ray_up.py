"""deploy/ray-up/cluster.yaml is checked with the schema and the validation of the installed Ray."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

ROOT = Path(__file__).resolve().parents[2]


def config() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "deploy/ray-up/cluster.yaml").read_text())
    return found


def test_ray_accepts_it() -> None:
    schema = json.loads((Path(ray.__file__).parent / "autoscaler/ray-schema.json").read_text())
    jsonschema.validate(config(), schema)
    prepared = prepare_config(config())
    validate_config(prepared)
    (kind,) = prepared["available_node_types"].values()
    assert (kind["min_workers"], kind["max_workers"]) == (2, 2)


def test_ray_refuses_a_misspelt_field() -> None:
    with pytest.raises(jsonschema.ValidationError):
        validate_config(prepare_config(config() | {"setup_comands": []}))


def test_it_is_safe() -> None:
    starts = config()["head_start_ray_commands"] + config()["worker_start_ray_commands"]
    starts = [command for command in starts if "ray start" in command]
    assert len(starts) == 2
    assert all("RAY_AUTH_MODE=token" in command for command in starts)
    assert "--dashboard-host=127.0.0.1" in starts[0]
    assert "0.0.0.0" not in (ROOT / "deploy/ray-up/cluster.yaml").read_text()
    assert config()["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
