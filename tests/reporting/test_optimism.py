"""The optimism ledger on scores that are written down."""

import itertools
from typing import Any

import numpy as np
import pytest
from report_rows import a_row

from apc.reporting.groups import separate
from apc.reporting.optimism_page import optimism_page
from apc.reporting.searches import optimism
from apc.reporting.searches.optimism import Epochs, Spread, behind, epochs, luck
from apc.reporting.section import Section
from apc.reporting.table_entry import TableEntry
from apc.runs.rows import Row
from apc.runs.scores import CHOOSERS

TRUE = np.arange(10.0)[:, None]  # ten settings, one seed


def test_what_is_the_same_elsewhere_is_no_luck_however_hard_the_other_images_are() -> None:
    assert luck(TRUE, TRUE - 7.0) == pytest.approx(Spread(0.0, 0.0, 0.0))


def test_a_winner_by_luck_alone_is_too_high_by_all_of_it_less_its_share_of_the_mean() -> None:
    lucky = np.where(np.arange(10) == 3, 20.0, 0.0)[:, None]
    found = luck(lucky, np.zeros((10, 1)))  # which is among the five of every second draw
    assert found.mean == pytest.approx((20 - 20 / 5) / 2) and (found.low, found.high) == (0.0, 16.0)


def test_what_a_choice_costs_is_by_the_judge() -> None:
    assert behind(TRUE, TRUE, TRUE).mean == 0
    of_ten = list(itertools.combinations(range(10), 5))
    assert behind(-TRUE, TRUE, TRUE).mean == pytest.approx(np.mean([max(draw) - min(draw) for draw in of_ten]))
    assert behind(TRUE, -TRUE, TRUE).mean < 0


def curve(*epochs: tuple[float, float]) -> Row:
    """A run whose epochs have the scores of both halves; those of the last stand among its metrics alone."""
    scored = [{"epoch": e, "tune_miou": a, "held_miou": b} for e, (a, b) in enumerate(epochs, start=1)]
    last = {name: scored[-1].pop(name) for name in ("tune_miou", "held_miou")}
    return Row(run="r", config={}, seconds={}, metrics=last, curve=scored)


def test_the_best_epoch_is_chosen_by_one_half_and_judged_by_the_other() -> None:
    row = curve((10.0, 9.0), (30.0, 25.0), (20.0, 26.0))
    assert epochs(row, "tune_miou", "held_miou") == Epochs(30.0, 25.0, 20.0, 26.0)
    assert epochs(row, "held_miou", "held_miou") == Epochs(26.0, 26.0, 26.0, 26.0)
    assert epochs(row, "border_rule", "held_miou") is None
    assert epochs(curve((10.0, 9.0)), "tune_miou", "held_miou") is None


def test_an_epoch_of_a_first_stage_is_none_to_choose_for_it_is_of_another_network() -> None:
    row = curve((30.0, 30.0), (25.0, 25.0), (10.0, 9.0), (20.0, 26.0), (15.0, 14.0))
    assert epochs(row, "tune_miou", "held_miou") == Epochs(30.0, 30.0, 15.0, 14.0)
    row.config["stage2_epochs"] = 3
    assert epochs(row, "tune_miou", "held_miou") == Epochs(20.0, 26.0, 15.0, 14.0)
    row.config["stage2_epochs"] = 1
    assert epochs(row, "tune_miou", "held_miou") is None


def test_runs_of_one_setting_are_one_whichever_fields_were_there_when_they_were_made() -> None:
    rows = [curve((20.0, 30.0), (10.0, 5.0)) for _ in range(4)]
    for i, row in enumerate(rows):
        row.row, row.run, row.config = f"setting {i}", f"r{i}", {"seed": i, "k": max(1, i)}
    rows[0].config["deeplab"] = "small"  # the default, which older rows do not tell
    (line,) = optimism.ledger([section(rows, "pocket")])
    assert (line.settings, line.points.mean) == (3, 25.0)


def test_epochs_are_judged_by_what_is_chosen_of_many_settings_and_by_the_mean_of_few() -> None:
    rows = [curve((20.0 + i, 30.0), (10.0 - i, 5.0)) for i in range(10)]  # the best epoch is the first of two
    for i, row in enumerate(rows):
        row.row, row.run, row.config = f"setting {i}", f"r{i}", {"seed": 0, "k": i}
    drawn = optimism.ledger([section(rows, "pocket", search=True, choosers=True)])
    fixed = optimism.ledger([section(rows[:3], "pocket")])
    assert [
        (line.rule, line.settings, round(line.points.mean, 9)) for line in drawn if "epoch" in line.rule.chosen_by
    ] == [(optimism.EPOCH_HALF, 10, 25.0)]
    assert [(line.rule, line.table, line.settings, line.seeds) for line in fixed] == [
        (optimism.EPOCH_HALF, "APC's runs in all other tables", 3, 1)
    ]


def test_image_labels_choose_by_the_rule_that_a_search_goes_by() -> None:
    truth = [float(i * 7 % 20) for i in range(20)]
    rows = [
        a_row(f"theta={i}", 0, true, dict.fromkeys(("tune_miou", "held_miou", CHOOSERS["labels"]), true))
        for i, true in enumerate(truth)
    ]
    for row in rows:
        row.metrics["vote"] = -row.metrics["miou"]
    lines = [line for line in optimism.ledger([section(rows, "pocket")]) if line.rule.chosen_by == "image labels alone"]
    assert [(line.rule, line.points.mean) for line in lines] == [(optimism.BEHIND, 0), (optimism.REGRET, 0)]


def section(rows: list[Row], dataset: str, **entry: Any) -> Section:
    own = TableEntry(name="choosing", title="Choosing: of a test", **entry)
    return Section(own, dataset, [], True, rows=rows, compared=separate(rows))


def test_the_page_measures_what_the_rows_allow_and_says_what_would_measure_the_rest() -> None:
    rows = [
        a_row(f"theta={i}", s, 30.0 + i + 5 * (s == i % 3), {"test_miou": 20.0 + i}, theta=i / 10)
        for i in range(10)
        for s in range(3)
    ]
    of_pocket, of_cats = section(rows, "pocket"), section(rows[:9], "cats")  # three settings
    text = "\n".join(optimism_page([of_pocket, of_cats]))
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "masks" in line]
    tables = [cells[2:5] for cells in lines if len(cells) == 6]
    assert tables[0][:2] == ["Choosing", "10 × 3"] and tables[1][:2] == ["Choosing", "10 × 3"]
    assert tables[2] == ["–", "–", "not measured"] and [cells[2] for cells in tables[3:]].count("not measured") == 9
    assert "draws of half of the settings, at most 40;" in " ".join(text.split())
    assert "too high" in text and "ten settings scored by halves would tell" in text

    assert optimism_page([of_cats]) == []
    assert optimism_page([section(rows, "pocket", search=True)]) == []  # proposed by scores
    assert optimism_page([section(rows, "pocket", search=True, choosers=True)]) != []  # drawn at random
    assert optimism.ledger([section(rows[:27], "pocket")]) == []  # nine settings
