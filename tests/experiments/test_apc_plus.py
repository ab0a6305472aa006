"""The ladder of APC+."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from apc.config import Config, folder, pocket
from apc.data import Split
from apc.evaluation import miou
from apc.evaluation.scoring import Scoring
from apc.methods.base import Method
from apc.runs.protocols import Protocol
from apc.runs.rows import Row
from apc.search.plans import Point, Points
from experiments import apc_plus
from experiments.apc_plus import LARGER, PAPER, ROUND, SCALED, TWO, ladder, shown_otherwise


def sizes_of(base: Config) -> dict[str, int | None]:
    """`eval_size` that each row of the ladder sets."""
    plan = ladder(base)
    assert isinstance(plan, Points)
    return {point.label: point.values.get("eval_size") for point in plan.points}


def test_runs_are_shown_larger_and_at_several_scales_without_being_trained_again(
    trained: tuple[Path, Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, row = trained
    asked: list[list[str]] = []

    def noting(method: Method, val: Split, cfg: Config, protocols: list[Protocol], scoring: Scoring) -> Any:
        asked.append([protocol.name for protocol in protocols])
        return miou.score(method, val, cfg, protocols, scoring)

    monkeypatch.setattr("apc.evaluation.remeasure.score", noting)
    monkeypatch.setattr(apc_plus, "eval_size_of_plus", lambda cfg: 128)
    failed = replace(row, run="x", error="lost")
    made = shown_otherwise([(Point(PAPER, {}), [row, failed]), (Point(ROUND, {}), [row])], runs, "")
    assert [(point.label, len(rows)) for point, rows in made] == [(PAPER, 2), (LARGER, 1), (ROUND, 1), (SCALED, 1)]
    larger = made[1][1][0]
    assert (larger.run, larger.config["eval_size"], larger.seconds) == (f"{row.run}@128", 128, row.seconds)
    assert larger.config | {"eval_size": 0} == row.config
    assert {"held_miou", "miou", "labelled_miou"} < set(larger.metrics)
    assert larger.metrics["miou"] != row.metrics["miou"]
    scaled = made[3][1][0]
    assert (scaled.run, set(scaled.metrics)) == (f"{row.run}@128ms", set(larger.metrics))
    assert asked == [["miou", "labelled_miou"], ["miou_ms_75_100_125", "labelled_miou_ms_75_100_125"]]


def test_embedded_pictures_are_not_shown_otherwise(trained: tuple[Path, Row]) -> None:
    runs, row = trained
    assert shown_otherwise([(Point(PAPER, {}), [row])], runs, "") == [(Point(PAPER, {}), [row])]
    assert set(sizes_of(pocket()).values()) == {None, 0}


def test_every_row_but_the_papers_setting_is_shown_as_large_as_apc_plus() -> None:
    sizes = sizes_of(folder())
    assert sizes.pop(PAPER) is None
    assert set(sizes.values()) == {304} and {ROUND, TWO} < set(sizes)
