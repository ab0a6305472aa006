"""Whose rows: what the project ships lies in `reports/reference/`, and a clone stays as it was whatever runs in it."""

import shutil
import subprocess
from pathlib import Path

import pytest
from report_rows import pooling_rows

from apc.experiment.outputs import write_rows
from apc.flags import reports_folder
from apc.reporting.page import build
from apc.search.plans import points

pytestmark = pytest.mark.usefixtures("sketched")

ROOT = Path(__file__).parents[2]


def git(*words: str) -> str:
    own = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "core.excludesFile="]
    return subprocess.run(["git", *own, *words], check=True, capture_output=True, text=True).stdout


def test_a_clone_stays_clean_after_an_experiment_has_written_its_rows_and_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("APC_REPORTS", raising=False)
    shutil.copy(ROOT / ".gitignore", ".")
    shipped = Path("reports/reference/results/table7_pooling/pocket.jsonl")
    shipped.parent.mkdir(parents=True)
    shutil.copy(ROOT / shipped, shipped)
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "as cloned")

    (point,) = points({"max": {"pooling": "max"}}).next([])
    rows = Path(reports_folder(), "results/table7_pooling/pocket.jsonl")
    write_rows(rows, "table7_pooling", [(point, pooling_rows(1)[1:2])], ["max"], "miou")
    page = build(reports_folder())

    assert page == Path("reports/ablation.md") and rows.is_file()
    assert git("status", "--porcelain") == ""
    assert git("ls-files") == f".gitignore\n{shipped}\n"
    shipped.write_text("")
    assert git("status", "--porcelain") == f" M {shipped}\n"  # what is shipped is looked after
