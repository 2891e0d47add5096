"""deploy/kubernetes: pods are checked against the schemas of Kubernetes, the RayJob against that of KubeRay."""

from __future__ import annotations

import copy
import json
import shlex
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import ray
import yaml
from typer.testing import CliRunner

from sweeps.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy/kubernetes"
KUBERNETES = "1.34"
SCHEMA = json.loads((Path(__file__).parent / "rayjob.schema.json").read_text())


def documents() -> dict[str, Any]:
    return {document["kind"]: document for document in yaml.safe_load_all((FOLDER / "rayjob.yaml").read_text())}


def groups(job: dict[str, Any]) -> list[dict[str, Any]]:
    cluster = job["spec"]["rayClusterSpec"]
    return [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]


def pods(job: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a Pod for each template."""
    return [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "tried"}, "spec": group["template"]["spec"]}
        for group in groups(job)
    ]


def breaches(job: dict[str, Any]) -> list[str]:
    return [error.message for error in jsonschema.Draft202012Validator(SCHEMA).iter_errors(job)]


def test_the_job_matches_the_schema_of_kuberay() -> None:
    assert breaches(documents()["RayJob"]) == []


def test_every_pod_and_the_claim_match_the_schemas_of_kubernetes() -> None:
    found = documents()
    resources = [found["PersistentVolumeClaim"], *pods(found["RayJob"])]
    assert len(resources) > 2
    for resource in resources:
        kubernetes_validate.validate(resource, KUBERNETES, strict=True)  # it raises an error if it is invalid


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "backofflimit"), 5),
        (("spec", "backoffLimit"), "5"),
        (("spec", "rayClusterSpec", "authOptions", "mode"), "tokens"),
        (("spec", "rayClusterSpec", "headGroupSpec", "rayStartParams", "num-cpus"), 0),
        (("spec", "rayClusterSpec", "workerGroupSpecs", 0, "groupname"), "x"),
        (("spec", "submissionMode"), "Job"),
        (("apiVersion",), "ray.io/v1alpha1"),
    ],
)
def test_the_schema_refuses(path: tuple[str | int, ...], value: object) -> None:
    job: Any = copy.deepcopy(documents()["RayJob"])
    place = job
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert len(breaches(job)) == 1


def test_a_misspelt_field_of_a_pod_is_refused() -> None:
    pod = copy.deepcopy(pods(documents()["RayJob"])[0])
    pod["spec"]["containers"][0]["volumeMount"] = []
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(pod, KUBERNETES, strict=True)


def test_it_is_safe_and_continues() -> None:
    job = documents()["RayJob"]
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["rayVersion"] == ray.__version__
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert cluster["headGroupSpec"]["serviceType"] == "ClusterIP"
    assert job["spec"]["backoffLimit"] > 0
    assert job["spec"]["shutdownAfterJobFinishes"] is True
    for group in groups(job):
        spec = group["template"]["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        (container,) = spec["containers"]
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert "/checkpoints" in [mount["mountPath"] for mount in container["volumeMounts"]]
        passwords = [variable for variable in container["env"] if variable["name"] == "PGPASSWORD"]
        assert all("secretKeyRef" in variable["valueFrom"] for variable in passwords)
        assert len(passwords) == (group is cluster["headGroupSpec"])


def test_the_entrypoint_names_options_that_exist() -> None:
    program, command, space, *options = shlex.split(documents()["RayJob"]["spec"]["entrypoint"])
    assert (program, command, space) == ("sweeps", "run", "finetune")
    named = [option for option in options if option.startswith("--")]
    help_text = CliRunner().invoke(app, ["run", "--help"], env={"COLUMNS": "200"}).output
    assert [option for option in named if option not in help_text] == []


def test_the_image_copies_existing_files() -> None:
    lines = (FOLDER / "Dockerfile").read_text().splitlines()
    copied = [word for line in lines if line.startswith("COPY") for word in line.split()[1:-1]]
    assert copied
    for name in copied:
        assert (ROOT / name).exists(), name
        assert f"!{name}" in (FOLDER / "Dockerfile.dockerignore").read_text().splitlines()
