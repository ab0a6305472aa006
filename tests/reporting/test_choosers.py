"""What settings may be chosen by: on settings whose scores are written down."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from apc.reporting.figures.regrets import regret_bars
from apc.reporting.searches import choosers
from apc.reporting.searches.choosers import by_masks, choosers_table, judge, of_chosen, worth
from apc.reporting.verdicts.over_images import Images
from apc.runs.rows import Row

SETTINGS = 30


def settings(**scores: Any) -> list[Row]:
    """Settings whose held score is 0, 1, 2 …, with other scores beside it."""
    held = np.arange(SETTINGS, dtype=float)
    scores = {"held_miou": held, "tune_miou": held} | scores
    return [
        Row(run=f"r{i}", config={}, seconds={}, metrics={name: float(values[i]) for name, values in scores.items()})
        for i in range(SETTINGS)
    ]


def test_a_score_that_ranks_as_the_judge_has_no_regret() -> None:
    perfect = judge(settings(label_rule=np.arange(SETTINGS) ** 3), "label_rule")
    assert (perfect.spearman, perfect.kendall) == (pytest.approx(1), pytest.approx(1))
    assert (perfect.regret, perfect.behind, perfect.low) == (0, 0, pytest.approx(1))
    assert (perfect.kendall_low, perfect.kendall_high) == (pytest.approx(1), pytest.approx(1))


def test_the_intervals_over_settings_are_those_of_scipy_s_rank_correlations_of_each_draw() -> None:
    from scipy.stats import kendalltau, spearmanr

    score = (np.arange(SETTINGS) + np.random.default_rng(3).normal(0, 9, SETTINGS)).round(-1)  # many are level
    found, held = judge(settings(label_f1=score), "label_f1"), np.arange(SETTINGS)
    draws = np.random.default_rng(0).integers(0, SETTINGS, (choosers.DRAWS, SETTINGS))
    for of, interval in (
        (spearmanr, (found.low, found.high)),
        (kendalltau, (found.kendall_low, found.kendall_high)),
    ):
        expected = np.percentile([of(held[i], score[i]).statistic for i in draws], [2.5, 97.5])
        assert interval == pytest.approx(tuple(expected))


def test_a_score_that_is_lowered_counts_turned_round() -> None:
    assert judge(settings(entropy=-np.arange(SETTINGS)), "entropy").spearman == pytest.approx(1)


@pytest.mark.parametrize("score", [[4, 1, 3, 0, 2, 9, 7, 8, 6, 5], [1, 1, 0, 2, 2, 2, 0, 1, 0, 3], [0] * 10])
def test_what_a_score_chooses_is_the_mean_over_every_draw_and_of_equals_any(score: list[int]) -> None:
    judged = np.random.default_rng(0).normal(50, 9, 10)
    drawn = [np.array(draw) for draw in itertools.combinations(range(10), 5)]
    best = [judged[draw][np.array(score)[draw] == np.array(score)[draw].max()].mean() for draw in drawn]
    assert of_chosen(np.array(score), judged) == pytest.approx(np.mean(best))


def test_a_score_turned_upside_down_always_chooses_the_worst() -> None:
    worst, held = judge(settings(label_f1=-np.arange(SETTINGS)), "label_f1"), np.arange(SETTINGS)
    assert worst.spearman == pytest.approx(-1)
    assert worst.regret == pytest.approx(of_chosen(held, held) - of_chosen(-held, held)) == worst.behind


def test_a_level_score_chooses_at_random() -> None:
    held = np.arange(SETTINGS)
    with pytest.warns(Warning, match="constant"):
        level = judge(settings(label_f1=np.ones(SETTINGS)), "label_f1")
    assert np.isnan(level.spearman) and np.isnan(level.low)
    assert level.regret == pytest.approx(of_chosen(held, held) - held.mean())


def counts(noise: float) -> Images:
    """Twenty photographs of one class, in which setting i is right on a share that rises with i, with noise."""
    rng = np.random.default_rng(0)
    runs = {}
    for i in range(SETTINGS):
        share = np.clip(0.3 + i / SETTINGS / 3 + rng.normal(0, noise, 20), 0, 1)
        right = np.round(1000 * share).astype(np.int64)
        truth = np.full(20, 1000)
        runs[f"r{i}"] = np.stack([right, truth, right], 1)[..., None]
    return Images(runs)


def test_more_masks_choose_better_and_a_score_is_worth_what_chooses_as_well() -> None:
    regrets = by_masks(settings(), counts(0.3))
    held = np.arange(SETTINGS)
    assert regrets[0] == pytest.approx(of_chosen(held, held) - held.mean())
    assert regrets[0] > regrets[2] > regrets[10] and list(regrets) == [0, 1, 2, 3, 5, 7, 10]  # ten in the first half
    assert by_masks(settings(), counts(0.0))[1] == 0


def test_a_photograph_without_a_mask_is_none_of_those_whose_masks_choose() -> None:
    masked = counts(0.3)
    among = {run: np.insert(of_run, [2, 2, 6, 6, 12, 12], 0, axis=0) for run, of_run in masked.counts.items()}
    assert by_masks(settings(), Images(among)) == by_masks(settings(), masked)


@pytest.mark.parametrize(
    ("regret", "expected"), [(7.0, "less than none"), (5.0, "0"), (1.5, "2"), (1.0, "10 or more"), (0.0, "10 or more")]
)
def test_worth_in_masks(regret: float, expected: str) -> None:
    assert worth(regret, {0: 5.0, 2: 2.0, 10: 1.0}) == expected


def test_the_table_has_the_best_chooser_first_and_says_what_masks_are_worth() -> None:
    rows = settings(label_rule=np.arange(SETTINGS) ** 2, label_f1=-np.arange(SETTINGS))
    heading, table, note = choosers_table(choosers.choosers(rows, counts(0.3)))
    lines = [line for line in table.splitlines() if "`" in line][1:]
    assert heading.endswith("over 30 settings of one seed")
    assert [line.split("|")[1].strip() for line in lines][-1] == "`label_f1`" and "less than none" in lines[-1]
    assert "Regret by masks: 0: " in note
    assert choosers.choosers(rows[:9], counts(0.3)) is choosers.choosers(rows, Images()) is None
    assert choosers_table(None) == []


def test_a_lucky_number_of_masks_behind_worse_ones_makes_no_score_worth_more() -> None:
    assert worth(0.6, {0: 5.0, 20: 0.5, 28: 0.7, 40: 0.4}) == "0"
    assert worth(0.5, {0: 5.0, 20: 0.5, 28: 0.7, 40: 0.4}) == "28"


def test_the_figure_has_a_bar_for_every_score_and_is_drawn_once(tmp_path: Path) -> None:
    rows = settings(label_rule=np.arange(SETTINGS) ** 2, label_f1=-np.arange(SETTINGS))
    found = choosers.choosers(rows, counts(0.3))
    assert found and list(found.scores) == ["tune_miou", "label_rule", "label_f1"]
    png = regret_bars({name: j.regret for name, j in found.scores.items()}, found.masks, tmp_path / "x.choosers")
    assert png.stat().st_size > 5000 and (tmp_path / "x.choosers.pdf").is_file()
