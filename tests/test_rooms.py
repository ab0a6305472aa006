"""Imports point one way, from the doors down to config; what must start at once stays light."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from import_graph import FLOOR, circles, forbidden, modules, room_of

ROOT = Path(__file__).resolve().parents[1]


def test_every_import_points_to_a_floor_below() -> None:
    assert forbidden(ROOT) == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circles(ROOT) == []


def test_every_module_lies_in_a_room_with_a_floor() -> None:
    assert {room_of(module) for module in modules(ROOT)} <= set(FLOOR)


def test_few_files_lie_in_apc_itself() -> None:
    assert len(list((ROOT / "apc").glob("*.py"))) <= 8


def tree(root: Path, **files: str) -> Path:
    """Modules below `root`; a double underscore in a name is a folder."""
    for name, code in files.items():
        path = root / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
    return root


def test_an_import_that_points_up_or_sideways_is_told_with_its_line_wherever_it_stands(tmp_path: Path) -> None:
    hidden = "import torch\n\ndef crf() -> None:\n    from apc.evaluation.miou import miou\n"
    root = tree(
        tmp_path,
        apc__data__voc="from ..runs import rows\nfrom apc import config\nfrom . import coco\n",
        apc__data__coco="",
        apc__runs__rows="from apc import Config\n",
        apc__evaluation__miou="from apc.models import crf\n",
        apc__models__crf=hidden,
        apc__config="",
    )
    (root / "apc" / "__init__.py").write_text("from apc.config import Config\n")
    ground = "escaping, config, files, parallel, devices, flags, folders"
    assert forbidden(root) == [
        f"apc/data/voc.py, line 1, imports apc.runs.rows; data may import {ground}",
        f"apc/models/crf.py, line 4, imports apc.evaluation.miou; models may import {ground}, data, runs",
        f"apc/runs/rows.py, line 1, imports apc; runs may import {ground}",
    ]


def test_a_circle_is_told_by_its_modules_though_one_of_its_imports_stands_in_a_function(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        apc__models__build="def build() -> None:\n    import apc.models.mit\n",
        apc__models__mit="from apc.models.encoder import Encoder\n",
        apc__models__encoder="from apc.models import build\n",
        apc__models__par="from apc.models import build\n",
    )
    assert circles(root) == [["apc.models.build", "apc.models.encoder", "apc.models.mit"]]


def packages_after(statement: str) -> set[str]:
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
def test_what_must_start_at_once_loads_no_heavy_package(statement: str, forbidden: set[str]) -> None:
    assert not packages_after(statement) & forbidden


def test_ray_is_named_by_the_worker_and_the_driver_alone() -> None:
    users = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "apc").rglob("*.py")
        if re.search(r"^\s*(import|from) ray\b", path.read_text(), re.M)
    }
    assert users == {
        f"apc/search/{name}.py"
        for name in ("worker", "driver", "searchers", "ray_session", "local_ray", "callbacks", "warm_actors")
    }
