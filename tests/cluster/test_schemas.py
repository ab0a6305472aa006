"""The cluster files against their schemas; nothing is started."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray
import yaml

import apc

ROOT = Path(__file__).resolve().parent.parent.parent
COUNT = {"type": "integer", "minimum": 0}


def only(required: str, **fields: Any) -> dict[str, Any]:
    """Schema of an object that has these fields and no others."""
    return {"type": "object", "required": required.split(), "properties": fields, "additionalProperties": False}


def each(item: dict[str, Any]) -> dict[str, Any]:
    """Schema of a list with one item or more."""
    return {"type": "array", "minItems": 1, "items": item}


TEXT = {"type": "string"}
TEXTS = {"type": "object", "additionalProperties": TEXT}
RESOURCES = only("requests limits", requests=TEXTS, limits=TEXTS)
POD = only(
    "spec",
    metadata=only("", annotations=TEXTS),
    spec=only(
        "containers",
        securityContext=only("", runAsNonRoot={"type": "boolean"}, runAsUser=COUNT, fsGroup=COUNT),
        nodeSelector=TEXTS,
        tolerations=each(only("", key=TEXT, operator={"enum": ["Exists", "Equal"]}, effect={"enum": ["NoSchedule"]})),
        containers=each(
            only(
                "name image",
                name=TEXT,
                image=TEXT,
                securityContext=only(
                    "", allowPrivilegeEscalation={"type": "boolean"}, capabilities=only("", drop=each(TEXT))
                ),
                env=each(only("name value", name=TEXT, value=TEXT)),
                envFrom=each(only("", secretRef=only("name", name=TEXT, optional={"type": "boolean"}))),
                resources=RESOURCES,
                volumeMounts=each(only("name mountPath", name=TEXT, mountPath=TEXT)),
            )
        ),
        volumes=each(
            only(
                "name",
                name=TEXT,
                emptyDir=only("", medium={"const": "Memory"}, sizeLimit=TEXT),
                persistentVolumeClaim=only("claimName", claimName=TEXT),
            )
        ),
    ),
)
"""The part of Kubernetes' PodTemplateSpec that cluster/kuberay.yaml uses."""

RAY_CLUSTER = only(
    "headGroupSpec",
    rayVersion=TEXT,
    authOptions=only("", mode={"enum": ["disabled", "token"]}),
    enableInTreeAutoscaling={"type": "boolean"},
    autoscalerOptions=only("", version={"enum": ["v1", "v2"]}, idleTimeoutSeconds=COUNT),
    headGroupSpec=only(
        "template",
        serviceType={"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
        rayStartParams=TEXTS,
        template=POD,
    ),
    workerGroupSpecs=each(
        only(
            "groupName minReplicas maxReplicas template",
            groupName=TEXT,
            replicas=COUNT,
            minReplicas=COUNT,
            maxReplicas=COUNT,
            rayStartParams=TEXTS,
            template=POD,
        )
    ),
)
RAY_JOB = only(
    "apiVersion kind metadata spec",
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayJob"},
    metadata=only("name", name=TEXT),
    spec=only(
        "entrypoint rayClusterSpec",
        entrypoint=TEXT,
        shutdownAfterJobFinishes={"type": "boolean"},
        ttlSecondsAfterFinished=COUNT,
        backoffLimit=COUNT,
        rayClusterSpec=RAY_CLUSTER,
    ),
)
"""The part of KubeRay's RayJob (ray.io/v1, its CRD API reference) that cluster/kuberay.yaml uses."""


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


def kuberay(alternative: bool = False) -> dict[str, Any]:
    """cluster/kuberay.yaml as it is, or with the lines for a shared volume that its header speaks of."""
    text = (ROOT / "cluster" / "kuberay.yaml").read_text()
    found = yaml.safe_load(re.sub(r"^( +)## ", r"\1", text, flags=re.M) if alternative else text)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("alternative", [False, True])
def test_kuberay_takes_every_line_of_the_job(alternative: bool) -> None:
    config = kuberay(alternative)
    jsonschema.validate(config, RAY_JOB)
    cluster = config["spec"]["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        volumes = {volume["name"] for volume in pod["volumes"]}
        assert {mount["name"] for mount in pod["containers"][0]["volumeMounts"]} == volumes
        assert volumes == ({"shm", "shared"} if alternative else {"shm"})
        runs = [entry["value"] for entry in pod["containers"][0]["env"] if entry["name"] == "APC_RUNS"]
        assert runs[-1] == ("/mnt/apc/runs" if alternative else "s3://bucket/apc/runs")  # Kubernetes takes the last
    cluster["workerGroupSpecs"][0].pop("maxReplicas")
    with pytest.raises(jsonschema.ValidationError, match="maxReplicas"):
        jsonschema.validate(config, RAY_JOB)


def test_ray_listens_on_no_port_but_those_that_are_to_be_open() -> None:
    from ray.scripts.scripts import start

    config, known = read("cluster.yaml"), {name for option in start.params for name in option.opts}
    opened = {"node-manager", "object-manager", "runtime-env-agent", "dashboard-agent-grpc", "metrics-export"}
    for which in ("head", "worker"):
        command = config[f"{which}_start_ray_commands"][-1]
        assert set(re.findall(r"--[a-z-]+", command)) <= known
        ports = {name: int(port) for name, port in re.findall(r"--([a-z-]+)-port=(\d+)", command)}
        assert ports.keys() == opened and sorted(ports.values()) == [6380, 6381, 6382, 6383, 6384]
    assert "Ports 6379 to 6384 (" in (ROOT / "cluster.yaml").read_text()


def test_the_cluster_of_a_job_starts_with_a_head_that_trains_nothing() -> None:
    cluster = kuberay()["spec"]["rayClusterSpec"]
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert [group["minReplicas"] for group in cluster["workerGroupSpecs"]] == [1] and cluster["enableInTreeAutoscaling"]


def test_versions_users_and_shared_folders_are_the_same_in_all_files() -> None:
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split() if "==" in line)
    cluster = kuberay()["spec"]["rayClusterSpec"]
    assert cluster["rayVersion"] == pins["ray"]
    names = ("cluster.yaml", "cluster/aws.yaml", "cluster/kuberay.yaml", "cluster/Dockerfile")
    *clusters, dockerfile = ((ROOT / name).read_text() for name in names)
    for name, value in {"APC_ADDRESS": "auto", "APC_RUNS": "/mnt/apc/runs", "APC_CACHE": "/mnt/apc/cache"}.items():
        assert all(f"{name}={value}" in text or f"name: {name}, value: {value}" in text for text in clusters), name
    assert f'image.version="{apc.__version__}"' in dockerfile
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        assert f"USER {pod['securityContext']['runAsUser']}:{pod['securityContext']['fsGroup']}" in dockerfile
        assert f"-t {pod['containers'][0]['image']} " in dockerfile
