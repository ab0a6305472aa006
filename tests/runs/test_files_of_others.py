"""Files of a run folder that parse and are of wrong types, or of a newer version: each costs its own run alone."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from refusal import refused

from apc.cli.main import main
from apc.config import Config, pocket, to_dict
from apc.runs.folder import RunFolder, load_run, load_runs, save_run
from apc.runs.rows import NewerVersion, Row, load_rows
from apc.runs.status import status
from apc.training.state import State, load_state, save_state

ROW = Row(run="good", config=to_dict(pocket()), metrics={"miou": 50.0}, seconds={"train": 1.0})
NEWER = json.dumps(asdict(ROW) | {"run": "bad", "carbon": 3.0})
DEEP = "[" * 100_000

DAMAGED = {
    "a row that is a list": ("row.json", "[1, 2]", "row.json: it is a list, not a row"),
    "a row that is a number": ("row.json", "3", "row.json: it is a int, not a row"),
    "a row of wrong types": (
        "row.json",
        json.dumps(asdict(ROW) | {"metrics": [1]}),
        "row.json: metrics is a list; it must be a dict",
    ),
    "a row without its config": ("row.json", '{"run": "bad"}', "row.json: Row.__init__() missing 3"),
    "a row that is deep": ("row.json", DEEP, "row.json: maximum recursion depth"),
    "a row that is no text": ("row.json", b"\xff\xfe", "row.json: 'utf-8' codec can't decode"),
    "a row of a newer version": ("row.json", NEWER, "row.json: it was made by a newer version (it has 'carbon')"),
    "a curve of numbers": ("curve.jsonl", "1\n2\n", "curve.jsonl, line 1: damaged"),
    "a curve of lists": ("curve.jsonl", "[]\n", "curve.jsonl, line 1: damaged"),
    "an epoch that is a text": ("curve.jsonl", '{"epoch": 1}\n{"epoch": "2"}\n', "curve.jsonl, line 2: damaged"),
    "an epoch 0": ("curve.jsonl", '{"epoch": 0, "seconds": 1}\n', "curve.jsonl, line 1: damaged"),
    "seconds that are a list": ("curve.jsonl", '{"epoch": 1, "seconds": []}\n', "curve.jsonl, line 1: damaged"),
    "a number of 5,000 digits": ("curve.jsonl", f'{{"epoch": 1{"0" * 5000}}}\n', "curve.jsonl, line 1: damaged"),
    "a curve that is deep": ("curve.jsonl", DEEP, "curve.jsonl, line 1: damaged"),
    "a curve that is no text": ("curve.jsonl", b"\xff\n", "curve.jsonl, line 1: damaged"),
    "a task that is a list": ("task.json", "[]", "(task.json is damaged)"),
    "a task of wrong types": ("task.json", '{"label": 3, "seed": []}', "(task.json is damaged)"),
    "a reason that is no text": ("error.txt", b"no \xff\n", "bad: no \ufffd"),
    "a rule that is no text": ("stopped.txt", b"rule \xff\nmore\n", "bad: rule \ufffd"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_file_that_is_damaged_costs_its_run_a_line_of_the_status_and_no_other(tmp_path: Path, name: str) -> None:
    file, content, line = DAMAGED[name]
    save_run(tmp_path, ROW)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    lines = status(tmp_path).splitlines()
    assert lines[0].startswith(f"{tmp_path}: 1 finished, 1 ") and len(lines) == 3
    assert "bad: " in lines[1] and line in lines[1]
    assert lines[2] == "  best        good: miou 50.00 on pocket"


def test_a_row_of_a_newer_version_is_named_and_never_trained_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "pocket", "--runs", str(tmp_path), "--device", "cpu", "--weights", "", "--epochs", "1"]
    words += ["--frozen-epochs", "0"]
    cfg = Config(**{**vars(pocket()), "weights": "", "epochs": 1, "frozen_epochs": 0})
    from apc.training.run import identity

    run = RunFolder(tmp_path / identity(cfg))
    run.path.mkdir()
    run.row.write_text(NEWER)
    refused(words, capsys, str(run.row), "made by a newer version (it has 'carbon')")
    assert run.row.read_text() == NEWER
    with pytest.raises(NewerVersion):
        load_run(tmp_path, run.path.name)
    with pytest.warns(UserWarning, match="made by a newer version"):
        assert load_runs(tmp_path) == []
    assert main(["status", str(tmp_path)]) == 0


def test_a_line_of_a_newer_version_costs_that_row_of_a_table(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(f"{NEWER}\n[]\n{json.dumps(asdict(ROW))}\n")
    with pytest.warns(UserWarning, match="line 1 is damaged and ignored: run bad: it was made by a newer version"):
        assert load_rows(tmp_path / "rows.jsonl") == [ROW]


def sound() -> dict[str, Any]:
    config = to_dict(pocket())
    return State(0, {"a": torch.zeros(2)}, {}, [{"epoch": 1}], {"train": 1.0, "train_cpu": 1.0}, config)._asdict()


STATES: dict[str, Callable[[], Any]] = {
    "a list": lambda: [1, 2],
    "a tensor": lambda: torch.zeros(3),
    "numbers for names": lambda: {1: 2},
    "an epoch that is a text": lambda: sound() | {"epoch": "3"},
    "a curve of numbers": lambda: sound() | {"curve": [1, 2]},
    "a curve of texts": lambda: sound() | {"curve": [{"epoch": "1"}]},
    "seconds without the processor's": lambda: sound() | {"seconds": {"train": 1.0}},
    "a model that is a list": lambda: sound() | {"model": []},
    "a config that is a number": lambda: sound() | {"config": 3},
}


@pytest.mark.parametrize("name", STATES)
def test_a_training_state_of_wrong_types_counts_as_none(tmp_path: Path, name: str) -> None:
    torch.save(STATES[name](), tmp_path / "last.pt")
    assert load_state(tmp_path / "last.pt") is None


@pytest.mark.parametrize("more", [{"carbon": 1.0}, {"config": {"carbon": 1.0}}], ids=["a field", "a field of Config"])
def test_a_training_state_of_a_newer_version_is_refused_and_stays(tmp_path: Path, more: dict[str, Any]) -> None:
    torch.save(sound() | more, tmp_path / "last.pt")
    with pytest.raises(ValueError, match=r"last\.pt: made by a newer version \(it has 'carbon'\)"):
        load_state(tmp_path / "last.pt")
    save_state(tmp_path / "last.pt", State(**sound()))
    assert load_state(tmp_path / "last.pt") is not None
