"""cluster/Dockerfile is built and used as KubeRay uses it: minutes, 7 GB of packages and 40 GB of disk."""

import shlex
from collections.abc import Iterator

import pytest
from cluster.image import ROOT, Image, missing

pytestmark = [pytest.mark.image, pytest.mark.timeout(3600)]

KUBERAY = "ulimit -n 65536; ray start --head --num-cpus=2 --dashboard-host=0.0.0.0 --dashboard-agent-listen-port=52365"
"""How KubeRay starts the head; before 1.4, and where it is told so, in a login shell."""
PROBE = "wget --tries 1 -T 2 -q -O- http://localhost:52365/api/local_raylet_healthz | grep success"
"""How KubeRay asks whether a node is well."""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    room = tmp_path_factory.mktemp("image")
    if why_not := missing(room):
        pytest.skip(why_not)
    built = Image(room)
    yield built
    built.remove()


def test_it_runs_as_nobody_special_and_has_the_tools_that_kuberay_calls_and_no_compiler(image: Image) -> None:
    assert image.shell("id -u; touch /opt/apc/x; touch ~/x && echo home").stdout.split("\n") == [
        "1000",
        "touch: cannot touch '/opt/apc/x': Permission denied",
        "home",
        "",
    ]
    assert image.shell("bash -lc 'command -v ray apc python wget bash'").stdout.split() == [
        *("/opt/apc/bin/ray", "/opt/apc/bin/apc", "/opt/apc/bin/python"),
        *("/usr/bin/wget", "/usr/bin/bash"),
    ]
    assert image.shell("command -v g++ gcc cc c++ || echo none").stdout == "none\n"


def test_what_is_installed_is_what_was_tested(image: Image) -> None:
    pins = {line.strip() for line in (ROOT / "constraints.txt").read_text().lower().splitlines()}
    have = {line.lower() for line in image.shell("python -m pip freeze 2>/dev/null").stdout.splitlines()}
    assert {line for line in have if "==" in line} <= pins and len(have) > 60


def test_the_health_check_passes_and_fails_where_runs_cannot_be_written(image: Image) -> None:
    config = image.config()
    assert config["User"] == "1000:1000" and config["Labels"]["org.opencontainers.image.revision"] == "0123456789ab"
    check = shlex.join(config["Healthcheck"]["Test"][1:])
    passed = image.shell(check)
    assert passed.returncode == 0 and "ok          storage     /home/apc/runs" in passed.stdout, passed.stdout
    failed = image.shell(check, "--env", "APC_RUNS=/opt/runs")
    assert failed.returncode == 2 and "would fail  storage     /opt/runs" in failed.stdout, failed.stdout


def test_a_job_runs_on_a_ray_that_was_started_as_kuberay_starts_it(image: Image) -> None:
    job = "ray job submit --address http://127.0.0.1:8265 -- apc search lambdas --smoke --seeds 1"
    told = image.shell(
        f"bash -lc {shlex.quote(KUBERAY)} && for n in $(seq 60); do sleep 1; {PROBE} && break; done && {job} "
        "&& ls -d runs/smoke/*/row.json runs/smoke/reports/ablation.md",
        *("--env=RAY_AUTH_MODE=token", f"--env=RAY_AUTH_TOKEN={'0a' * 32}"),
        *("--env=APC_ADDRESS=auto", "--env=APC_RUNS=/home/apc/runs"),
    )
    assert told.returncode == 0, told.stdout
    assert "success" in told.stdout and told.stdout.count("row.json") == 9, told.stdout
