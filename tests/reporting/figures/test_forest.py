"""The picture of all claims: signs beside colours, a tick for the paper, a panel a unit."""

import math
from pathlib import Path

from apc.reporting.figures.forest import POINTS, SECONDS, Line, Told, forest

NAN = math.nan


def test_each_verdict_has_its_sign_in_the_picture_and_times_a_panel_of_their_own(tmp_path: Path) -> None:
    lines = [
        Line("a beats b", 1.8, POINTS, {"pocket": Told(6.0, 2.0, 10.0, "reproduced", False)}),
        Line("c beats d", 0.5, POINTS, {"pocket": Told(-4.0, -6.0, -2.0, "contradicted", False)}),
        Line("e beats f", None, POINTS, {"cats": Told(0.1, NAN, NAN, "undecided", True)}),
        Line("g saves time", None, SECONDS, {"pocket": Told(300.0, 200.0, 400.0, "reproduced", False)}),
    ]
    png = forest(lines, ["pocket", "cats"], tmp_path / "claims")
    assert png == tmp_path / "claims.png" and png.is_file() and (tmp_path / "claims.pdf").is_file()
    drawn = (tmp_path / "claims.svg").read_text()
    assert [drawn.count(f">{sign}<") for sign in ("✓", "✗", "?≪", "–")] == [2, 1, 1, 4]
    assert f"difference in {POINTS}<" in drawn and f"{SECONDS} (the paper prints hours)<" in drawn
    assert drawn.count("#0072b2") > 2 and drawn.count("#d55e00") > 2


def test_without_a_measured_claim_nothing_is_drawn(tmp_path: Path) -> None:
    assert forest([], ["pocket"], tmp_path / "claims") is None and not list(tmp_path.iterdir())
