"""What the searches are compared with, once they have chosen."""

from pathlib import Path
from typing import Any

import pytest

from apc.search.plans import Point, Points
from experiments.search_joint import COMPARISON, PAPER, POOLING
from search_spaces import joint


def compared(results: Path, **chosen: dict[str, Any]) -> list[Point]:
    """The rows of the comparison where the searches chose so."""
    for search, values in chosen.items():
        (results / search).mkdir()
        lines = (f"{knob} = {value!r}\n" for knob, value in (joint.PAPER | values).items())
        (results / search / "pocket.best.toml").write_text("".join(lines))
    assert COMPARISON.plan_of_results
    plan = COMPARISON.plan_of_results(results, "pocket", "")
    assert isinstance(plan, Points)
    return list(plan.points)


def test_the_pooling_that_the_joint_search_chose_is_judged_alone_too(tmp_path: Path) -> None:
    rows = compared(tmp_path, search_joint={"pooling": "top_k", "lambda2": 0.005}, search_staged={"lambda1": 1.0})
    assert [point.label for point in rows] == [PAPER, "joint search", "staged search", POOLING]
    assert dict(rows[-1].values) == joint.PAPER | {"pooling": "top_k"}


@pytest.mark.parametrize(
    ("weights", "names"),
    [({}, "joint search and paper's setting, pooling of the search"), ({"lambda2": 0.0}, "joint search")],
)
def test_a_setting_that_is_several_of_them_is_one_row(weights: dict[str, float], names: str, tmp_path: Path) -> None:
    rows = compared(tmp_path, search_joint={"pooling": "top_k"} | weights, search_staged={})
    assert [point.label for point in rows][:2] == [f"{PAPER} and staged search", names]
