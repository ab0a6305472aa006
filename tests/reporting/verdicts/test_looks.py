"""Looking after every seed: false verdicts stay at 5 % however long somebody looks."""

import numpy as np
import pytest
from report_rows import a_row, page
from scipy.special import stdtr

from apc.reporting.groups import separate
from apc.reporting.verdicts.intervals import t_quantile
from apc.reporting.verdicts.looks import ERROR, FIRST_LOOK, level_of

pytestmark = pytest.mark.usefixtures("sketched")


def smallest_errors(most: int, series: int = 20_000) -> np.ndarray:
    """The smallest two-sided error of all looks at normal differences of equal rows: (series,)."""
    x, n = np.random.default_rng(0).standard_normal((series, most)), np.arange(FIRST_LOOK, most + 1)
    mean = x.cumsum(1)[:, FIRST_LOOK - 1 :] / n
    var = ((x * x).cumsum(1)[:, FIRST_LOOK - 1 :] / n - mean**2) * n / (n - 1)
    smallest: np.ndarray = (2 * stdtr(n - 1, -np.abs(mean) / np.sqrt(var / n))).min(1)
    return smallest


@pytest.mark.parametrize(("most", "carelessly"), [(10, 0.167), (50, 0.307)])
def test_at_most_five_percent_of_equal_rows_get_a_verdict_though_every_seed_is_looked_at(
    most: int, carelessly: float
) -> None:
    errors = smallest_errors(most)
    assert np.mean(errors < 0.05) == pytest.approx(carelessly, abs=0.01)
    assert 0.04 < np.mean(errors < 1 - level_of(most)) < 0.05 + 2 * (0.05 * 0.95 / len(errors)) ** 0.5


def test_the_level_is_that_of_the_next_larger_number_in_the_table_and_falls_with_no_look() -> None:
    assert level_of(0) == 0.95 and level_of(10) == 1 - 0.0119
    assert level_of(11) == level_of(12) == 1 - 0.0104
    assert list(ERROR.values()) == sorted(ERROR.values(), reverse=True) and ERROR[FIRST_LOOK] == 0.05


def test_rows_whose_seeds_were_added_by_verdict_are_judged_by_wider_intervals_and_the_page_says_so(tmp_path) -> None:  # type: ignore[no-untyped-def]
    rows = [
        a_row(label, seed, base + wobble, pooling=label)
        for label, base in (("max", 30.0), ("adaptive_k", 31.0))
        for seed, wobble in enumerate((0.0, 0.5, -0.3))
    ]
    for i, row in enumerate(rows):
        row.metrics["miou"] += 0.2 * (i == 4)  # differences 1.0, 1.2, 1.0
    fixed = page(tmp_path / "fixed", "table7_pooling", rows)
    for row in rows:
        row.stamp = row.stamp | {"decide": 10}
    (group,) = separate(rows, ("pooling",))
    assert (group.looks, group.level, group.fewest("miou", group.labels)) == (10, 1 - 0.0119, 3)
    looked = page(tmp_path / "looked", "table7_pooling", rows)
    half = 0.2 / 3  # of the differences' standard error, 0.1155 / √3
    assert t_quantile(2) * half == pytest.approx(0.287, abs=1e-3) and t_quantile(2, 0.9881) * half > 0.6
    assert "+1.1 [+0.8, +1.4]" in fixed and "+1.1 [+0.5, +1.7]" in looked and "+1.1 [+0.8, +1.4]" not in looked
    assert "Seeds were added by verdict (`--decide 10`). So each interval over seeds is one of 98.8 %" in looked
    assert "--seeds 3 --decide 10" in looked and "--decide" not in fixed.replace("--decide N", "")
    rows[0].stamp = row.stamp | {"decide": "all"}
    assert separate(rows, ("pooling",))[0].looks == 10  # a stamp that nothing of ours wrote is none
