"""How large a difference is, beside the printed one and beside nothing."""

import math
from typing import Any

import pytest

from apc.reporting.verdicts.intervals import Paired, paired
from apc.reporting.verdicts.sizes import Size, sentence, short, size


def differences(*values: float) -> Paired:
    return paired(dict(enumerate(values)), dict.fromkeys(range(9), 0.0))


AROUND_4 = differences(3.5, 4.5, 4.0)
"""4 ± 1.24: t(0.975; 2) = 4.303 times 0.5 / √3."""
NOTHING = differences(0.1, -0.1, 0.05, -0.02)


@pytest.mark.parametrize(
    ("found", "printed", "word", "refuted"),
    [
        (AROUND_4, 5.0, "at least half of it", False),  # from 0.55 times on
        (AROUND_4, 6.0, "open", False),  # 0.46 to 0.87
        (AROUND_4, 12.0, "smaller", True),  # to 0.44: reproduced in direction, refuted in size
        (differences(-3.5, -4.5, -4.0), 5.0, "other sign", True),
        (NOTHING, 3.0, "no difference", True),
        (NOTHING, 0.1, "no difference", False),  # printed as nothing as well
        (NOTHING, None, "no difference", False),
        (AROUND_4, None, "open", False),
        (differences(1.0, 2.0, -1.0), 3.0, "open", False),
        (differences(4.0), 5.0, "", False),  # one seed
        (differences(4.0, 4.0), 5.0, "", False),  # no spread
    ],
)
def test_the_interval_of_the_ratio_decides_the_word(found: Paired, printed: Any, word: str, refuted: bool) -> None:
    said = size(found, printed, "miou")
    assert (said.word, said.refuted) == (word, refuted)


def test_a_difference_is_told_as_a_share_of_the_printed_one() -> None:
    half = 4.302652729911275 * 0.5 / math.sqrt(3)
    said = size(AROUND_4, 5.0, "miou")
    assert said[1:] == pytest.approx((0.8, (4 - half) / 5, (4 + half) / 5))
    assert (
        sentence(said) == "0.80 [0.55, 1.05] of the printed: at least half of it" and short(said) == "0.8 × the paper's"
    )
    assert sentence(size(NOTHING, None, "miou")) == "no difference beyond ±0.5 points"
    assert sentence(size(AROUND_4, None, "miou")) == sentence(Size()) == short(Size()) == ""


def test_seconds_are_not_held_against_hours_and_hundredths_have_no_bound_of_points() -> None:
    assert size(AROUND_4, 5.0, "train_seconds") == Size()
    assert size(NOTHING, None, "inter_cosine").word == "open"


def test_no_size_is_judged_below_the_first_look_where_seeds_are_added_by_verdict() -> None:
    two = differences(10.0, 10.01)
    assert size(two, 10.0, "miou").word == "at least half of it"
    assert size(two, 10.0, "miou", fewest=3) == Size()


def test_a_wider_level_asks_more_of_evenness() -> None:
    some = differences(0.35, -0.35, 0.3, -0.3, 0.1)
    assert size(some, None, "miou").word == "no difference"
    assert size(some, None, "miou", level=0.99).word == "open"
