"""Run-length codes read back by the tools' own rules, and by hand."""

import numpy as np
import pytest
from annotations_read import cvat_pixels, label_studio_pixels

from apc.prediction.run_lengths import cvat, label_studio

REGION = np.array([[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 0, 0]], bool)


def test_cvats_code_is_of_the_box_row_by_row_and_begins_outside() -> None:
    assert cvat(REGION) == ("0, 3, 1", (1, 1, 2, 2))
    assert cvat(REGION[::-1]) == ("0, 1, 1, 2", (1, 0, 2, 2))
    assert cvat(np.array([[0, 1], [1, 0]], bool)) == ("1, 2, 1", (0, 0, 2, 2))


def test_label_studios_code_is_rle_pack_of_four_equal_channels() -> None:
    code = label_studio(np.array([[True, False]]))
    bits = "".join(f"{byte:08b}" for byte in code)
    header = f"{8:032b}" + f"{7:05b}" + "".join(f"{length - 1:04b}" for length in (3, 4, 8, 16))
    # a run of four values 255, then one of four values 0: a set bit, the kind of length, the length less one, the value
    assert bits.startswith(header + "1" + "00" + "011" + "11111111" + "1" + "00" + "011" + "00000000")
    assert len(bits) - len(header) - 28 < 8 and set(bits[len(header) + 28 :]) <= {"0"}


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (7, 5), (40, 30), (200, 300)])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.98, 1.0])
def test_a_region_comes_back_pixel_for_pixel(shape: tuple[int, int], share: float) -> None:
    region = np.random.default_rng(0).random(shape) < share
    assert (label_studio_pixels(label_studio(region), shape) == region).all()
    if region.any():
        code, (left, top, width, height) = cvat(region)
        assert (cvat_pixels(code, left, top, width, height, shape) == region).all()
        assert region[top, left : left + width].any() and region[top : top + height, left].any()
