"""Rows that may be compared: groups by data, settings and selection; damaged rows are named and left out."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from report_rows import a_row, page, pooling_rows
from search_rows import joint_rows

from apc.reporting.groups import read, separate
from apc.runs.rows import Row, save_rows

pytestmark = pytest.mark.usefixtures("sketched")


def test_rows_of_other_data_settings_or_selection_are_separated_and_commits_are_told() -> None:
    rows = (
        pooling_rows()
        + pooling_rows(2, data="pocket-2")
        + pooling_rows(1, epochs=3)
        + pooling_rows(1, selection="half")
    )
    rows[0].stamp["commit"] = "0ther"
    groups = separate(rows, ("pooling", "k", "theta"))
    assert [len(g.rows) for g in groups] == [12, 8, 4, 4]
    assert groups[1].what == {"data": "pocket-2", "selection": "val", "epochs": "15"}
    told = "c0ffee1234: `max`, `top_k`, `adaptive_k`, `average` in part (11 runs); 0ther: `average` in part (1 run)."
    assert f"2 commits. {told}" in groups[0].notes[0] and groups[0].scores("max", "miou")[0] == 31.0
    assert groups[1].notes == []


def test_a_label_that_stands_for_two_settings_is_split() -> None:
    rows = [a_row("adaptive_k", s, 40.0, k=k) for k in (6, 12) for s in range(2)]
    assert [g.what for g in separate(rows, ("pooling", "k"))] == [{"k": "6"}, {"k": "12"}]


PEERS: dict[str, dict[str, Any]] = {
    "baseline": {"pooling": "max"},
    "vit_pcm": {"method": "vit_pcm", "stage2_epochs": 20},
    "afa": {"method": "afa", "warmup_steps": 45},
    "toco": {"method": "toco", "warmup_steps": 45},
    "apc": {},
}


def peers(epochs: int, **of_epochs: int) -> list[Row]:
    """Table 6's five methods; `of_epochs` are fields that follow from the epochs, of the methods that have them."""
    fields = {name: own | {k: v for k, v in of_epochs.items() if k in own} for name, own in PEERS.items()}
    return [
        a_row(name, seed, 40.0, epochs=epochs + own.get("stage2_epochs", 0), **own)
        for name, own in fields.items()
        for seed in range(2)
    ]


@pytest.mark.parametrize("of_epochs", [{}, {"stage2_epochs": 30, "warmup_steps": 68}])
def test_two_schedules_of_a_table_of_methods_are_two_groups_of_all_methods(of_epochs: dict[str, int]) -> None:
    groups = separate([*peers(10), *peers(15, **of_epochs)])
    assert [group.what for group in groups] == [{"epochs": "10"}, {"epochs": "15"}]
    assert [group.labels for group in groups] == [list(PEERS)] * 2


def test_a_second_stage_of_another_length_is_another_setting() -> None:
    other = [row for row in peers(10, stage2_epochs=6) if row.row == "vit_pcm"]
    groups = separate([*peers(10), *other])
    assert [group.labels for group in groups][1:] == [["vit_pcm"]] * 2


def test_a_run_recorded_twice_counts_once() -> None:
    (group,) = separate([a_row("max", 0, 30.0), a_row("max", 0, 31.0)])
    assert group.scores("max", "miou") == {0: 31.0} and "more than once" in group.notes[0]


def test_damaged_lines_cost_themselves_only(tmp_path: Path) -> None:
    path = tmp_path / "pocket.jsonl"
    save_rows(path, [a_row("max", 0, 30.0)])
    path.write_text(
        path.read_text() + '{"run": "half\n[]\n' + '{"run": "r9", "config": {}, "metrics": 3, "seconds": {}}\n'
    )
    rows, problems = read(path)
    assert len(rows) == 1 and len(problems) == 3
    assert "line 2" in problems[0] and "line 3" in problems[1] and "r9" in problems[2]


def test_rows_stopped_early_are_in_no_group_mean_even_of_their_own_label(tmp_path: Path) -> None:
    rows = joint_rows()
    stopped = replace(rows[0], config=rows[0].config | {"seed": 1}, metrics={}, stopped="epoch 2", run="stopped00000")
    text = page(tmp_path, "search_joint", [*rows, stopped])
    assert "12 trials: 11 complete, 1 PRUNED" in text


TORN: dict[str, list[dict[str, Any]]] = {
    "metrics": [{"metrics": value} for value in ({"miou": "41"}, {"miou": 1e308}, {"miou": 10**400}, {"miou": None})],
    "curve": [{"curve": [value]} for value in (3, {"miou": None}, {"cpu_seconds": None}, {"miou": "41"})],
    "config's seed": [{"config": {"seed": value}} for value in ("0", None, 0.5)],
    "config": [{"config": {"seed": 10**400}}, {"config": {"theta": 1e200}}],
    "config's stage2_epochs": [{"config": {"stage2_epochs": "6"}}],
    "per_class": [{"per_class": {"miou": 3}}, {"per_class": {"miou": ["41"]}}],
    "classes": [{"classes": 2}, {"classes": [0, 1]}],
    "stopped": [{"stopped": None}],
    "seconds": [{"seconds": {"train": []}}],
    "row": [{"row": 7}],
    "stamp": [
        {"stamp": []},
        {"stamp": {"protocol": 10**400}},
        {"stamp": {"search": [[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]}},
    ],
    "stamp's images": [{"stamp": {"images": {"train": value}}} for value in ("960", [960])],
    "stamp's measured": [{"stamp": {"measured": {"commit": ["c0ffee"]}}}],
    "stamp's search": [
        {"stamp": {"search": value}} for value in ({"space": {"k": 3}}, {"objectives": [3]}, {"objectives": "miou"})
    ],
    "stamp's weights_name": [{"stamp": {"weights_name": 3}}],
}


def torn_rows() -> list[tuple[str, Row]]:
    """What is damaged, and a row in which it is; the stamp and the config are whole but for that."""
    whole = replace(joint_rows()[0], run="damaged00000")
    torn = [(name, each) for name, several in TORN.items() for each in several]
    return [(name, replace(whole, **{field: _laid(whole, field, own[field]) for field in own})) for name, own in torn]


def _laid(row: Row, field: str, value: Any) -> Any:
    return getattr(row, field) | value if field in ("config", "stamp") and isinstance(value, dict) else value


@pytest.mark.parametrize(("part", "row"), torn_rows())
def test_a_damaged_row_is_left_out_by_its_name_and_what_is_wrong(tmp_path: Path, part: str, row: Row) -> None:
    path = tmp_path / "pocket.jsonl"
    save_rows(path, [*joint_rows(), row])
    rows, (problem,) = read(path)
    assert len(rows) == 12 and "run damaged00000: " in problem and part in problem


def test_damaged_rows_cost_themselves_and_not_the_report(tmp_path: Path) -> None:
    torn = [replace(row, run=f"damaged{number:05}") for number, (_, row) in enumerate(torn_rows())]
    text = page(tmp_path, "search_joint", [*joint_rows(), *torn])
    told = text.split("**Damaged and left out:**")[1]
    assert "12 trials: 12 complete" in text and all(f"run {row.run}: " in told for row in torn)


def test_a_score_that_is_no_number_is_missing_and_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "pocket.jsonl"
    save_rows(path, [a_row("max", 0, float("nan"))])
    (row,), problems = read(path)
    assert problems == [] and separate([row])[0].scores("max", "miou") == {}
