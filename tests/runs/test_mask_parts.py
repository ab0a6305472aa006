"""Masks that a run has made so far: read back where they are whole and of the same model, else made again."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from apc.runs.mask_parts import MaskParts, Part, under_way

MASKS = np.arange(3 * 16, dtype=np.uint8).reshape(3, 4, 4)


def test_parts_are_read_back_and_counted(tmp_path: Path) -> None:
    kept = MaskParts(tmp_path, 5, 4, "abc")
    assert under_way(tmp_path / "none") == under_way(tmp_path) == ""
    kept.save(range(3), Part(MASKS, 1.5))
    found = kept.load(range(3))
    assert found and found.cpu_seconds == 1.5 and np.array_equal(found.masks, MASKS)
    assert under_way(tmp_path) == "3 of 5"
    kept.save(range(3, 5), Part(MASKS[:2], 1.0))
    assert under_way(tmp_path) == ""


def test_what_is_of_another_model_size_or_damaged_is_not_there(tmp_path: Path) -> None:
    kept = MaskParts(tmp_path, 5, 4, "abc")
    assert kept.load(range(3)) is None
    kept.save(range(3), Part(MASKS, 1.0))
    assert replace(kept, made_by="abd").load(range(3)) is None
    assert replace(kept, side=8).load(range(3)) is None
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    for spoilt in (b"", b"garbage", whole[: len(whole) // 2], whole.replace(b"masks.npy", b"nasks.npy")):
        file.write_bytes(spoilt)
        assert kept.load(range(3)) is None
