"""Figures 6 and 7 on the page: drawn, not drawn, damaged."""

import json
from pathlib import Path
from typing import Any

from apc.reporting.names import file_name
from apc.reporting.page import build

TOLD: dict[str, Any] = {
    "runs": {"max pooling": "0a", "APC": "0b"},
    "seed": 0,
    "rule": "the first of each class",
    "command": "python x.py",
    "images": {"cat": "007.jpg"},
    "shown": "Masks of the decoder.",
    "stamp": {"commit": "c0ffee", "dirty": False, "machine": "box"},
}


def left(reports: Path, name: str, dataset: str, told: str = json.dumps(TOLD), drawn: bool = True) -> None:
    """The files that a script leaves behind."""
    path = reports / "results" / name / f"{dataset}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(told)
    if drawn:
        figure = reports / "figures" / f"{file_name(name, dataset)}.png"
        figure.parent.mkdir(parents=True, exist_ok=True)
        figure.write_bytes(b"\x89PNG")


def test_a_drawn_picture_stands_on_the_page_and_one_not_drawn_names_its_command(tmp_path: Path) -> None:
    left(tmp_path, "figure7_qualitative", "my cats")
    text = build(tmp_path).read_text()
    masks = text.split("## Figure 7: ")[1]
    assert "Figure 6: " not in text.split("## Not run yet")[0]
    assert "- Figure 6 on pocket: `python experiments/figure6_heatmaps.py`\n" in masks
    assert "Figure 7 on folder" not in masks  # there are photographs
    assert "![figure7_qualitative on my cats](figures/figure7_qualitative.my-cats-b50c59.png)" in masks
    for word in ("max pooling `0a`", "007.jpg (cat)", "commit c0ffee, on box", "python x.py", "Masks of the decoder."):
        assert word in masks
    assert "data:image/png;base64," in (tmp_path / "ablation.html").read_text()
    assert "No script of this name lies below experiments/" not in text


def test_a_damaged_picture_costs_itself_and_a_lost_file_is_named(tmp_path: Path) -> None:
    left(tmp_path, "figure6_heatmaps", "pocket", "{half")
    left(tmp_path, "figure7_qualitative", "pocket", drawn=False)
    text = build(tmp_path).read_text()
    assert "**Damaged:** `pocket.json` of figure6_heatmaps is left out" in text
    assert "> **Not on pocket:** `figure7_qualitative.pocket.png` is gone. Drawn by `python x.py`\n" in text


def test_photographs_that_are_not_ours_to_ship_cost_the_shipped_page_one_line(tmp_path: Path) -> None:
    reports = tmp_path / "reference"
    left(reports, "figure7_qualitative", "my cats", drawn=False)
    told = build(reports).read_text().split("## Figure 7: ")[1].split("\n## ")[0]
    lost = "> **Not on my cats:** photographs are not ours to ship. Drawn by `python x.py`"
    assert told.strip().split("\n\n")[2:] == [lost]
