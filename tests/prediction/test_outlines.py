"""Polygons: by hand for small regions, and filled again for any."""

import numpy as np
import pytest
from annotations_read import inside
from scipy import ndimage

from apc.prediction.outlines import polygons


def test_a_rectangle_has_four_corners_on_its_pixels_edges() -> None:
    region = np.zeros((5, 7), bool)
    region[1:4, 2:6] = True
    (outline,) = polygons(region)
    assert {tuple(point) for point in outline.tolist()} == {(2, 1), (6, 1), (6, 4), (2, 4)} and len(outline) == 4


def test_a_pixel_is_a_square_and_pixels_that_touch_at_a_corner_are_two() -> None:
    outlines = polygons(np.eye(2, dtype=bool))
    assert [sorted(map(tuple, outline.tolist())) for outline in outlines] == [
        [(0, 0), (0, 1), (1, 0), (1, 1)],
        [(1, 1), (1, 2), (2, 1), (2, 2)],
    ]


def test_a_hole_is_joined_to_the_outline_and_stays_a_hole() -> None:
    region = np.ones((9, 9), bool)
    region[2:5, 3:6] = False
    region[6:8, 6:8] = False
    (outline,) = polygons(region)
    assert (inside(outline, region.shape) == region).all() and len(outline) == 4 + 2 * (4 + 2)


def test_nothing_has_no_outline() -> None:
    assert polygons(np.zeros((3, 4), bool)) == []


@pytest.mark.parametrize("seed", range(6))
def test_filled_again_a_region_is_the_same_but_for_pixels_at_its_border(seed: int) -> None:
    rng = np.random.default_rng(seed)
    region = ndimage.gaussian_filter(rng.random((50, 70)), [0.5, 1, 2][seed % 3]) > 0.5
    filled = np.zeros_like(region)
    outlines = polygons(region)
    for outline in outlines:
        filled |= inside(outline, region.shape)
    near = np.ones((3, 3), bool)
    assert not (filled & ~ndimage.binary_dilation(region, near)).any()
    assert not (ndimage.binary_erosion(region, near, border_value=1) & ~filled).any()
    assert (filled != region).mean() < 0.01
    assert all(len(outline) >= 3 for outline in outlines)
    assert np.concatenate(outlines).min() >= 0 and (np.concatenate(outlines).max(0) <= (70, 50)).all()
