"""The rows of Table 8."""

from dataclasses import replace
from pathlib import Path

from apc.config import pocket, to_dict
from apc.runs.rows import Row
from apc.search.plans import Result
from experiments import table8_components
from search_spaces import components


def a_row(run: str) -> Row:
    return Row(run=run, config=to_dict(pocket()), metrics={}, seconds={})


def test_the_crf_row_is_the_row_above_it_scored_again() -> None:
    result: Result = [
        (point, [replace(a_row(point.label), metrics={"miou": 10.0 + i, "miou_crf": 20.0 + i})])
        for i, point in enumerate(components.PLAN.next([]))
    ]
    made = table8_components.ladder(result, Path(), "")
    assert [(point.label, rows[0].metrics["ladder_miou"]) for point, rows in made] == [
        ("vit", 10),
        ("hv_bilstm", 11),
        ("crf", 21),
        ("akp", 22),
        ("pcl", 23),
    ]
    assert made[2][1][0].run == "hv_bilstm@crf" and made[2][1][0].config == made[1][1][0].config
    lost = [(point, [replace(rows[0], metrics={}, error="lost")]) for point, rows in result[1:2]]
    assert table8_components.ladder(lost, Path(), "")[0][1][0].metrics == {}
