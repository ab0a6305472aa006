"""Cells of a table: mean, spread, difference and what is pending."""

from apc.reporting.tables import PENDING, difference, mean_std
from apc.reporting.verdicts.intervals import summary


def test_a_cell_shows_mean_spread_and_a_smaller_n_and_never_a_blank() -> None:
    assert mean_std(summary([40.0, 42.0])) == "41.0 ± 1.4"
    assert mean_std(summary([40.0])) == "40.0" and mean_std(summary([])) == PENDING
    assert mean_std(summary([40.0, 42.0]), expected=3) == "41.0 ± 1.4 (n=2)"
    assert difference(summary([-1.0, -2.0, -3.0])) == "−2.0 [−4.5, +0.5]"
