"""Overlays, heat maps and contact sheets."""

from pathlib import Path

import numpy as np
import pytest
import torch
from predictions import CLASSES, picture, predict, summary
from refusal import refused

from apc.prediction import pictures


def test_many_photographs_fill_several_pages(model: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for i in range(19):
        picture(8, 9, i).save(tmp_path / "in" / f"{i:02}.png")
    assert predict(model, tmp_path / "out", tmp_path / "in", "--only", "contact_sheet") == 0
    assert sorted(p.name for p in (tmp_path / "out").glob("*.png")) == ["contact_sheet_1.png", "contact_sheet_2.png"]


def test_a_heat_map_is_yellow_where_the_class_is_and_dark_where_it_is_not() -> None:
    heat = torch.zeros(3, 16, 16)
    heat[1, :, :8] = 1
    drawn = np.asarray(pictures.heat_maps(np.full((160, 160, 3), 128, np.uint8), heat, [1], CLASSES)).astype(int)
    panel = drawn[8 + 24 : 8 + 24 + 400, 8 + 400 + 8 : 8 + 400 + 8 + 400]
    left, right = panel[200, 60], panel[200, 340]
    assert left[0] > left[2] + 80 and left[1] > left[2] + 80  # yellow
    assert right[2] > right[1] + 40 and right.sum() < left.sum() - 200  # dark violet


def test_an_overlay_shows_colours_borders_and_a_legend() -> None:
    photo, labels = np.full((480, 640, 3), 100, np.uint8), np.zeros((480, 640), np.uint8)
    labels[100:300, 100:400] = 1
    shown = np.asarray(pictures.overlay(photo, labels, CLASSES)).astype(int)
    assert shown.shape[0] > 480 and shown.shape[1] == 640
    assert shown[120, 120].tolist() == [114, 50, 50] and shown[400, 500].tolist() == [100, 100, 100]
    assert (shown[100, 110:390] == 255).all()  # its border
    assert (shown[480:] == [128, 0, 0]).all(-1).sum() > 50  # its colour in the legend


def test_names_of_several_lines_are_drawn_in_one(model: Path, tmp_path: Path) -> None:
    photo, labels, heat = np.full((90, 90, 3), 100, np.uint8), np.ones((90, 90), np.uint8), torch.zeros(2, 16, 16)
    broken, whole = ["background", "re\n\x1b[31md"], ["background", "re [31md"]
    drawn = [
        (
            pictures.overlay(photo, labels, names).tobytes(),
            pictures.heat_maps(photo, heat, [1], names).tobytes(),
            pictures.sheet_cell(photo, labels, names, name).tobytes(),
        )
        for names, name in ((broken, "a\r\nb\u202e.png"), (whole, "a b.png"))
    ]
    assert drawn[0] == drawn[1]
    (tmp_path / "in").mkdir()
    picture(20, 30).save(tmp_path / "in" / "a\nb\x1b[2J.png")
    assert predict(model, tmp_path / "out", tmp_path / "in") == 0
    assert (tmp_path / "out" / "masks" / "a\nb\x1b[2J.png").is_file() and len(summary(tmp_path / "out")) == 1
    assert predict(model, tmp_path / "out", tmp_path / "in") == 0
    assert (tmp_path / "out" / "contact_sheet.png").is_file()


def test_a_photograph_of_several_lines_is_named_in_one(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a\nb\x1b[2J.png").write_text("no image")
    refused(["predict", str(model), str(tmp_path), "--out", str(tmp_path / "out")], capsys, "a b[2J.png")


def test_pixels_that_hands_have_marked_as_ignored_count_for_no_class() -> None:
    labels = np.array([[0, 1, 255, 255]], np.uint8)
    assert pictures.percent(labels, 3).tolist() == [25, 25, 0]
    assert pictures.sheet_cell(np.zeros((1, 4, 3), np.uint8), labels, CLASSES, "a.png").size == (506, 232)
