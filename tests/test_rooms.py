"""Imports point one way, from the doors down to config."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def imported_by(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint('\\n'.join(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {line.split(".")[0] for line in out.splitlines()}


@pytest.mark.parametrize(
    ("statement", "forbidden"),
    [
        ("import apc.training.run, apc.methods.registry", {"ray", "optuna"}),
        ("import apc.reporting.page", {"torch", "ray", "optuna"}),
        ("import apc.cli.main", {"torch", "timm", "ray", "optuna", "pandas", "matplotlib", "tyro"}),
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
