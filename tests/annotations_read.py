"""What labelling tools make of the files that are written for them, by their documented rules."""

import itertools
import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
from pycocotools.coco import COCO

Found = dict[str, np.ndarray]
"""Mask (H,W) uint8 of class numbers by the photograph's name."""


def label_studio_pixels(code: list[int], shape: tuple[int, int]) -> np.ndarray:
    """rle-pack as thi.ng documents it: the last of four channels, above 0."""
    bits, at = "".join(f"{byte:08b}" for byte in code), 0

    def read(count: int) -> int:
        nonlocal at
        at += count
        return int(bits[at - count : at], 2)

    values = np.zeros(read(32), np.uint8)
    word = read(5) + 1
    lengths = [read(4) + 1 for _ in range(4)]
    start = 0
    while start < len(values):
        is_run = read(1)
        stop = start + 1 + read(lengths[read(2)])
        if is_run:
            values[start:stop] = read(word)
        else:
            values[start:stop] = [read(word) for _ in range(start, stop)]
        start = stop
    assert len(bits) - at < 8
    channels = values.reshape(*shape, 4)
    assert (channels == channels[..., :1]).all()
    return channels[..., 3] > 0


def cvat_pixels(code: str, left: int, top: int, width: int, height: int, shape: tuple[int, int]) -> np.ndarray:
    """Lengths of runs outside and inside by turns, of a box of the photograph, row by row."""
    counts = [int(count) for count in code.split(",")]
    turns = itertools.cycle([False, True])
    box = np.concatenate([np.full(n, turn) for n, turn in zip(counts, turns, strict=False)])
    pixels = np.zeros(shape, bool)
    pixels[top : top + height, left : left + width] = box.reshape(height, width)
    return pixels


def inside(polygon: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The pixels whose centres are inside a polygon (n,2) by the even-odd rule."""
    y, x = (np.indices(shape) + 0.5).reshape(2, -1)
    crossed = np.zeros(len(x), bool)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, 0), strict=True):
        if y0 != y1:
            crossed ^= ((y0 > y) != (y1 > y)) & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    return crossed.reshape(shape)


def read_coco(path: Path) -> Found:
    coco = COCO(path)
    found = {}
    for number, image in coco.imgs.items():
        mask = np.zeros((image["height"], image["width"]), np.uint8)
        for annotation in coco.imgToAnns[number]:
            region = coco.annToMask(annotation).astype(bool)
            assert 0 < annotation["score"] <= 1 and annotation["area"] >= 1
            mask[region] = annotation["category_id"]
        found[image["file_name"]] = mask
    return found


def read_label_studio(path: Path, classes: list[str], url: str = "/data/local-files/?d=") -> Found:
    found = {}
    for task in json.loads(path.read_text(encoding="utf-8")):
        (prediction,) = task["predictions"]
        name = unquote(task["data"]["image"].removeprefix(url))
        found[name] = {"results": prediction["result"], "classes": classes}
    return {name: _label_studio_mask(**about) for name, about in found.items() if about["results"]}


def _label_studio_mask(results: list[dict[str, Any]], classes: list[str]) -> np.ndarray:
    shape = results[0]["original_height"], results[0]["original_width"]
    mask = np.zeros(shape, np.uint8)
    for result in results:
        value = result["value"]
        (label,) = value[result["type"]]
        if result["type"] == "brushlabels":
            region = label_studio_pixels(value["rle"], shape)
        else:
            region = inside(np.array(value["points"]) * (shape[1] / 100, shape[0] / 100), shape)
        mask[region] = classes.index(label)
    return mask


def read_cvat(path: Path, classes: list[str]) -> Found:
    found = {}
    for image in ET.parse(path).getroot().iter("image"):
        shape = int(image.attrib["height"]), int(image.attrib["width"])
        mask = np.zeros(shape, np.uint8)
        for thing in image:
            said = thing.attrib
            if thing.tag == "mask":
                box = (int(said[side]) for side in ("left", "top", "width", "height"))
                region = cvat_pixels(said["rle"], *box, shape)
            else:
                region = inside(np.array([p.split(",") for p in said["points"].split(";")], float), shape)
            mask[region] = classes.index(said["label"])
        found[image.attrib["name"]] = mask
    return found
