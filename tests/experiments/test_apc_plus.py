"""The ladder of APC+."""

from dataclasses import replace
from pathlib import Path

import pytest

from apc.config import Config, folder, pocket
from apc.runs.rows import Row
from apc.search.plans import Point, Points
from experiments import apc_plus
from experiments.apc_plus import LARGER, PAPER, ROUND, TWO, ladder, shown_larger


def sizes_of(base: Config) -> dict[str, int | None]:
    """`eval_size` that each row of the ladder sets."""
    plan = ladder(base)
    assert isinstance(plan, Points)
    return {point.label: point.values.get("eval_size") for point in plan.points}


def test_the_papers_setting_is_shown_as_large_as_apc_plus_without_being_trained_again(
    trained: tuple[Path, Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, row = trained
    monkeypatch.setattr(apc_plus, "eval_size_of_plus", lambda cfg: 128)
    failed = replace(row, run="x", error="lost")
    made = shown_larger([(Point(PAPER, {}), [row, failed]), (Point(ROUND, {}), [row])], runs, "")
    assert [(point.label, len(rows)) for point, rows in made] == [(PAPER, 2), (LARGER, 1), (ROUND, 1)]
    larger = made[1][1][0]
    assert (larger.run, larger.config["eval_size"], larger.seconds) == (f"{row.run}@128", 128, row.seconds)
    assert larger.config | {"eval_size": 0} == row.config
    assert {"held_miou", "miou", "labelled_miou"} < set(larger.metrics)
    assert larger.metrics["miou"] != row.metrics["miou"]


def test_embedded_pictures_are_not_shown_larger(trained: tuple[Path, Row]) -> None:
    runs, row = trained
    assert shown_larger([(Point(PAPER, {}), [row])], runs, "") == [(Point(PAPER, {}), [row])]
    assert set(sizes_of(pocket()).values()) == {None, 0}


def test_every_row_but_the_papers_setting_is_shown_as_large_as_apc_plus() -> None:
    sizes = sizes_of(folder())
    assert sizes.pop(PAPER) is None
    assert set(sizes.values()) == {304} and {ROUND, TWO} < set(sizes)
