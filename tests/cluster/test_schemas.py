"""The cluster files against their schemas; nothing is started."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray
import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
CONTAINERS = {"type": "array", "minItems": 1, "items": {"type": "object", "required": ["name", "image"]}}
POD = {
    "type": "object",
    "required": ["spec"],
    "properties": {"spec": {"type": "object", "required": ["containers"], "properties": {"containers": CONTAINERS}}},
}
PARAMETERS = {"type": "object", "additionalProperties": {"type": "string"}}
COUNT = {"type": "integer", "minimum": 0}


def only(required: str, **fields: Any) -> dict[str, Any]:
    """Schema of an object that has these fields and no others."""
    return {"type": "object", "required": required.split(), "properties": fields, "additionalProperties": False}


RAY_CLUSTER = only(
    "apiVersion kind metadata spec",
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayCluster"},
    metadata={"type": "object", "required": ["name"]},
    spec=only(
        "headGroupSpec",
        rayVersion={"type": "string"},
        authOptions=only("", mode={"enum": ["disabled", "token"]}),
        enableInTreeAutoscaling={"type": "boolean"},
        autoscalerOptions=only("", idleTimeoutSeconds=COUNT),
        headGroupSpec=only(
            "template",
            serviceType={"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
            rayStartParams=PARAMETERS,
            template=POD,
        ),
        workerGroupSpecs={
            "type": "array",
            "items": only(
                "groupName minReplicas maxReplicas template",
                groupName={"type": "string"},
                replicas=COUNT,
                minReplicas=COUNT,
                maxReplicas=COUNT,
                rayStartParams=PARAMETERS,
                template=POD,
            ),
        },
    ),
)
"""The part of KubeRay's RayCluster (ray.io/v1, its CRD API reference) that cluster/kuberay.yaml uses."""


def read(name: str) -> dict[str, Any]:
    found = yaml.safe_load((ROOT / name).read_text())
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("name", ["cluster.yaml", "cluster/aws.yaml"])
def test_ray_takes_every_line_of_the_cluster_file(name: str) -> None:
    schema = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text())
    config = read(name)
    jsonschema.validate(config, schema)
    for local in config["file_mounts"].values():
        assert local.startswith("~") or (ROOT / local).exists(), local
    for types in config.get("available_node_types", {}).values():
        assert types.get("max_workers", 0) <= config["max_workers"]
        assert types["node_config"]["SecurityGroupIds"]  # or Ray makes a group that opens ssh to the world
    with pytest.raises(jsonschema.ValidationError):  # it does refuse a slip
        jsonschema.validate(config | {"idle_timeout_minuts": 5}, schema)


def test_kuberay_takes_every_line_of_the_cluster_file() -> None:
    config = read("cluster/kuberay.yaml")
    jsonschema.validate(config, RAY_CLUSTER)
    for group in (config["spec"]["headGroupSpec"], *config["spec"]["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        volumes = {volume["name"] for volume in pod["volumes"]}
        assert {mount["name"] for mount in pod["containers"][0]["volumeMounts"]} == volumes
    config["spec"]["workerGroupSpecs"][0].pop("maxReplicas")
    with pytest.raises(jsonschema.ValidationError, match="maxReplicas"):
        jsonschema.validate(config, RAY_CLUSTER)


def test_versions_and_shared_folders_are_the_same_in_all_files() -> None:
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split() if "==" in line)
    assert read("cluster/kuberay.yaml")["spec"]["rayVersion"] == pins["ray"]
    texts = [(ROOT / name).read_text() for name in ("cluster.yaml", "cluster/aws.yaml", "cluster/kuberay.yaml")]
    for name, value in {"APC_ADDRESS": "auto", "APC_RUNS": "/mnt/apc/runs", "APC_CACHE": "/mnt/apc/cache"}.items():
        assert all(f"{name}={value}" in text or f"name: {name}, value: {value}" in text for text in texts), name
