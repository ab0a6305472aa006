"""What `apc predict` writes for labelling tools is what `apc data import` reads: the masks, pixel for pixel."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from predictions import CLASSES, picture

from apc.cli.main import main
from apc.data.masks import mask_image
from apc.prediction.annotations import Shapes, asked_for, write_annotations
from apc.prediction.output_folder import file_of
from apc.prediction.photographs import Photograph

FILES = {"coco": "coco.json", "label-studio": "label-studio.json", "cvat-xml": "cvat.xml"}
"""Format of an import -> the file of `apc predict` that is of it."""
NAMES = ["a.jpg", "sub/a.jpg", "sub/deep er/b.v2.jpg", "we ird#?&%+\"'<>.jpg", "Ünï 猫.jpg", "nothing.jpg"]


def drawn(height: int, width: int, seed: int) -> np.ndarray:
    """A mask of three classes, all pixels by themselves."""
    return np.random.default_rng(seed).integers(0, len(CLASSES), (height, width), dtype=np.uint8)


def predicted(folder: Path, names: list[str], exif: int = 1, url: str = "", shapes: Shapes = "masks") -> Path:
    """Photographs below `folder` and what is said of them beside it; returns where that lies."""
    out, photographs = folder.with_name("predictions"), []
    for seed, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = picture(12, 9, seed)
        image.getexif()[0x0112] = exif
        image.save(path, exif=image.getexif())
        photograph = Photograph(path, name, name.removesuffix(".jpg"))
        mask = drawn(12, 9, seed) if exif < 5 else drawn(9, 12, seed)
        target = file_of(out, "masks", photograph)
        target.parent.mkdir(parents=True, exist_ok=True)
        mask_image(0 * mask if name == "nothing.jpg" else mask).save(target)
        photographs.append(photograph)
    rows = [{"confidence": "0.9"}] * len(names)
    asked = asked_for(["coco", "label-studio", "cvat"], shapes, url or "/data/local-files/?d=")
    write_annotations(asked, photographs, rows, CLASSES, "m0d31", out)
    return out


def masks(folder: Path) -> dict[str, list[list[int]]]:
    """Masks below a folder of masks, by name, with the class numbers of CLASSES."""
    listed = folder.parent / "classes.txt"
    classes = ["background", *listed.read_text().split()] if listed.exists() else CLASSES
    numbers = np.array([CLASSES.index(name) for name in classes], np.uint8)
    return {
        path.relative_to(folder).as_posix(): numbers[np.array(Image.open(path))].tolist()
        for path in folder.rglob("*.png")
    }


def imported(kind: str, out: Path, images: Path) -> Path:
    new = out.with_name("new")
    words = [kind, str(out / FILES[kind]), "--images", str(images), "--out", str(new)]
    assert main(["data", "import", *words]) == 0
    return new / "masks"


@pytest.mark.parametrize("kind", FILES)
def test_masks_come_back_pixel_for_pixel(kind: str, tmp_path: Path) -> None:
    out = predicted(tmp_path / "photos", NAMES)
    expected = masks(out / "masks")
    assert len(expected) == len(NAMES)
    assert masks(imported(kind, out, tmp_path / "photos")) == expected


@pytest.mark.parametrize("exif", [2, 3, 6])
@pytest.mark.parametrize("kind", FILES)
def test_masks_of_turned_photographs_come_back_as_they_are_seen(kind: str, exif: int, tmp_path: Path) -> None:
    out = predicted(tmp_path / "photos", ["a.jpg", "b.jpg"], exif)
    assert masks(imported(kind, out, tmp_path / "photos")) == masks(out / "masks")


@pytest.mark.parametrize("url", ["/data/local-files/?d=images/", "https://our.host/of/ours/"])
def test_a_photograph_is_found_by_the_longest_end_of_its_address(url: str, tmp_path: Path) -> None:
    out = predicted(tmp_path / "photos", ["a.jpg", "sub/a.jpg"], url=url)
    assert masks(imported("label-studio", out, tmp_path / "photos")) == masks(out / "masks")


def test_predictions_that_stand_for_annotations_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = predicted(tmp_path / "photos", ["a.jpg", "b.jpg"])
    imported("label-studio", out, tmp_path / "photos")
    assert "no task has an annotation: the predictions of 2 are taken for what they show" in capsys.readouterr().out
