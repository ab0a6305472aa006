"""`apc doctor`: each check with nodes made up for it, and the whole of it on this machine."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from script_runs import ROOT, python

from apc.cli.main import main
from apc.models.feature_rows import THERE, Kind
from apc.search import cluster_nodes, doctor
from apc.search.cluster_nodes import Facts, differing, look
from apc.search.doctor import disks, features, network, planned_nodes, present, space, storage, token, versions

GOOD = Facts(
    host="left",
    resolves="10.0.0.1",
    versions=cluster_nodes.versions(),
    token=True,
    interfaces={"eth0": "10.0.0.1"},
    chosen="",
    reads=True,
    why_not="",
    free=2**40,
    full=0.5,
    room=2**40,
)


def two(**other: Any) -> dict[str, Facts]:
    """A good node and one that differs from it."""
    right = {"host": "right", "resolves": "10.0.0.2", "interfaces": {"eth0": "10.0.0.2"}} | other
    return {"10.0.0.1": GOOD, "10.0.0.2": replace(GOOD, **right)}


def test_good_nodes_pass_every_check(tmp_path: Path) -> None:
    for host in ("left", "right"):
        (tmp_path / f"mark.{host}").touch()
    checks = [
        *versions(two()),
        token(two()),
        storage(two(), tmp_path, "mark"),
        *disks(two()),
        network(two(), 2),
        present({**two()}, ["10.0.0.1", "10.0.0.2"]),
        space(tmp_path, 2**40),
    ]
    assert [check.line for check in checks if check.remedy] == []
    assert "ok          nodes       2: 10.0.0.1, 10.0.0.2" in [check.line for check in checks]


def test_another_version_is_named_with_its_node() -> None:
    facts = two(versions=cluster_nodes.versions() | {"torch": "2.0.0", "apc": "0badc0de"})
    wrong = {check.name: check.finding for check in versions(facts) if check.remedy}
    assert set(wrong) == {"torch", "apc"}
    assert wrong["torch"].startswith("10.0.0.2 has 2.0.0, this process has ")


def test_builds_of_one_version_are_the_same_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_nodes, "version", lambda name: "2.5.1+cu124")
    gpu = cluster_nodes.versions_now()
    monkeypatch.setattr(cluster_nodes, "version", lambda name: "2.5.1+cpu")
    assert differing(gpu, cluster_nodes.versions_now()) == []
    assert differing(gpu, gpu | {"python": "3.12.0"}) == ["python"]


def test_what_trials_share_is_told_with_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APC_CACHE", str(tmp_path))
    assert features() == []
    (file := tmp_path / "features/model.rows").parent.mkdir()
    file.write_bytes(Kind("model", 1, (1, 2**14, 2**14, 1)).head() + THERE.to_bytes(8, "little"))
    told = f"0.2 GiB of outputs of closed blocks in {tmp_path}/features, which may go at any time"
    assert [check.line for check in features()] == [f"ok          features    {told}"]


def test_a_search_refuses_a_node_whose_disk_is_too_small_for_what_its_trials_share(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from apc.search import ray_session

    fault = "--cache-gib is 50; /cache/features has room for 3.0 GiB; give less"
    monkeypatch.setattr(ray_session, "ask", lambda question, gib: {"10.0.0.1": "", "10.0.0.2": fault})
    ray_session.require_room_there(0)
    with pytest.raises(ValueError, match=r"node 10\.0\.0\.2: --cache-gib is 50; /cache/features has room for 3\.0 GiB"):
        ray_session.require_room_there(50)


def test_a_node_that_is_planned_and_absent_is_named() -> None:
    answers: dict[str, Facts | str] = {"10.0.0.1": GOOD, "10.0.0.2": "no pip"}
    line = present(answers, ["10.0.0.1", "10.0.0.2", "10.0.0.3"]).line
    assert line.startswith("would fail  nodes       10.0.0.2 does not answer (no pip), 10.0.0.3 has not joined; ")


def test_the_planned_nodes_are_those_of_cluster_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "BOOTSTRAP", tmp_path / "ray_bootstrap_config.yaml")
    assert planned_nodes() == []
    doctor.BOOTSTRAP.write_text("provider: {type: local, head_ip: 10.0.0.1, worker_ips: [10.0.0.2]}")
    assert planned_nodes() == ["10.0.0.1", "10.0.0.2"]
    doctor.BOOTSTRAP.write_text("provider: {type: aws, region: us-west-2}")
    assert planned_nodes() == []


@pytest.mark.parametrize(
    ("there", "told"),
    [
        ({"why_not": "Read-only file system"}, "10.0.0.2 cannot write there (Read-only file system)"),
        ({"reads": False}, "10.0.0.2 does not see what is written here"),
        ({"host": "elsewhere"}, "what 10.0.0.2 writes is not seen here"),
    ],
)
def test_a_folder_that_is_not_shared_is_refused(there: dict[str, Any], told: str, tmp_path: Path) -> None:
    for host in ("left", "right"):
        (tmp_path / f"mark.{host}").touch()
    check = storage(two(**there), tmp_path, "mark")
    assert told in check.finding and "a folder that all nodes share" in check.remedy


@pytest.mark.parametrize(
    ("there", "told"),
    [
        ({"resolves": "127.0.1.1"}, "on 10.0.0.2 its own name right resolves to 127.0.1.1.*GLOO_SOCKET_IFNAME=eth0"),
        ({"resolves": ""}, "resolves to nothing"),
        ({"chosen": "ib0"}, r"GLOO_SOCKET_IFNAME is ib0, and 10.0.0.2 has eth0 \(10.0.0.2\)"),
    ],
)
def test_nodes_that_would_not_find_each_other_are_named(there: dict[str, Any], told: str) -> None:
    check = network(two(**there), num_workers=2)
    assert check.remedy and re.search(told, check.line)
    assert not network(two(**there), num_workers=1).remedy  # one process a trial talks to no other


def test_full_disks_and_a_missing_token_are_named(tmp_path: Path) -> None:
    assert "10.0.0.2 is 96% full" in disks(two(full=0.96))[0].line
    assert space(tmp_path, 2**30).line.startswith("would fail  space       1.0 GiB free")
    assert "10.0.0.2 asks for none" in token(two(token=False)).line


def test_a_node_says_what_it_sees(tmp_path: Path) -> None:
    (tmp_path / "mark").write_text("mark")
    facts = look(str(tmp_path), "mark")
    assert facts.reads and not facts.why_not and (tmp_path / f"mark.{facts.host}").read_text() == "mark"
    assert re.fullmatch(r"3\.\d+\.\d+", facts.versions["python"]) and re.fullmatch("[0-9a-f]{8}", facts.versions["apc"])
    facts = look(str(tmp_path / "absent"), "mark")
    assert not facts.reads and facts.why_not == "No such file or directory"


def test_the_quick_doctor_needs_no_ray_and_leaves_nothing(tmp_path: Path) -> None:
    words = ["doctor", "--quick", "--runs", str(tmp_path / "runs")]
    loaded = "sys.modules.keys() & {'ray', 'torch'}"
    told = python("-c", f"import sys; from apc.cli.main import main; print(main({words}), {loaded})", cwd=ROOT)
    *lines, last = told.stdout.splitlines()
    assert last == "0 set()" and {line.split()[1] for line in lines} >= {"python", "torch", "storage", "space"}
    assert not (tmp_path / "runs").exists()
    (tmp_path / "file").touch()
    told = python("-m", "apc", "doctor", "--quick", "--runs", str(tmp_path / "file"), cwd=ROOT)
    assert told.returncode == 2 and "give --runs a folder that this user may write" in told.stdout


@pytest.mark.slow
def test_the_doctor_finds_this_machine_well_and_leaves_nothing(tmp_path: Path) -> None:
    # in a process of its own, since the Ray of other tests may run in this one
    told = python("-m", "apc", "doctor", "--address", "local", "--runs", str(tmp_path), cwd=ROOT)
    lines = told.stdout.splitlines()
    assert told.returncode == 0, told.stdout + told.stderr
    assert {line.split()[1] for line in lines} >= {"nodes", "python", "torch", "storage", "space", "resources"}
    assert any(re.search(r"a trial asks for 1 CPUs and [01] GPUs, there are .* side by side", line) for line in lines)
    assert list(tmp_path.iterdir()) == []


def test_what_would_fail_is_said_in_one_line_with_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main(["doctor", "--runs", str(tmp_path / "file")]) == 2
    assert "would fail  storage" in capsys.readouterr().out
    told = python("-m", "apc", "doctor", "--address", "127.0.0.1:1", "--runs", str(tmp_path), cwd=ROOT)  # as above
    assert told.returncode == 2
    assert "would fail  cluster     --address 127.0.0.1:1: no Ray cluster answers there" in told.stdout
    assert main(["doctor", "--cpus", "0"]) == 2
    assert "--cpus is 0; it must be at least 1" in capsys.readouterr().err
    assert main(["doctor", "--quick", "--gpus", "-1", "--runs", str(tmp_path)]) == 2
    assert "--gpus is -1; it must be at least 0" in capsys.readouterr().err


def test_a_search_refuses_a_node_with_other_versions_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    from apc.search import ray_session

    other = cluster_nodes.versions() | {"timm": "0.4.12"}
    answers: dict[str, Any] = {"10.0.0.1": cluster_nodes.versions(), "10.0.0.2": other}
    monkeypatch.setattr(ray_session, "ask", lambda question, **of: answers)
    (told,) = ray_session.other_versions({"a"})  # of nodes that joined later
    assert told.startswith("node 10.0.0.2 has timm 0.4.12 instead of ")
    with pytest.raises(ValueError, match=r"node 10\.0\.0\.2 has timm 0\.4\.12 instead of .*ray up cluster\.yaml"):
        ray_session.require_same_versions()
    answers["10.0.0.2"] = "ModuleNotFoundError: apc"
    assert ray_session.other_versions({"a"}) == []  # it is gone again, perhaps
    with pytest.raises(ValueError, match="node 10.0.0.2 of the cluster does not run what it is given .*apc doctor"):
        ray_session.require_same_versions()


def test_a_process_that_fits_on_no_node_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from apc.search import ray_session
    from apc.search.ray_session import Resources, fit

    nodes_of = [{"Alive": True, "Resources": {"CPU": 2.0, "GPU": 1.0}}] * 3 + [{"Alive": False, "Resources": {}}]
    monkeypatch.setattr(ray_session, "available", lambda: {"CPU": 6.0, "GPU": 3.0})
    monkeypatch.setattr(ray_session.ray, "nodes", lambda: nodes_of)
    assert fit(Resources())[1] == 3  # one GPU each
    assert fit(Resources(gpus_per_trial=0.5))[1] == 6
    assert fit(Resources(gpus_per_trial=0, cpus_per_trial=2, num_workers=3))[1] == 1
    with pytest.raises(ValueError, match="asks for 3 CPUs and 0 GPUs of one node, .* have room for 0: it could never"):
        fit(Resources(gpus_per_trial=0, cpus_per_trial=3))


def test_a_full_disk_is_a_line_and_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, *words: str, **how: str) -> None:
        path.touch()
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_text", full)
    resources: Any = None
    (check,) = doctor.examine(resources, tmp_path)
    assert check.finding == f"{tmp_path}: cannot be written (No space left on device)"
    assert check.remedy.startswith("make room, or give --runs a folder") and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("theirs", [".tune", ".tune/driver.log", "abc", "abc/.lock"])
def test_what_another_person_has_left_and_nobody_else_may_write_is_named(
    theirs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (".tune/driver.log", "abc/.lock"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    assert not any(check.remedy for check in doctor.examine_here(tmp_path) if check.name == "storage")
    monkeypatch.setattr(doctor.os, "access", lambda path, mode: path != tmp_path / theirs)  # root may write all
    resources: Any = None
    for checks in (doctor.examine(resources, tmp_path), doctor.examine_here(tmp_path)):
        assert f"{tmp_path / theirs}: is another user's" in checks[-1].finding and "umask 002" in checks[-1].finding


def test_a_quick_look_leaves_no_folder_behind(tmp_path: Path) -> None:
    assert not any(check.remedy for check in doctor.examine_here(tmp_path / "a" / "runs"))
    assert not (tmp_path / "a").exists()
    (tmp_path / "runs").mkdir()
    doctor.examine_here(tmp_path / "runs")
    assert (tmp_path / "runs").is_dir()
