"""The folder of a run: every file name has one owner, and what is written is read back."""

import ast
import os
import re
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from apc.config import pocket, to_dict
from apc.files import part_in
from apc.runs.folder import (
    ModelFolder,
    RunFolder,
    RunsFolder,
    Setting,
    ended_row,
    load_run,
    load_runs,
    load_tallies,
    seen,
)
from apc.runs.folder import save_run as save
from apc.runs.rows import Row

ROOT = Path(__file__).resolve().parents[2]
NAMES = (
    *("row.json", "curve.jsonl", "last.pt", "tallies.npz", "confusion.npz", "error.txt", "stopped.txt", "task.json"),
    *("config.toml", "model.safetensors", "classes.txt", ".lock", "lease.json", ".tune"),
)
WORDS = ("best", "measured")
"""Names that are words too: they count where they are a part of a path."""
OTHERS = {  # another file of the same name: of a data set, of weights on a hub
    "apc/data/folder.py": {"classes.txt"},
    "apc/data/importing/formats.py": {"classes.txt"},
    "apc/data/importing/legend.py": {"classes.txt"},
    "apc/data/importing/writing.py": {"classes.txt"},
    "apc/data/pocket_folder.py": {"classes.txt"},
    "apc/data/prepared.py": {"classes.txt"},
    "apc/data/preparing.py": {"classes.txt"},
    "apc/prediction/photographs.py": {"classes.txt"},
    "apc/models/weights.py": {"model.safetensors"},
    "apc/models/pretraining.py": {".lock"},
}


def row(run: str = "abc") -> Row:
    return Row(run=run, config=to_dict(pocket()), metrics={"miou": 50.0}, seconds={"train": 1.0})


def spelt(path: Path) -> set[str]:
    """Names of a run folder's files that a module spells, as a whole string or as a part of a path."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    texts = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    parts = [node.right.value for node in nodes if isinstance(node, ast.BinOp) and isinstance(node.right, ast.Constant)]
    names = {name for name in NAMES for text in texts if re.search(rf"(^|/){re.escape(name)}(/|$)", text)}
    return names | (set(WORDS) & {part for part in parts if isinstance(part, str)})


def test_no_other_module_spells_a_file_name_of_a_run_folder() -> None:
    modules = [path for top in ("apc", "experiments", "search_spaces") for path in (ROOT / top).rglob("*.py")]
    found = {path.relative_to(ROOT).as_posix(): spelt(path) for path in modules}
    assert found.pop("apc/runs/folder.py") == {*NAMES, *WORDS}
    assert {path: names for path, names in found.items() if names - OTHERS.get(path, set())} == {}


def test_the_layout_of_a_run_folder() -> None:
    run = RunsFolder(Path("runs")).run("abc")
    assert run == RunFolder(Path("runs/abc"))
    assert [str(path) for path in run.best.needed] == [
        "runs/abc/best/config.toml",
        "runs/abc/best/classes.txt",
        "runs/abc/best/model.safetensors",
    ]
    assert run.model == ModelFolder(Path("runs/abc"))
    assert str(run.measured("cosine")) == "runs/abc/measured/cosine.json"
    runs = RunsFolder(Path("runs"))
    assert [str(path) for path in (runs.journal("s"), runs.lock("s"))] == ["runs/s.journal", "runs/.s.lock"]


def test_every_file_says_what_it_is() -> None:
    for kind in (ModelFolder, RunFolder, RunsFolder):
        for name, member in vars(kind).items():
            if isinstance(member, property):
                assert member.__doc__, f"{kind.__name__}.{name}"


def test_a_run_is_finished_once_its_row_is_there(tmp_path: Path) -> None:
    assert load_run(tmp_path, "abc") is None
    save(tmp_path, row())
    assert load_run(tmp_path, "abc") == row() and [path.name for path in (tmp_path / "abc").iterdir()] == ["row.json"]
    save(tmp_path, row("abd"))
    (tmp_path / "abe").mkdir()
    assert {r.run for r in load_runs(tmp_path)} == {"abc", "abd"}


def test_a_run_is_finished_only_with_the_config_asked_for(tmp_path: Path) -> None:
    save(tmp_path, row())
    assert load_run(tmp_path, "abc", to_dict(pocket())) == row()
    assert load_run(tmp_path, "abc", to_dict(replace(pocket(), theta=0.8))) is None


def test_epochs_and_the_setting_are_read_as_they_were_written(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "abc")
    assert run.epochs() == [] and run.setting() is None
    run.write_epochs([{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}])
    run.write_setting(Setting("theta=0.8", 3))
    assert run.curve.read_text() == '{"epoch": 1, "loss": 0.5}\n{"epoch": 2, "loss": 0.25}\n'
    assert run.epochs()[1] == {"epoch": 2, "loss": 0.25}
    assert run.task.read_text() == '{"label": "theta=0.8", "seed": 3}' and run.setting() == Setting("theta=0.8", 3)
    run.task.write_text("{")
    assert run.setting() is None


def test_a_failed_run_says_why_until_it_starts_again(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "abc")
    assert run.reason() == ""
    assert ended_row(tmp_path, "abc", pocket()).error.startswith("its process was lost")
    assert run.reason().startswith("its process was lost")
    elsewhere = replace(pocket(), dataset="folder", root="/mine/cats", weights="/mine/deit.safetensors")
    failed = ended_row(tmp_path, "abc", elsewhere)
    assert (failed.config["root"], failed.config["weights"]) == ("cats", "deit.safetensors")
    run.error.write_text("ValueError: no\n\nTraceback")
    run.stopped.write_text("stopped early")
    assert run.reason() == "ValueError: no" == ended_row(tmp_path, "abc", pocket()).error
    run.forget_the_end()
    assert list(run.path.iterdir()) == []


def test_what_another_machine_wrote_is_looked_for_until_this_one_has_looked_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apc.runs.folder.UNSEEN", 0.05)
    run = RunFolder(tmp_path / "abc")
    assert not seen(run, lambda: False)  # whatever it is, it is not waited for without end
    run.path.mkdir()
    os.utime(run.path, (1e9, 1e9))
    assert seen(run, lambda: run.path.stat().st_mtime > 1e9)  # as NFS, which notices a change that is its own
    assert list(run.path.iterdir()) == []


def test_half_written_files_go_and_the_others_stay(tmp_path: Path) -> None:
    (tmp_path / "best").mkdir()
    mine = part_in(tmp_path)  # a driver's, which writes `stopped.txt` without the lock
    for name in (".last.pt.4711", ".row.json.4711", ".lock", "last.pt", mine.name):
        (tmp_path / name).touch()
    for name in (".apc-elsewhere.4711.0", "best/.apc-elsewhere.4711.0"):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, 0))
    RunFolder(tmp_path).remove_torn_files()
    assert {path.name for path in tmp_path.rglob("*")} == {".lock", "last.pt", "best", mine.name}


def test_tallies_of_older_runs_come_from_their_confusion_matrices(tmp_path: Path) -> None:
    matrix = np.array([[[5, 1], [2, 3]]])  # one image, by truth and called class
    np.savez(RunFolder(tmp_path).confusion, miou=matrix)
    expected = [[[5, 3], [6, 5], [7, 4]]]  # right, in the truth, called so
    np.testing.assert_array_equal(load_tallies(tmp_path), expected)
    np.savez(RunFolder(tmp_path).tallies, miou=np.array(expected))
    np.testing.assert_array_equal(load_tallies(tmp_path), expected)


def test_a_run_is_that_of_its_folder_whatever_its_row_says(tmp_path: Path) -> None:
    save(tmp_path, row())
    text = RunFolder(tmp_path / "abc").row.read_text()
    RunFolder(tmp_path / "abc").row.write_text(text.replace('"run": "abc"', '"run": "../x"'))
    assert load_run(tmp_path, "abc") == row()


def test_a_damaged_row_is_no_row_and_is_named(tmp_path: Path) -> None:
    save(tmp_path, row())
    RunFolder(tmp_path / "abc").row.write_text("{")
    with pytest.warns(UserWarning, match=r"abc/row\.json is damaged and ignored"):
        assert load_run(tmp_path, "abc") is None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert load_runs(tmp_path) == []
