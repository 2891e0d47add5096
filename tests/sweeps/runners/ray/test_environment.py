"""The environment that Ray will read, and the choice of the cluster."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from search_spaces import UsageError
from sweeps.runners.ray import environment
from sweeps.runners.ray.environment import cluster_address, prepare


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("RAY_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.setattr(Path, "home", lambda: tmp_path)


def test_the_cluster_to_join(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cluster_address(None) is None
    assert cluster_address("auto") == "auto"
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert cluster_address(None) == "10.0.0.1:6379"
    assert cluster_address("auto") == "10.0.0.1:6379"
    assert cluster_address("10.0.0.2:6379") == "10.0.0.2:6379"
    monkeypatch.setenv("RAY_ADDRESS", "")
    assert cluster_address("auto") == "auto"
    assert cluster_address(None) is None


def test_a_token_that_only_its_owner_can_read_is_made_for_ray_on_this_machine(tmp_path: Path) -> None:
    prepare(None)
    token = tmp_path / ".ray" / "auth_token"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert "RAY_AUTH_MODE" not in os.environ


@pytest.mark.parametrize("required", [True, False])
@pytest.mark.parametrize("has", [True, False])
def test_a_token_is_sent_to_clusters_that_require_it(
    required: bool, has: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "_requires_token", lambda address: required)
    if has:
        monkeypatch.setitem(os.environ, "RAY_AUTH_TOKEN", "x" * 64)
    if required and not has:
        with pytest.raises(UsageError, match=r"the cluster at 10\.0\.0\.1:6379 requires a token, found none: copy"):
            prepare("10.0.0.1:6379")
    else:
        prepare("10.0.0.1:6379")
        assert os.environ.get("RAY_AUTH_MODE") == ("token" if required else None)


def test_a_mode_that_is_set_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_requires_token", lambda address: 1 / 0)
    monkeypatch.setitem(os.environ, "RAY_AUTH_MODE", "disabled")
    prepare("10.0.0.1:6379")
    assert os.environ["RAY_AUTH_MODE"] == "disabled"


def test_a_cluster_that_does_not_answer_requires_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_PROBE_ANSWER_S", 6.0)  # enough for the import of Ray and the probe
    assert not environment._requires_token("127.0.0.1:9")


HEAD = """
import os, sys
from ray.cluster_utils import Cluster
head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": 80 * 2**20}
cluster = Cluster(initialize_head=True, head_node_args=head)
print(cluster.address, flush=True)
sys.stdin.readline()
cluster.shutdown()
"""


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["token", "disabled"])
def test_real_clusters_with_and_without_a_token(mode: str, tmp_path: Path) -> None:
    variables = {**os.environ, "RAY_AUTH_MODE": mode, "RAY_AUTH_TOKEN": "ab" * 32, "HOME": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", HEAD], env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as head:
        assert head.stdout is not None
        assert head.stdin is not None
        address = head.stdout.readline().strip()
        assert environment._requires_token(address) is (mode == "token")
        head.stdin.write("\n")
