"""The checklist: distinct runs, ranges, seeds and core-hours."""

from dataclasses import replace
from pathlib import Path

import pytest
from report_rows import page
from search_rows import a_row

from apc.runs.rows import save_rows

pytestmark = pytest.mark.usefixtures("sketched")


def test_a_run_that_is_scored_again_costs_its_training_once(tmp_path: Path) -> None:
    rows = [a_row("k=2", seed, 40.0, {"k": 2}) for seed in range(5)]
    again = [replace(row, run=f"{row.run}@crf", row="crf") for row in rows]
    text = page(tmp_path, "space_k", [*rows, *again]).split("## Checklist")[1]
    line = next(line for line in text.splitlines() if line.startswith("| Search of the space k "))
    assert line.strip("| ").endswith("| 0.05") and "- Distinct runs: 5, of them 5 finished" in text


def test_the_checklist_counts_a_shared_run_once_and_tells_ranges_seeds_and_core_hours(tmp_path: Path) -> None:
    rows = [a_row(f"k={k}", seed, 40.0 + k, {"k": k}) for k in (2, 6) for seed in range(5)]
    save_rows(tmp_path / "results/other/pocket.jsonl", rows[:1])
    text = page(tmp_path, "space_k", rows).split("## Checklist")[1]
    assert "- Distinct runs: 10, of them 10 finished" in text and "Compute: 0.1 core-hours of training (box)" in text
    line = next(line for line in text.splitlines() if line.startswith("| Search of the space k "))
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[1:] == ["pocket", "2", "10", "0–4", "k 2, 6", "`miou`, half", "0.10"]


def test_a_run_that_two_machines_trained_took_the_time_of_both(tmp_path: Path) -> None:
    rows = [a_row("k=2", seed, 40.0, {"k": 2}) for seed in range(5)]
    other = [replace(row, seconds={"train": row.seconds["train"] + 1.0}) for row in rows[:2]]
    save_rows(tmp_path / "results/other/pocket.jsonl", other)
    assert "- Distinct runs: 7, of them 7 finished" in page(tmp_path, "space_k", rows)
