"""Rows of results: the identity of a run, and damaged lines."""

from pathlib import Path

import pytest

from apc.config import pocket, to_dict
from apc.runs.folder import RunFolder, load_run
from apc.runs.rows import Row, load_rows, run_id, save_rows
from apc.runs.scores import with_rules


def row(**more: object) -> Row:
    return Row(run="abc", config=to_dict(pocket()), metrics={"miou": 50.0}, seconds={"train": 1.0}, **more)  # type: ignore[arg-type]


def test_identity_depends_on_every_field_but_paths_and_on_data_and_weights() -> None:
    base = to_dict(pocket())
    ids = {run_id(base, "d", "w"), run_id(base, "e", "w"), run_id(base, "d", "v")}
    ids |= {run_id(base | {"theta": 0.8}, "d", "w"), run_id(base | {"seed": 1}, "d", "w")}
    assert len(ids) == 5
    assert run_id(base | {"root": "/elsewhere", "weights": "x"}, "d", "w") == run_id(base, "d", "w")


def test_a_damaged_row_costs_that_row_and_is_named(tmp_path: Path) -> None:
    save_rows(tmp_path / "t.jsonl", [row(row="a"), row(row="b")])
    with open(tmp_path / "t.jsonl", "a") as file:
        file.write('{"run": "cut\n')
    with pytest.warns(UserWarning, match="line 3"):
        assert [r.row for r in load_rows(tmp_path / "t.jsonl")] == ["a", "b"]
    (tmp_path / "abc").mkdir()
    (tmp_path / "abc" / "row.json").write_text("{")
    with pytest.warns(UserWarning, match="damaged"):
        assert load_run(tmp_path, "abc") is None


def test_a_row_that_is_older_than_a_rule_has_it_where_its_factors_are_there(tmp_path: Path) -> None:
    parts = {"label_f1": 50.0, "flip_agreement": 80.0, "scale_agreement": 50.0, "branch_agreement": 40.0}
    old = row(curve=[{"epoch": 1.0, **parts, "border_contrast": 100.0}, {"epoch": 2.0, **parts}])
    old.metrics |= parts | {"border_contrast": 50.0, "label_rule": 19.0}
    save_rows(tmp_path / "t.jsonl", [old])
    (read,) = load_rows(tmp_path / "t.jsonl")
    assert read.metrics["label_rule"] == 19.0  # as it was stored
    assert read.metrics["border_rule"] == pytest.approx(10.0) and read.metrics["branch_rule"] == pytest.approx(2.0)
    first, second = read.curve
    assert first["branch_rule"] == pytest.approx(4.0)
    assert "branch_rule" not in second and second["label_rule"] == pytest.approx(20.0)
    folder = RunFolder(tmp_path / "abc")
    folder.path.mkdir()
    folder.write_epochs([{"epoch": 1, **parts, "border_contrast": 100.0}])  # on which rungs decide
    assert folder.epochs()[0]["branch_rule"] == pytest.approx(4.0)


def test_a_factor_that_is_no_score_makes_no_rule(tmp_path: Path) -> None:
    for value in (10**400, float("nan"), "41", None):
        assert "label_rule" not in with_rules(
            {"label_f1": value, "flip_agreement": 80.0, "scale_agreement": 50.0}  # type: ignore[dict-item]
        )
