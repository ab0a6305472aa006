"""The Ray that a search starts on this machine: what it listens on, what it is given, and when it is tried again."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from processes import below, listening, on_loopback

from apc.search import cluster_nodes, local_ray, ray_session
from apc.search.ray_session import Resources, require_fit_here

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="looks at sockets and cgroups through /proc and /sys")


@LINUX
def test_addresses_of_the_loopback_are_told_from_others() -> None:
    assert on_loopback("0100007F:AC41")
    assert on_loopback("0000000000000000FFFF00000100007F:AC41")
    assert not on_loopback("00000000:AC41") and not on_loopback("020000C0:AC41")
    assert not on_loopback("00000000000000000000000000000000:AC41")


@LINUX
def test_ray_listens_on_loopback_alone_even_with_its_dashboard(warm_ray: None) -> None:
    ray_session.ask(cluster_nodes.interfaces)  # so that there is a worker process
    found = listening(below(os.getpid()))
    assert len(found) > 5
    assert {address: name for address, name in found.items() if not on_loopback(address)} == {}


@pytest.mark.parametrize("failures", [0, 2, 4])
def test_ray_is_tried_again_with_longer_waits_that_are_said(failures: int, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[dict[str, Any]] = []
    said: list[str] = []
    waited: list[float] = []

    def init(**options: Any) -> None:
        tries.append(options)
        if len(tries) <= failures:
            raise RuntimeError("The current node timed out\nduring startup")

    monkeypatch.setattr(local_ray.ray, "init", init)
    monkeypatch.setattr(local_ray.ray, "shutdown", lambda: None)
    monkeypatch.setattr(local_ray.time, "sleep", waited.append)
    if failures == 4:
        with pytest.raises(ValueError, match=r"not start in 4 tries \(The .* startup\); the same command tries again"):
            local_ray.start({"include_dashboard": False}, said.append)
        assert waited == [5, 15, 45]
    else:
        local_ray.start({"include_dashboard": False}, said.append)
        assert waited == [5, 15][:failures] and len(tries) == failures + 1
    assert said == [
        "Ray did not start (The current node timed out during startup); this machine may be busy; "
        f"trying again in {wait} s"
        for wait in waited
    ]
    assert tries[0]["_node_ip_address"] == "127.0.0.1" and tries[0]["num_cpus"] == local_ray.cpus()


def test_a_temporary_folder_too_long_for_sockets_is_left_for_a_shorter_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv("TMPDIR", "/tmp")
    assert local_ray.temporary() is None
    long = tmp_path / ("x" * 60)
    long.mkdir()
    monkeypatch.setenv("TMPDIR", str(long))
    assert local_ray.temporary() == "/tmp/ray"
    monkeypatch.setenv("TMPDIR", "/nowhere")
    assert local_ray.temporary() == "/tmp/ray"


def test_the_cpus_are_those_of_this_process_and_of_its_cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 3, 5}, raising=False)
    monkeypatch.setattr(local_ray, "quota", lambda root: None)
    assert local_ray.cpus() == 3
    monkeypatch.setattr(local_ray, "quota", lambda root: 2.5)
    assert local_ray.cpus() == 2
    monkeypatch.setattr(local_ray, "quota", lambda root: 0.5)
    assert local_ray.cpus() == 1


def test_quotas_of_both_versions_of_cgroups_are_read(tmp_path: Path) -> None:
    assert local_ray.quota(tmp_path) is None
    old = tmp_path / "cpu"
    old.mkdir()
    (old / "cpu.cfs_period_us").write_text("100000\n")
    (old / "cpu.cfs_quota_us").write_text("-1\n")
    assert local_ray.quota(tmp_path) is None
    (old / "cpu.cfs_quota_us").write_text("400000\n")
    assert local_ray.quota(tmp_path) == 4.0
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert local_ray.quota(tmp_path) == 4.0
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert local_ray.quota(tmp_path) == 1.5


def test_trials_that_never_fit_are_refused_before_ray_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_session.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(local_ray, "cpus", lambda: 2)
    monkeypatch.setattr(local_ray, "gpus", lambda: 0)
    with pytest.raises(ValueError, match=r"asks for 64 CPUs \(64 processes with 1 each\) and there are 2: it could"):
        require_fit_here(Resources(num_workers=64))
    with pytest.raises(ValueError, match=r"asks for 1 GPUs \(1 processes with 1 each\) and there are 0: it could"):
        require_fit_here(Resources(gpus_per_trial=1))
    with pytest.raises(ValueError, match=r"--cache-gib is 1e\+09; .* has room for .* GiB"):
        require_fit_here(Resources(cache_gib=1e9))
    require_fit_here(Resources(num_workers=2))
    require_fit_here(Resources(num_workers=64, address="auto"))  # a cluster is asked once it is joined
