"""COCO's outlines: every form that tools write, and what would crash pycocotools or never return."""

import math
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as codes

from apc.data.coco_outlines import BadOutline, Object, paint

SQUARE = [2, 3, 8, 3, 8, 9, 2, 9]
PAIRS = [[2, 3], [8, 3], [8, 9], [2, 9]]


def shown(outline: Any, height: int = 12, width: int = 10) -> np.ndarray:
    """The pixels of an outline."""
    return paint([Object(1, False, outline)], height, width) == 1


@pytest.mark.parametrize("outline", [[SQUARE], SQUARE, [PAIRS], PAIRS, [[float(x) for x in SQUARE], []]])
def test_numbers_and_pairs_of_them_alone_or_in_a_list_are_one_polygon(outline: Any) -> None:
    expected = np.zeros((12, 10), bool)
    expected[3:9, 2:8] = True
    assert (shown(outline) == expected).all()


def test_two_polygons_of_pairs_are_one_thing() -> None:
    other = [[0, 0], [2, 0], [2, 2], [0, 2]]
    assert shown([PAIRS, other]).sum() == 36 + 4


@pytest.mark.parametrize("outline", [[], None, {}, [[]], [[1, 1, 5, 5]], [[1, 1]], {"size": [12, 10], "counts": []}])
def test_what_outlines_nothing_covers_nothing(outline: Any) -> None:
    assert not shown(outline).any()


def test_run_length_codes_are_decoded_as_pycocotools_does() -> None:
    rng = np.random.default_rng(0)
    for height, width, share in ((12, 10, 0.5), (70, 90, 0.1), (1, 1, 1.0), (40, 3, 0.9), (300, 200, 0.001)):
        mask = np.asfortranarray(rng.random((height, width)) < share)
        code = codes.encode(mask.astype(np.uint8, order="F"))
        packed = {"size": [float(height), width], "counts": code["counts"].decode()}
        assert (shown(packed, height, width) == mask).all()
        flat = np.concatenate([[0], mask.ravel(order="F").astype(int), [-1]])
        runs = np.diff(np.flatnonzero(np.concatenate([[True], flat[1:] != flat[:-1]])))
        runs[0] -= 1
        assert (shown({"size": [height, width], "counts": [float(n) for n in runs]}, height, width) == mask).all()


BAD = {
    "not a number": ([[10, 10, math.nan, 10, 30, 30]], "has the coordinate nan in an image of 10x12"),
    "infinity": ([[10, 10, 3, -math.inf, 30, 30]], "has the coordinate -inf"),
    "a coordinate beyond reason": ([[1, 1, 1e9, 1, 3, 3]], "has the coordinate 1e+09"),
    "a number of 400 digits": ([[1, 1, 10**400, 1, 3, 3]], "has the coordinate a number beyond all"),
    "a pair that is not finite": ([[[1, 1], [2, math.nan], [3, 3]]], "has the coordinate nan"),
    "texts": ([["a"] * 6], "has 'a' where a coordinate should be"),
    "points by name": ([{"x": 1, "y": 2}], "a polygon of it is a dict"),
    "an odd number": ([[1, 1, 5, 5, 9, 1, 3]], "has 7 numbers; coordinates come in pairs"),
    "a text": ("M 1 1 L 5 5", "it is a str, neither polygons nor a run-length code"),
    "a code without counts": ({"size": [12, 10]}, "has no counts"),
    "a code of another image": ({"size": [5, 5], "counts": [0, 25]}, "it is of an image of 5x5, not of 10x12"),
    "a code without a size": ({"counts": [0, 120]}, "it is of an image of None"),
    "too many runs": ({"size": [12, 10], "counts": [0, 10**9]}, "covers 1000000000 pixels, and the image has 120"),
    "too few runs": ({"size": [12, 10], "counts": [0, 7]}, "covers 7 pixels, and the image has 120"),
    "a negative run": ({"size": [12, 10], "counts": [130, -10]}, "has a run of -10 pixels"),
    "a run that is none": ({"size": [12, 10], "counts": [0, math.nan]}, "has nan where a whole number should be"),
    "letters of no code": ({"size": [12, 10], "counts": "é!"}, "has letters that are none of such a code"),
    "a code that is cut": ({"size": [12, 10], "counts": "P"}, "is cut"),
    "a code without an end": ({"size": [12, 10], "counts": "o" * 99}, "has a run without an end"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_read_is_refused_with_which_and_why(name: str) -> None:
    outline, why = BAD[name]
    with pytest.raises(BadOutline) as told:
        paint([Object(1, False, [SQUARE]), Object(2, False, outline)], 12, 10)
    assert told.value.which == 1 and why in str(told.value)
