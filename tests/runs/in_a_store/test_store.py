"""Objects of a store, over a real S3 server on loopback."""

import errno
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from stores import S3, URL, once

from apc.cli.main import main
from apc.config import Config, to_dict
from apc.runs import copies, store
from apc.runs.copies import address, copied, folder_of, require_usable
from apc.runs.mirror import opened
from apc.runs.shared_run import RunHere, run_at
from apc.runs.store import Store, StoreFault
from apc.search import cluster_nodes, worker
from apc.search.doctor import copies as copies_there
from apc.search.doctor import examine


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


def test_an_object_that_ends_early_is_a_fault_of_the_store_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = SimpleNamespace(meta={"size": 5}, stream=lambda: iter([b"12"]))
    monkeypatch.setattr("obstore.get", lambda *asked: cut)
    with pytest.raises(StoreFault, match="x ended after 2 of 5 bytes"):
        Store("memory://runs").fetch("x", tmp_path / "run" / "x")
    assert not list((tmp_path / "run").iterdir())


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
