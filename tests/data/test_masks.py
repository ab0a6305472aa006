"""Masks as files: the palette of VOC."""

from apc.data.masks import palette


def test_the_palette_is_that_of_voc() -> None:
    known = {0: (0, 0, 0), 1: (128, 0, 0), 8: (64, 0, 0), 15: (192, 128, 128), 20: (0, 64, 128), 255: (224, 224, 192)}
    assert {n: tuple(palette()[n].tolist()) for n in known} == known
