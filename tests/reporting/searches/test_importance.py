"""Which knob decides a search, and a best value at an end of its space."""

import math
from dataclasses import replace
from typing import Any

import pytest

from apc.reporting.searches import importance, pareto
from apc.reporting.searches.trials import Trial

SPACE = {"lambda1": [0.001, 1.0, True], "theta": [0.5, 0.98, False], "lambda2": [0.0, 0.1, False]}


def trial(number: int, score: float, **values: Any) -> Trial:
    return Trial(number, f"trial {number}", values, score, 10, 0.01, "complete", math.nan, {"space": SPACE})


def test_both_measures_find_the_knob_that_decides() -> None:
    found = [trial(i, 10.0 * (i % 4) + 0.1 * (i * 7 % 12), k=i % 4, theta=float(i * 5 % 11)) for i in range(24)]
    measures = importance.importances(found)
    assert measures[0].knob == "k" and measures[0].ped_anova > 0.8
    assert measures[0].of_ranks > 0.8 > 0.2 > measures[1].of_ranks and measures[0].trials == 24
    assert importance.importances(found[:9]) == []


def test_ranks_shared_evenly_between_the_values_of_a_knob_say_nothing() -> None:
    done = [trial(i, float(i), k=i % 2) for i in range(12)]
    assert importance.of_ranks(done, "k") == 0.0
    halves = [trial(i, float(i), k=int(i >= 2)) for i in range(4)]  # ranks 0 1 | 2 3: between 4, within 1, whole 5
    assert importance.of_ranks(halves, "k") == pytest.approx((4 - 1 * 1 / 2) / 5)


def test_equal_scores_share_a_place_whatever_their_order() -> None:
    done = [trial(i, 50.0, k=int(i >= 6)) for i in range(12)]
    assert importance.of_ranks(done, "k") == 0.0
    tied = [trial(i, [1.0, 2.0, 2.0, 3.0][i], k=int(i >= 2)) for i in range(4)]  # 1 2.5 | 2.5 4: 2.25, 2.25, 4.5
    assert importance.of_ranks(tied, "k") == importance.of_ranks(tied[::-1], "k") == pytest.approx(1.125 / 4.5)


def test_a_best_value_at_an_end_of_its_space_is_told_and_one_inside_is_not() -> None:
    def told(**values: float) -> str:
        worse = [{name: value * (1 - 0.1 * i) + 0.001 * i for name, value in values.items()} for i in (1, 2)]
        others = [trial(i, float(i), **worse[i - 1]) for i in (1, 2)]
        return " ".join(importance.at_an_end([*others, trial(9, 9.0, **values)]))

    assert "lambda1 = 1 lies at the high end of its space, 0.001 to 1" in told(lambda1=1.0)
    assert "theta = 0.98 lies at the high end" in told(theta=0.98) and told(theta=0.9) == ""
    assert "nothing lies below 0" in told(lambda2=0.0)


def test_the_ends_are_those_that_the_rows_are_stamped_with_and_of_older_rows_the_values_tried() -> None:
    tried = [trial(i, float(i), k=2 * i) for i in (1, 2, 3, 6)]  # the best has k = 12
    stamped = [replace(t, search={"space": {"k": [2, 36, True]}}) for t in tried]
    assert importance.at_an_end(stamped) == []
    said, older = importance.at_an_end([replace(t, search={}) for t in tried])
    assert said == (
        "These rows do not record the ranges of their space, only what was tried: k 2 to 12. The space of today may be "
        "another."
    )
    assert older.startswith("**The best k = 12 lies at the high end of what was tried, 2 to 12:**")
    stamps: tuple[dict[str, Any], ...] = ({"space": {"k": [2, 36, True]}}, {"space": {}}, {})
    sentences = [pareto.sentences([replace(tried[0], search={"sampler": "tpe"} | stamp)]) for stamp in stamps]
    assert sentences == [
        ["Searched with sampler tpe; in the ranges k 2 to 36 (log)."],
        ["Searched with sampler tpe."],
        ["Searched with sampler tpe."],
    ]


def test_few_trials_of_a_knob_are_no_warning_on_a_terminal(recwarn: pytest.WarningsRecorder) -> None:
    best = trial(13, 50.0, k=1)  # a setting that has no epsilon
    found = [*(trial(i, float(i), k=i % 4, epsilon=0.5 + 0.03 * i) for i in range(13)), best]
    assert {measure.knob for measure in importance.importances(found)} == {"k", "epsilon"}
    assert not recwarn.list
