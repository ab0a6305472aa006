"""Objects of a store, leases and copies of runs, over a real S3 server on loopback."""

import errno
import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from stores import S3, environment, once, serving

from apc.cli.main import main
from apc.config import Config, to_dict
from apc.runs import copies, lease, store
from apc.runs.at_work import at_work
from apc.runs.copies import address, bring, copied, folder_of, require_usable
from apc.runs.folder import RunFolder, Setting, load_run, load_runs, row_text
from apc.runs.lease import Lease
from apc.runs.mirror import look, model_folder, opened
from apc.runs.rows import Row
from apc.runs.shared_run import RunHere, SharedRun, run_at
from apc.runs.status import status
from apc.runs.store import Store, StoreFault
from apc.search import cluster_nodes, worker
from apc.search.doctor import copies as copies_there
from apc.search.doctor import examine

URL = "s3://bucket/runs"


def a_row(miou: float = 1.0) -> Row:
    return Row(run="abc", config={}, metrics={"miou": miou}, seconds={})


@pytest.fixture(scope="module")
def server() -> Iterator[S3]:
    with serving() as started:
        yield started


@pytest.fixture(autouse=True)
def s3(server: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> S3:
    server.clear()
    for name, value in environment(server).items():
        monkeypatch.setenv(name, value)
    on(monkeypatch, tmp_path, "here")
    return server


def on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, machine: str) -> Path:
    """The copy of the runs on another machine: all that two share is the store."""
    monkeypatch.setenv("APC_CACHE", str(tmp_path / machine))
    return copied(URL)


def test_a_path_names_a_store_though_it_lost_a_slash_and_a_folder_stays_one(tmp_path: Path) -> None:
    assert address(Path("s3://bucket/a/b/")) == "s3://bucket/a/b"
    assert address("gs://bucket/a") == "gs://bucket/a"
    assert (address("runs"), address("/a/b:c"), address("file:///tmp/x")) == ("", "", "")
    assert folder_of(Path("file:///tmp/x")) == Path("/tmp/x")
    (runs := tmp_path / "runs").mkdir()
    assert opened(runs) == runs and list(runs.iterdir()) == []
    assert type(run_at(tmp_path / "run")) is RunHere


@pytest.mark.parametrize("url", ["s3://bucket/a", "memory://bucket/a"])
def test_an_object_is_created_once_and_replaced_by_who_knows_its_version(url: str, s3: S3) -> None:
    objects = Store(url)
    first = objects.create("x", b"1")
    assert first and objects.create("x", b"2") is None
    assert objects.create("x", b"1")  # the answer to our own was lost on the way
    second = objects.replace("x", b"3", first)
    assert second and objects.replace("x", b"4", first) is None
    assert (objects.read("x") or [b""])[0] == b"3" and objects.read("y") is None
    objects.write("d/y", b"5")
    assert sorted(objects.names()) == ["d/y", "x"] and list(objects.names("d")) == ["d/y"]
    objects.remove("x", "none")
    assert list(objects.names()) == ["d/y"] and objects.replace("x", b"6", second) is None


@pytest.mark.parametrize("fault", ["500", "cut"])
def test_what_fails_is_asked_again(fault: str, s3: S3) -> None:
    s3.fault = once(fault, fault)
    assert Store(URL).create("x", b"1")
    s3.fault = once(fault)
    assert (Store(URL).read("x") or [b""])[0] == b"1"


def test_an_upload_that_ends_early_leaves_what_was_there(tmp_path: Path, s3: S3) -> None:
    Store(URL).write("x", b"1")
    (tmp_path / "large").write_bytes(bytes(6 * 2**20))  # goes up in parts
    parts: list[str] = []
    s3.fault = lambda method, path: "403" if method == "PUT" and parts.append(path) is None and len(parts) > 1 else ""
    with pytest.raises(StoreFault, match="access is refused"):
        Store(URL).write("x", tmp_path / "large")
    assert (Store(URL).read("x") or [b""])[0] == b"1"
    s3.fault = lambda method, path: ""
    Store(URL).write("x", tmp_path / "large")
    assert Store(URL).names()["x"].size == 6 * 2**20


def test_a_store_that_says_nothing_is_asked_again(monkeypatch: pytest.MonkeyPatch, s3: S3) -> None:
    monkeypatch.setattr(store, "SILENCE", 0.2)
    s3.fault = once("silent")
    assert Store(URL, patience=30).create("x", b"1")


def test_a_store_that_stays_away_is_a_fault_that_says_so(s3: S3) -> None:
    s3.fault = lambda method, path: "500"
    with pytest.raises(StoreFault, match="it does not answer .500") as caught:
        Store(URL, patience=1).names()
    assert caught.value.filename == URL


@pytest.mark.parametrize(
    ("url", "fault", "said"),
    [
        ("s3://nowhere/runs", "", "s3://nowhere/runs: cannot be read (there is no such bucket)"),
        (URL, "403", f"{URL}: cannot be read (access is refused (AccessDenied))"),
        (URL, "400", f"{URL}: cannot be read (the credentials are refused (ExpiredToken))"),
        (
            "ftp://host/runs",
            "",
            "ftp://host/runs: there is no store of the kind ftp; choose from s3://, gs:// or a fold",
        ),
        ("s3://", "", "s3://: names no bucket; give s3://BUCKET/PREFIX"),
    ],
)
def test_a_store_that_cannot_be_read_is_refused_in_a_sentence(
    url: str, fault: str, said: str, s3: S3, capsys: pytest.CaptureFixture[str]
) -> None:
    s3.fault = lambda method, path: fault
    assert main(["status", url]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"apc: {said}") and told.count("\n") == 1


def test_a_store_without_credentials_is_refused(
    s3: S3, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", s3.url)
    s3.fault = lambda method, path: "403"
    assert main(["status", "s3://bucket/without"]) == 2
    assert "cannot be read (no credentials; set those of the store" in capsys.readouterr().err


def test_a_store_without_its_client_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"needs the package obstore; run `pip install 'apc-search\[store\]'`"):
        copied("s3://bucket/other")


def test_a_store_that_cannot_be_written_or_ignores_conditions_is_refused(
    monkeypatch: pytest.MonkeyPatch, s3: S3
) -> None:
    monkeypatch.setattr(copies, "IMPATIENCE", 1.0)
    folder = copied(URL)
    require_usable(folder)
    assert s3.keys() == []
    s3.fault = lambda method, path: "403" if method == "PUT" else ""
    with pytest.raises(ValueError, match="cannot be used .access is refused"):
        require_usable(folder)
    s3.fault = lambda method, path: "501" if method == "PUT" else ""
    with pytest.raises(ValueError, match="cannot be used .it has no conditional writes"):
        require_usable(folder)
    s3.clear()
    s3.ignores_conditions = True
    with pytest.raises(ValueError, match="ignores the conditions of conditional writes; use one that has them"):
        require_usable(folder)


def test_the_doctor_asks_every_node_whether_it_reads_and_writes_the_store(s3: S3) -> None:
    resources: Any = None  # nothing is asked of Ray where the store cannot be used
    (check,) = examine(resources, Path("s3://nowhere/runs"))
    assert check.finding == "s3://nowhere/runs: cannot be used (there is no such bucket)" and check.remedy
    Store(URL).write("mark", b"mark")
    facts = cluster_nodes.look(URL, "mark")
    assert facts.reads and facts.why_not == "" and f"runs/mark.{facts.host}" in s3.keys()
    s3.fault = lambda method, path: "403" if method == "PUT" else ""
    facts = cluster_nodes.look(URL, "mark")
    assert facts.reads and facts.why_not == f"{URL}: cannot be used (access is refused (AccessDenied))"
    facts = replace(facts, room=2**30)
    (check,) = copies_there({"10.0.0.1": facts, "10.0.0.2": replace(facts, room=2**40)}, copied(URL))
    assert check.finding == f"copies of {URL}: 10.0.0.1 has 1.0 GiB free" and "set APC_CACHE" in check.remedy


@pytest.mark.parametrize("began", [True, False], ids=["there", "new"])
def test_a_node_without_room_tells_the_store_why_its_run_failed(
    began: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, s3: S3
) -> None:
    def full(path: Path, text: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    for module in ("folder", "copies"):
        monkeypatch.setattr(f"apc.runs.{module}.write_atomically", full)
    if not began:
        monkeypatch.setenv("APC_CACHE", str(tmp_path / "new"))
    names = ("threads", "gpus", "num_workers", "cache_gib", "until")
    task: Any = dict.fromkeys(names, 0) | {"label": "a", "by": "miou", "scored": [], "store": ""}
    with pytest.raises((OSError, ValueError), match="No space left on device"):
        worker.in_process(task | {"configs": [to_dict(Config())], "ids": ["abc"], "runs": URL})
    assert b"No space left on device" in (Store(URL).read("abc/error.txt") or [b""])[0]


def never(lives: bool, machine: str) -> bool:
    return False


def test_a_lease_is_one_holders_until_it_is_given_back_or_its_process_is_dead(
    monkeypatch: pytest.MonkeyPatch, s3: S3
) -> None:
    first, second = Lease(Store(URL), "lease"), Lease(Store(URL), "lease")
    assert first.take(never) and not second.take(never)
    first.release()
    assert second.take(never)
    second.release()
    content = json.loads((Store(URL).read("lease") or [b""])[0])
    dead = content | {"free": False, "process": 2**22 + 1, "time": time.time()}
    Store(URL).write("lease", json.dumps(dead).encode())
    assert Lease(Store(URL), "lease").take(never)  # of a process of this machine, which is gone


def test_the_lease_of_another_machine_is_taken_over_once_it_shows_no_life(
    monkeypatch: pytest.MonkeyPatch, s3: S3
) -> None:
    monkeypatch.setattr(lease, "LOOK", 0.01)
    monkeypatch.setattr(lease, "RENEWAL", 0.05)
    monkeypatch.setattr(lease, "this_machine", lambda: "there")
    away = Lease(Store(URL), "lease")
    assert away.take(never)
    monkeypatch.setattr(lease, "this_machine", lambda: "here")
    signs: list[bool] = []
    assert not Lease(Store(URL), "lease").take(lambda lives, machine: bool(signs.append(lives) or not lives))
    assert signs[-1] and not signs[0]  # it lived
    monkeypatch.setattr(lease, "RENEWAL", 1.0)  # longer than it may take: nothing is heard of it
    monkeypatch.setattr(lease, "LEASE", 0.3)
    here = Lease(Store(URL), "lease")
    assert here.take(lambda lives, machine: True)
    deadline = time.monotonic() + 10
    while not away.lost and time.monotonic() < deadline:
        time.sleep(0.02)
    assert away.lost and not here.lost
    here.release()


def test_a_machine_whose_clock_is_wrong_keeps_what_it_works_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, s3: S3
) -> None:
    run = RunFolder(copied(URL) / "abc")
    for name, value in {"LOOK": 0.01, "RENEWAL": 0.5, "LEASE": 10.0}.items():
        monkeypatch.setattr(lease, name, value)
    monkeypatch.setattr(lease, "this_machine", lambda: "there")
    monkeypatch.setattr(lease, "time", SimpleNamespace(**vars(time) | {"time": lambda: time.time() - 3600}))
    away = Lease(Store(URL), "abc/lease.json")
    assert away.take(never)
    monkeypatch.setattr(lease, "this_machine", lambda: "here")
    monkeypatch.setattr(lease, "time", time)
    assert not Lease(Store(URL), "abc/lease.json").take(lambda lives, machine: not lives) and not away.lost
    look(run.path.parent)
    assert at_work(run) is True
    os.utime(run.lease, (1e9, 1e9))
    assert at_work(run) is False
    monkeypatch.setattr(Store, "replace", lambda *words: None)
    away.release()


def epoch(folder: RunFolder, number: int) -> None:
    """What the loop leaves after an epoch."""
    folder.state.write_bytes(b"state %d" % number)
    folder.write_epochs([{"epoch": n + 1, "miou": 1.0} for n in range(number)])


def test_a_run_goes_on_elsewhere_from_its_last_epoch_and_ends_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, s3: S3
) -> None:
    run = RunFolder(copied(URL) / "abc")
    run.path.mkdir()
    run.write_setting(Setting("theta 0.5", 0))
    place = run_at(run.path)
    with place.held():
        report = place.reporting(None)
        assert report
        for number in (1, 2):
            epoch(run, number)
            report({"epoch": number})
    assert s3.keys() == [f"runs/abc/{name}" for name in ("curve.jsonl", "last.pt", "lease.json", "task.json")]
    there = RunFolder(on(monkeypatch, tmp_path, "there") / "abc")
    assert "1 interrupted" in status(opened(URL)) and "epoch 2 ended" in status(opened(URL))
    there.path.mkdir(exist_ok=True)
    place = run_at(there.path)
    with place.held():
        assert there.state.read_bytes() == b"state 2" and len(there.epochs()) == 2
        there.model.weights.write_bytes(b"weights")
        there.masks_of(1).mkdir(parents=True)
        (there.masks_of(1) / "0.npz").write_bytes(b"masks")
        row = a_row()
        assert place.publish(row_text(row), lambda: load_run(there.path.parent, "abc") is not None)
        there.row.write_text(row_text(row))
    assert s3.keys() == [
        f"runs/abc/{n}" for n in ("curve.jsonl", "model.safetensors", "rounds/1/0.npz", "row.json", "task.json")
    ]
    on(monkeypatch, tmp_path, "here")
    assert [row.run for row in load_runs(opened(URL))] == ["abc"]
    assert (model_folder(f"{URL}/abc") / "model.safetensors").read_bytes() == b"weights"
    assert not (folder_of(URL) / "abc" / "rounds").exists()


def test_of_two_that_train_a_run_the_first_to_end_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, s3: S3) -> None:
    runs = copied(URL)
    places = []
    for machine, score in (("here", 1.0), ("there", 2.0)):
        folder = RunFolder(on(monkeypatch, tmp_path, machine) / "abc")
        folder.path.mkdir()
        folder.model.weights.write_bytes(machine.encode())
        places.append((folder, run_at(folder.path), a_row(score)))
    won = []
    for folder, place, row in places:
        won.append(place.publish(row_text(row), lambda at=folder: load_run(at.path.parent, "abc") is not None))
    assert won == [True, False]
    stored = load_run(places[1][0].path.parent, "abc")
    assert stored and stored.metrics["miou"] == 1.0
    assert (Store(URL).read("abc/model.safetensors") or [b""])[0] == b"here"  # and no file of the other's
    Store(URL).write("abc/row.json", b"{")  # one that nothing can be done with gives way
    assert places[0][1].publish(row_text(places[0][2]), lambda: False)
    assert runs.is_dir() and (Store(URL).read("abc/row.json") or [b""])[0] == row_text(places[0][2]).encode()


def test_who_has_lost_a_run_stores_nothing_of_it(monkeypatch: pytest.MonkeyPatch, s3: S3) -> None:
    run = RunFolder(copied(URL) / "abc")
    run.path.mkdir()
    run.model.weights.write_bytes(b"weights")
    place = run_at(run.path)
    assert isinstance(place, SharedRun)
    place.lease.lost = True
    with pytest.raises(StoreFault, match="another process has taken run abc over"):
        place.publish(row_text(a_row()), lambda: True)
    assert s3.keys() == []


def test_a_model_of_an_earlier_epoch_or_training_gives_way_to_what_the_store_has(s3: S3) -> None:
    run, objects = RunFolder(copied(URL) / "abc"), Store(URL)
    (run.best.path).mkdir(parents=True)
    for path in (run.best.weights, run.model.weights, run.tallies):
        path.write_bytes(b"old")  # left by a process of this machine that died
    run.write_epochs([{"epoch": 1}])
    objects.write("abc/curve.jsonl", b'{"epoch": 1}\n{"epoch": 2}\n')
    objects.write("abc/best/model.safetensors", b"epoch 2")
    assert (model_folder(f"{URL}/abc/best") / "model.safetensors").read_bytes() == b"epoch 2"
    objects.write("abc/model.safetensors", b"finished")
    objects.write("abc/row.json", row_text(a_row()).encode())
    objects.remove("abc/best/model.safetensors")
    look(run.path.parent)
    assert not run.best.weights.exists() and not run.tallies.exists()
    assert (model_folder(f"{URL}/abc") / "model.safetensors").read_bytes() == b"finished"


def test_processes_that_train_together_all_begin_where_the_one_that_holds_the_run_does(s3: S3) -> None:
    run = RunFolder(copied(URL) / "abc")
    run.path.mkdir()
    epoch(run, 1)  # of which nothing was stored when its machine went
    run_at(run.path).join()
    assert not run.state.exists() and not run.curve.exists()


def test_a_store_that_fails_costs_a_run_nothing_and_one_that_refuses_ends_it_with_its_state_here(
    monkeypatch: pytest.MonkeyPatch, s3: S3
) -> None:
    run = RunFolder(copied(URL) / "abc")
    run.path.mkdir()
    place = run_at(run.path)
    with place.held():
        report = place.reporting(None)
        assert report
        s3.fault = once("500", "cut", "500", method="PUT")
        for number in (1, 2):
            epoch(run, number)
            report({"epoch": number})
    assert len((Store(URL).read("abc/curve.jsonl") or [b""])[0].splitlines()) == 2
    place = run_at(run.path)
    with pytest.raises(StoreFault, match="the credentials are refused .ExpiredToken"), place.held():
        report = place.reporting(None)
        assert report
        s3.fault = lambda method, path: "400"
        for number in (3, 4):
            epoch(run, number)
            report({"epoch": number})
    assert run.state.read_bytes() in (b"state 3", b"state 4")
    s3.fault = lambda method, path: ""
    with run_at(run.path).held():  # the same command, with new credentials
        pass
    stored = (Store(URL).read("abc/last.pt") or [b""])[0]
    assert stored == run.state.read_bytes()


def test_a_study_of_the_store_that_ran_here_is_taken_for_no_run(s3: S3) -> None:
    Store(URL).write("study.journal", b"x\n")
    (copied(URL) / "study.journal").write_text("x\n")
    assert (opened(URL) / "study.journal").read_text() == "x\n"


def test_the_copy_of_a_run_follows_its_store_and_only_small_files_of_it_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, s3: S3
) -> None:
    objects = Store(URL)
    for name in ("a/curve.jsonl", "b/curve.jsonl", "b/error.txt", "b/last.pt", "study.journal"):
        objects.write(name, b'{"epoch": 1}\n')
    objects.write("c/row.json", row_text(a_row()).encode())
    objects.write("c/model.safetensors", b"weights")
    runs = opened(URL)
    assert sorted(str(path.relative_to(runs)) for path in runs.rglob("*") if path.is_file()) == [
        ".apc-store",
        "a/curve.jsonl",
        "b/curve.jsonl",
        "b/error.txt",
        "c/row.json",
    ]
    requests = len(s3.requests)
    opened(URL)
    assert len(s3.requests) == requests + 1  # one listing, and nothing that is here
    objects.remove("c/row.json", "b/error.txt")
    for path in (runs / "c/row.json", runs / "b/error.txt"):
        os.utime(path, (1e9, 1e9))
    look(runs)
    assert load_runs(runs) == [] and not RunFolder(runs / "b").error.exists()
    bring(runs / "c/model.safetensors")
    assert (runs / "c/model.safetensors").read_bytes() == b"weights"
