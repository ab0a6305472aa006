"""Runs, studies and plans whose folder is a store: nothing but the store is shared."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from stores import S3, Unheard, environment, once, serving

from apc.cli.main import main
from apc.config import Config
from apc.runs import lease
from apc.runs.copies import copied, folder_of
from apc.runs.folder import RunFolder, RunsFolder, load_runs
from apc.runs.lease import Lease
from apc.runs.mirror import opened
from apc.runs.store import Store, StoreFault
from apc.search import journal_copy
from apc.search.journal import exclusive
from apc.search.journal_copy import JournalCopy, content_of
from apc.search.plans import points
from apc.training.run import identity, run, train_to

URL = "s3://bucket/runs"


@pytest.fixture(scope="module")
def server() -> Iterator[S3]:
    with serving() as started:
        yield started


@pytest.fixture(autouse=True)
def s3(server: S3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> S3:
    server.clear()
    for name, value in environment(server).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("APC_CACHE", str(tmp_path / "here"))
    return server


def test_a_run_begun_on_one_machine_and_ended_on_another_scores_as_one_that_was_left_alone(
    tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, s3: S3
) -> None:
    cfg = replace(tiny, epochs=3, eval_every=1)
    alone = run(cfg, runs=tmp_path / "alone", scored=(2,))
    s3.fault = once("500", "cut", at="last.pt")
    train_to(cfg, 2, runs=copied(URL), scored=(2,))
    keys = [key.rpartition("/")[2] for verb, key in s3.requests if verb == "PUT" and identity(cfg) in key]
    assert keys.index("ballots.2.npz") < len(keys) - 1 - keys[::-1].index(
        "curve.jsonl"
    )  # a curve tells of what is there
    monkeypatch.setenv("APC_CACHE", str(tmp_path / "there"))
    begun: list[float] = []
    found = run(cfg, runs=copied(URL), report=lambda numbers: begun.append(numbers["epoch"]))
    assert begun == [3.0, 3.0]  # an epoch, and the end
    assert found.metrics == alone.metrics and len(found.curve) == 3
    name = identity(cfg)
    left = {key.partition(f"/{name}/")[2] for key in s3.keys()}
    assert left == {
        str(path.relative_to(tmp_path / "alone" / name))
        for path in (tmp_path / "alone" / name).rglob("*")
        if path.is_file() and path.name != ".lock"
    }
    monkeypatch.setenv("APC_CACHE", str(tmp_path / "third"))
    requests = len(s3.requests)
    assert run(cfg, runs=copied(URL)).metrics == alone.metrics  # trained nothing
    assert len(s3.requests) == requests + 1
    assert [row.run for row in load_runs(opened(URL))] == [name]


@pytest.mark.parametrize("verb", ["train", "search simple", "eval", "predict", "export", "doctor"])
def test_every_verb_refuses_a_bucket_that_is_not_there(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (64, 64)).save("photo.png")
    of_runs = ["--runs", "s3://nowhere/runs"]
    more = {"predict": ["photo.png", "--out", "out"], "export": ["--out", "out"], "doctor": of_runs}
    more |= {"train": of_runs, "search simple": [*of_runs, "--trials", "2"]}
    of_model = ["s3://nowhere/runs/0123456789ab"] if verb in ("eval", "predict", "export") else []
    assert main([*verb.split(), *of_model, *more.get(verb, [])]) == 2
    told = "".join(capsys.readouterr())
    assert "s3://nowhere/runs: cannot be" in told and "(there is no such bucket)" in told
    assert [path.name for path in tmp_path.iterdir() if path.name != "here"] == ["photo.png"]


def test_a_study_is_one_drivers_and_goes_on_elsewhere_with_its_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, s3: S3
) -> None:
    monkeypatch.setattr(lease, "LOOK", 0.01)
    runs = copied(URL)
    journal = RunsFolder(runs).journal("study")
    with exclusive(runs, "study"):
        journal.write_text("1\n")
        there = tmp_path / "there"
        with monkeypatch.context() as elsewhere:
            elsewhere.setenv("APC_CACHE", str(there))
            elsewhere.setattr(lease, "this_machine", lambda: "another")
            elsewhere.setattr(lease, "LEASE", 60.0)
            beat = Lease(Store(URL), "study.lease")
            assert not beat.take(lambda lives, machine: False)
    monkeypatch.setenv("APC_CACHE", str(tmp_path / "there"))
    runs = copied(URL)
    assert content_of(runs, "study") == b"1\n"  # to look at, while it may be another's
    assert content_of(runs, "another") == b"" and not RunsFolder(runs).journal("study").exists()
    with exclusive(runs, "study"):
        assert RunsFolder(runs).journal("study").read_text() == "1\n"
        with open(RunsFolder(runs).journal("study"), "a") as file:
            file.write("2\n")
    monkeypatch.setenv("APC_CACHE", str(tmp_path / "here"))
    journal.write_text("1\n3\n")  # lines of a driver that was away, which another has gone on without
    assert content_of(copied(URL), "study") == b"1\n2\n"
    with exclusive(copied(URL), "study"):
        assert journal.read_text() == "1\n2\n"
    with open(journal, "a") as file:
        file.write("4\n")  # which a killed driver did not store any more
    assert content_of(copied(URL), "study") == b"1\n2\n4\n"


def test_a_driver_that_lost_its_study_finds_out_and_overwrites_nothing(s3: S3) -> None:
    runs = copied(URL)
    journal = RunsFolder(runs).journal("study")
    with exclusive(runs, "study"):
        journal.write_text("1\n")
        wait_for(lambda: Store(URL).read("study.journal"))
        Store(URL).write("study.journal", b"another's\n")
        journal.write_text("1\n2\n")
        with pytest.raises(StoreFault, match="another search has taken the study over"):
            wait_for(lambda: journal_copy.check(runs))
    assert (Store(URL).read("study.journal") or [b""])[0] == b"another's\n"


def test_lines_whose_answer_was_lost_are_no_other_drivers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, s3: S3
) -> None:
    monkeypatch.setattr(journal_copy, "PAUSE", 0.02)
    store, journal = Unheard(URL), tmp_path / "study.journal"
    held = Lease(store, "study.lease")
    assert held.take(lambda lives, machine: False)
    copy = JournalCopy(store, journal, held)
    copy.begin()

    def grows(text: str) -> None:
        journal.write_text(text)
        wait_for(lambda: (Store(URL).read("study.journal") or [b""])[0] == text.encode())

    grows("1\n")
    grows("1\n2\n")
    store.away = True
    grows("1\n2\n3\n")
    store.away = False
    grows("1\n2\n3\n4\n")
    wait_for(lambda: copy.fault is None)
    copy.check()
    Store(URL).write("study.lease", b"another's")
    Store(URL).write("study.journal", b"1\n2\n3\n")  # as one has it who took it over
    journal.write_text("1\n2\n3\n4\n5\n")
    with pytest.raises(StoreFault, match="another search has taken the study over"):
        wait_for(lambda: copy.check())
    copy.end()
    held.release()
    assert (Store(URL).read("study.journal") or [b""])[0] == b"1\n2\n3\n"


def wait_for(happens: Any) -> None:
    deadline = time.monotonic() + 10
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_a_plan_in_a_store_is_trained_by_workers_that_share_no_folder_with_the_driver(
    tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, s3: S3, warm_ray: None
) -> None:
    from apc.search import worker
    from apc.search.driver import search

    own = environment(s3) | {"APC_CACHE": str(tmp_path / "worker")}

    def elsewhere(task: Any) -> None:
        import os

        from apc.search import worker

        os.environ.update(own)
        train = worker.train_one
        if task["configs"][0]["theta"] > 0.8:
            worker.train_one = lambda *_, **__: (_ for _ in ()).throw(RuntimeError("told to raise"))
        try:
            worker.in_process(task)
        finally:
            worker.train_one = train

    monkeypatch.setattr(worker, "in_process", elsewhere)
    plan = points({"low": {"theta": 0.5}, "high": {"theta": 0.9}})
    (_, (row,)), (_, (failed,)) = search(plan, base=tiny, seeds=[0], runs=Path(URL))
    assert not row.error and row.metrics["miou"] >= 0
    assert failed.error == "RuntimeError: told to raise"  # which the driver knows from the store
    assert not RunFolder(folder_of(URL) / row.run).model.weights.exists()
    assert f"runs/{row.run}/model.safetensors" in s3.keys() and f"runs/{failed.run}/error.txt" in s3.keys()
    assert json.loads(RunFolder(folder_of(URL) / row.run).row.read_text())["run"] == row.run
