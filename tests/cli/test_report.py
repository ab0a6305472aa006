"""`apc report --runs`: a page of runs that no table here has."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from report_rows import a_row
from stores import environment, serving

from apc.cli.main import main
from apc.runs.folder import RunFolder, Setting, save_run
from apc.runs.rows import load_rows, save_rows
from apc.runs.store import Store

pytestmark = pytest.mark.usefixtures("sketched")

URL = "s3://bucket/runs"


def test_finished_runs_in_a_store_that_no_table_has_become_one_with_the_labels_of_their_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("APC_CACHE", str(tmp_path / "here"))
    with serving() as server:
        server.clear()
        for name, value in environment(server).items():
            monkeypatch.setenv(name, value)
        rows = [a_row(f"theta={n}", 0, 40.0 + n, dataset="pocket") for n in range(3)]
        store = Store(URL)
        for row in rows:
            store.write(f"{row.run}/row.json", json.dumps(asdict(replace(row, experiment="", row=""))).encode())
        store.write(f"{rows[0].run}/task.json", json.dumps(Setting("theta is 0", 0)._asdict()).encode())
        known = Path("reports/results/table7_pooling/pocket.jsonl")
        known.parent.mkdir(parents=True)
        save_rows(known, rows[2:])
        for _ in range(2):  # again with the rows that it has left
            assert main(["report", "--runs", URL]) == 0
        assert server.keys() == sorted([*(f"runs/{row.run}/row.json" for row in rows), f"runs/{rows[0].run}/task.json"])
    found = load_rows(Path("reports/results/runs/pocket.jsonl"))
    assert {(row.run, row.row, row.experiment) for row in found} == {
        (rows[0].run, "theta is 0", "runs"),
        (rows[1].run, rows[1].run, "runs"),
    }
    page = Path("reports/ablation.md").read_text()
    assert "Runs by themselves" in page and "40.0" in page
    assert capsys.readouterr().out.splitlines() == ["reports/ablation.md"] * 2


def test_of_a_folder_the_same_and_one_that_is_not_there_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    row = a_row("theta", 3, 41.0, dataset="pocket")
    save_run(tmp_path / "runs", row)
    RunFolder(tmp_path / "runs" / row.run).write_setting(Setting("theta", 3))
    assert main(["report", "other", "--runs", "runs"]) == 0
    assert [row.row for row in load_rows(Path("other/results/runs/pocket.jsonl"))] == ["theta"]
    assert main(["report", "--runs", "nowhere"]) == 2
    assert capsys.readouterr().err.startswith("apc: nowhere: there is no such folder; name the one that --runs")
    assert not Path("reports").exists()
