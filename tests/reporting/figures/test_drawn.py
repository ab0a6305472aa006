"""What figures draw: colours, marks, names and axes, looked up in the figure before it is a file."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from planned_rows import rows_of

from apc.reporting.catalogue import described
from apc.reporting.figures import choose, qualitative
from apc.reporting.figures.qualitative import Panel
from apc.reporting.figures.regrets import regret_bars
from apc.reporting.figures.rows import by_class, curves
from apc.reporting.figures.style import COLOURS
from apc.reporting.figures.sweeps import Sweep, sweeps
from apc.reporting.figures.two_knobs import Timed, time_and_accuracy
from apc.reporting.groups import Group
from apc.reporting.searches.figures import history_and_cost, race
from apc.reporting.searches.trials import Trial
from apc.reporting.searches.tuning_curve import Band
from apc.search.plans import Point


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch, sketched: None) -> list[Figure]:
    """Figures in the order in which they would be written, each as often as its files."""
    figures: list[Figure] = []
    sketch = Figure.savefig

    def savefig(figure: Figure, file: Any, **how: Any) -> None:
        figures.append(figure)
        sketch(figure, file, **how)

    monkeypatch.setattr(Figure, "savefig", savefig)
    return figures


def colours(figure: Figure) -> dict[str, str]:
    """Name in a legend -> its colour."""
    handles = [pair for ax in figure.axes for pair in zip(*ax.get_legend_handles_labels(), strict=True)]
    return {label: to_hex(getattr(handle, "lines", [handle])[0].get_color()) for handle, label in handles}


def test_a_row_keeps_its_colour_where_another_is_missing(drawn: list[Figure], tmp_path: Path) -> None:
    third = COLOURS[2].lower()
    by_class({"a": {"ring": [1.0]}, "b": {}, "c": {"ring": [2.0]}}, "decoder", tmp_path / "classes")
    assert colours(drawn[-1]) == {"a": COLOURS[0].lower(), "c": third}
    curves({"a": [[{"epoch": 1, "mce": 1.0}]], "b": [], "c": [[{"epoch": 1, "mce": 2.0}]]}, tmp_path / "curves")
    assert colours(drawn[-1]) == {"a": COLOURS[0].lower(), "c": third}
    time_and_accuracy({"s": {"a": [Timed(1, 2)], "b": [], "c": [Timed(2, 3)]}}, "miou", tmp_path / "time")
    assert colours(drawn[-1]) == {"a": COLOURS[0].lower(), "c": third}


def test_colours_go_by_the_places_of_the_table_s_rows_and_not_of_those_that_are_drawn() -> None:
    group = Group(rows_of([Point("c", {})], lambda config: 40.0))
    shown = choose.Shown(described("table7_pooling"), group, "pocket", ["a", "b", "c"], None, [], {})
    assert (shown.labels, shown.places) == (["c"], ["a", "b", "c"])


def test_curves_have_one_order_and_their_panels_names_for_people(drawn: list[Figure], tmp_path: Path) -> None:
    epoch = {"epoch": 1, "miou": 3.0, "loss": 1.0, "other": 1.0, "seg": 1.0, "pce": 1.0, "mce": 1.0, "label_f1": 1.0}
    curves({"a": [[epoch]]}, tmp_path / "curves")
    titles = [ax.get_title() for ax in drawn[-1].axes if ax.get_visible()]
    names = ["mce: image classes", "pce: patch contrast", "seg: decoder", "other", "loss: weighted sum"]
    assert titles == [*names, "mIoU", "label f1"]


def trial(number: int, score: float, state: str = "complete") -> Trial:
    return Trial(number, f"k={number}", {"k": number}, score, 10, 0.0, state, last=score)


def test_pruned_trials_below_the_axis_say_so_and_leave_no_band_of_other_orders(
    drawn: list[Figure], tmp_path: Path
) -> None:
    done = [trial(i, 50.0 + i) for i in range(8)]
    history_and_cost(done, "miou", "", None, tmp_path / "whole")
    assert "any order, 80 %" in names_of(drawn[-1])
    pruned = [trial(9, 3.0, "pruned"), trial(10, 51.0, "pruned"), trial(11, math.nan, "pruned")]
    history_and_cost([*done, *pruned], "miou", "", None, tmp_path / "pruned")
    names = names_of(drawn[-1])
    assert {"PRUNED (last score)", "PRUNED (below the axis)", "PRUNED (no score)"} <= names
    assert not any("any order" in name for name in names)
    replays = Band("200 replays", [30.0, 40.0], [50.0, 51.0], [51.0, 52.0], [52.0, 53.0])
    history_and_cost([*done, *pruned], "miou", "", replays, tmp_path / "replayed")
    assert {"200 replays, 80 %", "200 replays, median"} <= names_of(drawn[-1])
    history_and_cost(done, "miou", "", replays, tmp_path / "both")  # what luck does is known better from replays
    assert not any("any order" in name for name in names_of(drawn[-1]))


def names_of(figure: Figure) -> set[str]:
    return {label for ax in figure.axes for label in ax.get_legend_handles_labels()[1]}


def test_a_far_failure_lies_on_the_edge_of_a_sweep_and_does_not_flatten_it(drawn: list[Figure], tmp_path: Path) -> None:
    line = {value: {0: 51.0 + value, 1: 52.0 + value} for value in (0.1, 0.5, 1.0)}
    far = {0.0: {0: 3.0, 1: 4.0}}
    sweeps([Sweep("k", "t", {"decoder": far | line, "patch branch": line}, {}, 1.0)], tmp_path / "far")
    assert drawn[-1].axes[0].get_ylim()[0] > 45 and "below the axis" in names_of(drawn[-1])
    assert math.isnan(drawn[-1].axes[0].lines[0].get_ydata()[0])  # or the line falls out of the figure
    assert "best mean: decoder" in names_of(drawn[-1])  # the other line may lie higher
    sweeps([Sweep("k", "t", {"decoder": line}, {}, 1.0)], tmp_path / "near")
    assert not {"below the axis", "best mean: decoder"} & names_of(drawn[-1])


def test_a_race_s_axis_and_that_of_regrets_say_what_they_measure(drawn: list[Figure], tmp_path: Path) -> None:
    race({"a": [trial(1, 40.0)]}, "tune_miou", tmp_path / "race")
    assert drawn[-1].axes[0].get_ylabel() == "best so far: mIoU of the\nhalf that chose (%)"
    regret_bars({"label_rule": 0.7, "label_f1": 1.6}, {0: 5.0, 2: 1.0}, tmp_path / "regrets")
    ax = drawn[-1].axes[0]
    assert "even as far as 0.5, logarithmic farther out" in ax.get_xlabel()
    assert [text.get_text() for text in ax.get_yticklabels()] == ["label f1", "label rule"]
    (number,) = [text for text in ax.texts if text.get_text() == "0.70"]
    assert number.get_bbox_patch() is not None  # or dotted lines run through it


def test_a_heat_map_whose_scores_are_low_looks_weak(
    drawn: list[Figure], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qualitative, "small", lambda png: png)
    photo = np.zeros((4, 4, 3), np.uint8)
    panels = [Panel("", photo), *(Panel("t", photo, np.full((2, 2), most)) for most in (0.98, 0.04))]
    qualitative.draw({"plum": panels}, tmp_path / "heat")
    sure, weak = drawn[-1].axes[1:3]
    assert (len(sure.patches), len(weak.patches)) == (0, 1)  # a veil
    assert sure.get_title() == "t\nmaximum 0.98" and weak.get_title() == "t\nmaximum 0.04, weak"
