"""Settings that differ in one number: which rows are a curve, where its best lies, how it is judged."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from planned_rows import FIGURE4, rows_of
from report_rows import whole

from apc.reporting.catalogue import described
from apc.reporting.figures.one_knob import at_an_end, best_of, panels, paper_value, values_of
from apc.reporting.groups import Group
from apc.reporting.table_entry import TableEntry, paper_is_best
from apc.reporting.verdicts.claims import judge_group
from apc.runs.rows import Row, save_rows
from apc.search.plans import Point
from search_spaces import k, theta_epsilon

NAMES = {"miou": "decoder", "patch_miou": "patch branch"}


def test_the_rows_of_one_threshold_are_those_at_the_papers_other() -> None:
    group = Group(FIGURE4)
    assert list(values_of(group, "theta")) == list(theta_epsilon.THETAS)
    assert list(values_of(group, "epsilon")) == list(theta_epsilon.EPSILONS)
    assert values_of(group, "theta")[0.9] == values_of(group, "epsilon")[0.85] == "theta=0.9 epsilon=0.85"
    assert values_of(Group(FIGURE4[:6]), "theta") == {}  # two values are no curve
    other = [Row(run="x", row="another", config=FIGURE4[0].config, metrics={"miou": 1.0}, seconds={})]
    assert values_of(Group([*FIGURE4, *other]), "theta") == {}  # 0.5 would stand for two settings


def test_figure_4_is_two_panels_with_the_papers_value_and_our_best() -> None:
    theta, epsilon = panels(described("figure4_theta_epsilon"), Group(FIGURE4), "pocket", NAMES)
    assert (theta.name, theta.title) == ("theta (adaptive-K pooling)", "pocket: epsilon = 0.85")
    assert (theta.marks, theta.best, epsilon.marks, epsilon.best) == (
        {"paper's value": 0.9},
        0.7,
        {"paper's value": 0.85},
        0.85,
    )
    assert list(theta.lines) == ["decoder", "patch branch"] and len(theta.lines["decoder"][0.9]) == 3


def test_both_thresholds_of_figure_4_are_judged_against_all_values_tried() -> None:
    theta, epsilon = judge_group(described("figure4_theta_epsilon"), Group(FIGURE4), "pocket")
    assert (theta.verdict.outcome, theta.rows) == (
        "contradicted",
        ("theta=0.9 epsilon=0.85", "theta=0.7 epsilon=0.85"),
    )
    assert epsilon.verdict.outcome == "reproduced" and epsilon.claim.startswith("epsilon = 0.85 is the best")
    assert not theta.ours and theta.paper == "no number (Figure 4)"


def best_at(value: float) -> Callable[[dict[str, Any]], float]:
    return lambda config: 50 - 40 * abs(config["theta"] - value)


THETAS = [point for point in theta_epsilon.LINES.next([]) if point.values["epsilon"] == 0.85]


def test_the_best_of_a_grid_that_is_not_through_is_undecided_and_one_that_is_beaten_is_beaten() -> None:
    entry, some = described("figure4_theta_epsilon"), [point for point in THETAS if point.values["theta"] >= 0.9]
    theta, epsilon = judge_group(entry, Group(rows_of(some, best_at(0.9))), "pocket")
    assert theta.verdict.outcome == "undecided" and theta.open == ()
    assert theta.verdict.why == (
        "against 0.95, its strongest rival; no score yet of theta=0.5 epsilon=0.85, theta=0.6 epsilon=0.85, "
        "theta=0.7 epsilon=0.85, theta=0.8 epsilon=0.85"
    )
    assert epsilon.verdict.outcome == "pending"
    theta, _ = judge_group(entry, Group(rows_of(some, best_at(1.0))), "pocket")
    assert theta.verdict.outcome == "contradicted"
    theta, _ = judge_group(entry, Group(rows_of(THETAS, best_at(0.9))), "pocket")
    assert theta.verdict.outcome == "reproduced"


def test_a_value_of_a_grid_of_ones_own_that_failed_is_named_and_holds_the_best_back() -> None:
    entry = TableEntry(name="mine", title="Mine", knobs=("theta",), bests=(paper_is_best("theta", "here", "mine"),))
    rows = rows_of(THETAS, best_at(0.9))
    failed = [replace(row, metrics={}, error="killed") for row in rows if row.config["theta"] == 0.5]
    group = Group([row for row in rows if row.config["theta"] > 0.5])
    (judged,) = judge_group(entry, group, "pocket", failed=failed)
    assert judged.verdict.outcome == "undecided" and "no score yet of theta=0.5 epsilon=0.85" in judged.verdict.why
    (judged,) = judge_group(entry, group, "pocket", failed=failed[:0])
    assert judged.verdict.outcome == "reproduced"
    (judged,) = judge_group(entry, Group(rows), "pocket", failed=failed)  # another seed of it has a score
    assert judged.verdict.outcome == "reproduced"


def test_a_best_at_an_end_is_told_and_so_is_where_nothing_lies_beyond() -> None:
    thetas = (0.5, 0.7, 1.0)
    assert "below it adaptive-K pooling stays top-K" in at_an_end("theta", 0.5, thetas)
    assert "values beyond it were not tried" in at_an_end("epsilon", 0.6, (0.6, 0.8))
    assert at_an_end("theta", 0.7, thetas) == at_an_end("theta", None, thetas) == ""


def test_the_page_shows_figure_4_in_one_figure_and_warns_of_a_best_at_an_end(tmp_path: Path) -> None:
    rows = rows_of(theta_epsilon.LINES.next([]), lambda config: 50 - 10 * config["theta"] - config["epsilon"])
    save_rows(tmp_path / "results/figure4_theta_epsilon/pocket.jsonl", rows)
    text = whole(tmp_path)
    assert "figures/figure4_theta_epsilon.pocket.values.png" in text
    assert "**Best epsilon here, by the mean of `miou`: 0.6; the paper's: 0.85.**" in text
    assert "The best epsilon = 0.6 is the smallest of the searched values, 0.6 to 0.95: values beyond it" in text
    assert "The best theta = 0.5 is the smallest of the searched values, 0.5 to 1: below it adaptive-K" in text


def test_k_has_a_curve_for_each_pooling_which_both_begin_at_max_pooling() -> None:
    def score(config: dict[str, Any]) -> float:
        return {"max": 30.0, "top_k": 40.0 - config["k"], "adaptive_k": 40.0 + config["k"]}[config["pooling"]]

    group = Group(rows_of(k.PLAN.next([]), score))
    (panel,) = panels(described("figure_k"), group, "pocket", NAMES)
    assert list(panel.lines) == ["adaptive-K pooling", "top-K pooling"]
    assert {name: list(line) for name, line in panel.lines.items()} == dict.fromkeys(panel.lines, [1, 3, 6, 12, 24])
    assert panel.lines["adaptive-K pooling"][1.0] == panel.lines["top-K pooling"][1.0]
    assert (panel.marks, panel.best) == ({"paper's value": 6}, 24.0)
    (verdict,) = judge_group(described("figure_k"), group, "pocket")
    assert verdict.ours and verdict.verdict.outcome == "contradicted"


@pytest.mark.parametrize(("image_size", "sizes", "default"), [(96, (64, 96, 240, 280), 240), (256, (256, 640), 640)])
def test_the_papers_image_size_is_taken_as_a_multiple_of_the_trainings(
    image_size: int, sizes: tuple[int, ...], default: int
) -> None:
    plan = [Point(str(size), {"eval_size": size, "image_size": image_size}) for size in sizes]
    group = Group(rows_of(plan, lambda config: float(config["eval_size"])))
    assert paper_value(group, "eval_size", [float(size) for size in sizes]) == default
    assert paper_value(group, "eval_size", [float(sizes[0])]) is None
    assert best_of(group, {float(s): str(s) for s in sizes}, "miou") == max(sizes)


def test_the_papers_row_stands_beside_the_size_that_is_as_many_times_the_training(tmp_path: Path) -> None:
    plan = [Point(str(size), {"eval_size": size, "image_size": 96}) for size in (64, 96, 160, 240, 280)]
    rows = rows_of(plan, lambda config: 50 - abs(config["eval_size"] - 96) / 10)
    save_rows(tmp_path / "results/table1_image_size/pocket.jsonl", rows)
    text = whole(tmp_path)
    lines = [line for line in text.split("# Table 1")[1].splitlines() if line.startswith("|")]
    table = {line.split("|")[1].strip(): [c.strip() for c in line.split("|")] for line in reversed(lines)}
    assert table["240"][-5:-1] == ["72.3", "960", "483", "13.7"] and table["96"][-5:-1] == ["–"] * 4
    assert "images shown at 2.5 times the training size score best" in text
    assert "beaten by" in text and "**contradicted**" in text
