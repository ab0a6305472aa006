"""One spelling a knob, round trips, run identities, and imports that point one way."""

import re
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest
import tomli_w

from apc.config import Config, from_dict, from_toml, pocket, to_dict
from apc.runs.folder import load_run, save_run
from apc.runs.rows import Row, load_rows, run_id, save_rows

ROOT = Path(__file__).resolve().parents[1]


def test_a_config_survives_toml(tmp_path: Path) -> None:
    cfg = replace(pocket(), theta=0.7, decoder_blocks=(1, 2, 3))
    (tmp_path / "c.toml").write_text(tomli_w.dumps(to_dict(cfg)))
    assert from_toml(tmp_path / "c.toml") == cfg


def test_every_field_says_what_it_means() -> None:
    source = (ROOT / "apc" / "config.py").read_text()
    for f in fields(Config):
        assert re.search(rf'^    {f.name}: .*\n    """.+', source, re.M), f.name


def test_a_field_that_is_not_there_is_named_with_its_nearest() -> None:
    with pytest.raises(ValueError, match="there is no field 'lambda3'; did you mean lambda"):
        from_dict({"lambda3": 1.0})


def row(**more: object) -> Row:
    return Row(run="abc", config=to_dict(pocket()), metrics={"miou": 50.0}, seconds={"train": 1.0}, **more)  # type: ignore[arg-type]


def test_identity_depends_on_every_field_but_paths_and_on_data_and_weights() -> None:
    base = to_dict(pocket())
    ids = {run_id(base, "d", "w"), run_id(base, "e", "w"), run_id(base, "d", "v")}
    ids |= {run_id(base | {"theta": 0.8}, "d", "w"), run_id(base | {"seed": 1}, "d", "w")}
    assert len(ids) == 5
    assert run_id(base | {"root": "/elsewhere", "weights": "x"}, "d", "w") == run_id(base, "d", "w")


def test_a_run_is_finished_only_with_the_config_asked_for(tmp_path: Path) -> None:
    save_run(tmp_path, row())
    assert load_run(tmp_path, "abc", to_dict(pocket())) == row()
    assert load_run(tmp_path, "abc", to_dict(replace(pocket(), theta=0.8))) is None
    assert load_run(tmp_path, "other") is None


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


def imported_by(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint('\\n'.join(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {line.split(".")[0] for line in out.splitlines()}


@pytest.mark.parametrize(
    ("statement", "forbidden"),
    [
        ("import apc.training.run, apc.methods.registry", {"ray", "optuna"}),
        ("import apc.reporting.page", {"torch", "ray", "optuna"}),
        ("import apc.cli.main", {"torch", "timm", "ray", "optuna", "pandas", "matplotlib", "argparse"}),
        ("import apc.search.progress, apc.runs.rows, apc.search.plans", {"torch", "ray", "optuna"}),
        ("import experiments.grid_lambda, experiments.table7_pooling", {"torch", "ray", "optuna", "pandas"}),
    ],
    ids=["training", "report", "cli", "status", "experiments"],
)
def test_imports_point_one_way(statement: str, forbidden: set[str]) -> None:
    assert not imported_by(statement) & forbidden


def test_ray_is_named_by_the_worker_and_the_driver_alone() -> None:
    users = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "apc").rglob("*.py")
        if re.search(r"^\s*(import|from) ray\b", path.read_text(), re.M)
    }
    assert users == {f"apc/search/{name}.py" for name in ("worker", "driver", "ray_session", "callbacks")}


def test_the_readme_shows_every_module_there_is() -> None:
    readme = (ROOT / "README.md").read_text()
    for path in [
        *(ROOT / "apc").rglob("*.py"),
        *(ROOT / "experiments").glob("*.py"),
        *(ROOT / "search_spaces").glob("*.py"),
    ]:
        if path.name not in ("__init__.py", "__main__.py"):
            assert path.name in readme, path
