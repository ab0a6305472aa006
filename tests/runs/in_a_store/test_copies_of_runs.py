"""Runs that are trained on one machine after another, by way of a store."""

import os
from pathlib import Path

import pytest
from stores import S3, URL, on, once

from apc.runs.copies import bring, copied, folder_of
from apc.runs.folder import RunFolder, Setting, load_run, load_runs, row_text
from apc.runs.mirror import look, model_folder, opened
from apc.runs.rows import Row
from apc.runs.shared_run import SharedRun, run_at
from apc.runs.status import status
from apc.runs.store import Store, StoreFault


def a_row(miou: float = 1.0) -> Row:
    return Row(run="abc", config={}, metrics={"miou": miou}, seconds={})


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
    epoch(run, 1)
    objects = Store(URL)
    objects.write("abc/last.pt", b"state 1 of another machine, whose last digits differ")
    objects.write("abc/curve.jsonl", b'{"epoch": 1, "miou": 2.0}\n')
    run_at(run.path).join()
    assert run.state.read_bytes().endswith(b"whose last digits differ")
    epoch(run, 1)
    with run_at(run.path).held():  # who holds the run goes on from its own, and so do all
        assert objects.read("abc/last.pt")[0] == b"state 1"  # type: ignore[index]
        objects.remove("abc/last.pt")
        run_at(run.path).join()
        assert run.state.exists(), "what it has already is not asked for"


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
