"""VOC, SBD and COCO trees of drawn photographs, with the real folders and files, for tests."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.io import savemat

COLOURS = {"cat": (220, 20, 20), "dog": (20, 20, 220), "person": (20, 200, 20)}
NUMBERS = {"cat": 8, "dog": 12, "person": 15}  # VOC's
VOC_TRAIN = ["2007_000032", "2007_000039"]
VOC_VAL = ["2007_000033", "2007_000042", "2007_000061"]
SBD_TRAIN = ["2008_000002", "2008_000003", "2007_000032"]
SBD_VAL = ["2008_000004", "2007_000033"]  # SBD shares images with VOC train and VOC val


def drawn(number: int, things: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """A photograph and its mask with VOC's numbers: one box a thing, on noise."""
    rng, height, width = np.random.default_rng(number), 40 + number % 5, 60 - number % 7
    image, mask = rng.integers(90, 160, (height, width, 3), dtype=np.uint8), np.zeros((height, width), np.uint8)
    for place, name in enumerate(things):
        x = 3 + 18 * place
        image[8:28, x : x + 16], mask[8:28, x : x + 16] = COLOURS[name], NUMBERS[name]
    return image, mask


def make_voc(root: Path, sbd: str = "benchmark_RELEASE/dataset") -> Path:
    """VOC 2012 with three validation and two training images, and SBD with three more, two of them new to training."""
    voc = root / "VOCdevkit" / "VOC2012"
    for name in ("JPEGImages", "Annotations", "SegmentationClass", "ImageSets/Segmentation"):
        (voc / name).mkdir(parents=True, exist_ok=True)
    for name in ("img", "cls", "inst"):
        (root / sbd / name).mkdir(parents=True, exist_ok=True)
    for split, names in (("train", VOC_TRAIN), ("val", VOC_VAL), ("trainval", sorted(VOC_TRAIN + VOC_VAL))):
        (voc / "ImageSets" / "Segmentation" / f"{split}.txt").write_text("\n".join(names) + "\n")
    for split, names in (("train", SBD_TRAIN), ("val", SBD_VAL)):
        (root / sbd / f"{split}.txt").write_text("\n".join(names) + "\n")

    for number, name in enumerate(sorted({*VOC_TRAIN, *VOC_VAL, *SBD_TRAIN, *SBD_VAL})):
        things = [["cat"], ["dog"], ["cat", "dog"], ["person", "cat"]][number % 4]
        image, mask = drawn(number, things)
        Image.fromarray(image).save(voc / "JPEGImages" / f"{name}.jpg", quality=90)
        (voc / "Annotations" / f"{name}.xml").write_text(annotation(name, image.shape, things))
        if name in VOC_TRAIN + VOC_VAL:
            bordered = mask.copy()
            bordered[7, 3:19] = 255
            png = Image.fromarray(bordered)
            png.putpalette([value for grey in range(256) for value in (grey, grey, grey)])
            png.save(voc / "SegmentationClass" / f"{name}.png")
        if name in SBD_TRAIN + SBD_VAL:
            write_mat(root / sbd / "cls" / f"{name}.mat", mask)
    return root


def annotation(name: str, shape: tuple[int, ...], things: list[str]) -> str:
    """One of VOC's XML files; its last object is marked difficult and a person has a head, which is no object."""
    objects = "".join(
        f"<object><name>{thing}</name><pose>Left</pose><truncated>0</truncated>"
        f"<difficult>{int(thing == things[-1])}</difficult>"
        f"<bndbox><xmin>3</xmin><ymin>8</ymin><xmax>19</xmax><ymax>28</ymax></bndbox>"
        + ("<part><name>head</name><bndbox/></part>" if thing == "person" else "")
        + "</object>"
        for thing in things
    )
    size = f"<size><width>{shape[1]}</width><height>{shape[0]}</height><depth>3</depth></size>"
    source = "<source><database>The VOC2008 Database</database></source>"
    return f"<annotation><folder>VOC2012</folder><filename>{name}.jpg</filename>{source}{size}{objects}</annotation>"


def write_mat(path: Path, mask: np.ndarray) -> None:
    """One of SBD's .mat files: a 1x1 struct GTcls of Segmentation, Boundaries and CategoriesPresent."""
    present = np.unique(mask[mask > 0]).astype(np.uint8)[:, None]
    boundaries = np.empty((20, 1), dtype=object)
    for c in range(20):
        boundaries[c, 0] = np.zeros((1, 1))
    savemat(
        path,
        {"GTcls": {"Segmentation": mask, "Boundaries": boundaries, "CategoriesPresent": present}},
        do_compression=True,
    )


def square(x: float, y: float, side: float) -> list[float]:
    """A polygon as COCO writes it."""
    return [x, y, x + side, y, x + side, y + side, x, y + side]


def instances(split: str, count: int = 4) -> dict[str, Any]:
    """COCO instances with two categories of ids 1 and 17: an object on a larger one, a crowd, none, a small image."""
    sizes = [(300, 320), (260, 280), (270, 300), (200, 300)][:count]
    images = [
        {"id": 10 + i, "file_name": f"COCO_{split}_{10 + i:012}.jpg", "height": h, "width": w}
        for i, (h, w) in enumerate(sizes)
    ]
    crowd = {"size": [260, 280], "counts": [0, 260 * 30, 260 * 250]}  # columns 0 to 29, from top to bottom
    annotations = [
        {"image_id": 10, "category_id": 17, "iscrowd": 0, "segmentation": [square(60, 60, 20)], "area": 400},
        {"image_id": 10, "category_id": 1, "iscrowd": 0, "segmentation": [square(40, 40, 80)], "area": 6400},
        {"image_id": 11, "category_id": 1, "iscrowd": 1, "segmentation": crowd, "area": 7800},
        {"image_id": 11, "category_id": 1, "iscrowd": 0, "segmentation": [square(10, 10, 12)], "area": 144},
        {"image_id": 13, "category_id": 17, "iscrowd": 0, "segmentation": [square(20, 20, 50)], "area": 2500},
    ]
    return {
        "images": images,
        "categories": [{"id": 17, "name": "traffic light"}, {"id": 1, "name": "person"}],
        "annotations": [{"id": n, **a} for n, a in enumerate(annotations) if a["image_id"] < 10 + count],
    }


def make_coco(root: Path) -> Path:
    """COCO 2014 with four training and four validation images."""
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    for seed, split in enumerate(("train2014", "val2014")):
        told, rng = instances(split), np.random.default_rng(seed)
        (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(told))
        (root / split).mkdir(exist_ok=True)
        for image in told["images"]:
            small = rng.integers(0, 255, (image["height"] // 10, image["width"] // 10, 3), dtype=np.uint8)
            pixels = Image.fromarray(small).resize((image["width"], image["height"]))
            pixels.save(root / split / image["file_name"])
    return root
