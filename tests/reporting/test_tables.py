"""Cells of a table: mean, spread, difference and what is pending."""

from pandas import DataFrame

from apc.reporting.tables import PENDING, difference, latex, markdown, mean_std
from apc.reporting.verdicts.intervals import summary


def test_a_cell_shows_mean_spread_and_a_smaller_n_and_never_a_blank() -> None:
    assert mean_std(summary([40.0, 42.0])) == "41.0 ± 1.4"
    assert mean_std(summary([40.0])) == "40.0" and mean_std(summary([])) == PENDING
    assert mean_std(summary([40.0, 42.0]), expected=3) == "41.0 ± 1.4 (n=2)"
    assert difference(summary([-1.0, -2.0, -3.0])) == "−2.0 [−4.5, +0.5]"


def test_a_caption_in_latex_keeps_braces_that_balance_and_shows_others() -> None:
    frame = DataFrame({"row": ["a_b"], "miou": ["41.2 ± 2.0"]})
    for caption, written in (
        ('50 % of {"train": 9}', r'\caption{50 \% of {"train": 9}}'),
        ("}{", r"\caption{\}\{}"),
        ("a}", r"\caption{a\}}"),
        (r"\input{x}", r"\caption{\textbackslash{}input{x}}"),
    ):
        assert written in latex(frame, caption, "x").splitlines()


def test_cells_and_heads_are_escaped_unless_their_column_is_markdown_already() -> None:
    frame = DataFrame({"<b>": ["*a* | b"], "`miou`": ["**41.2** | `x`"]})
    assert markdown(frame, left=True, marked_up=["`miou`"]).splitlines() == [
        r"| &lt;b>     | `miou`          |",
        r"|:-----------|:----------------|",
        r"| \*a\* \| b | **41.2** \| `x` |",
    ]
