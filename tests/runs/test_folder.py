"""The folder of a run: finished or not."""

from dataclasses import replace
from pathlib import Path

from apc.config import pocket, to_dict
from apc.runs.folder import load_run, save_run
from apc.runs.rows import Row


def row(**more: object) -> Row:
    return Row(run="abc", config=to_dict(pocket()), metrics={"miou": 50.0}, seconds={"train": 1.0}, **more)  # type: ignore[arg-type]


def test_a_run_is_finished_only_with_the_config_asked_for(tmp_path: Path) -> None:
    save_run(tmp_path, row())
    assert load_run(tmp_path, "abc", to_dict(pocket())) == row()
    assert load_run(tmp_path, "abc", to_dict(replace(pocket(), theta=0.8))) is None
    assert load_run(tmp_path, "other") is None
