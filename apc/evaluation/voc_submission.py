"""A folder and an archive that the PASCAL VOC test server takes, and the test images, which have no labels.

The devkit's rules: segmentation is competition 5 where only VOC's own train and val were learnt from, and 6 where
anything else was; an encoder pre-trained on ImageNet and SBD's images make it 6.
"""

import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from apc.config import Config
from apc.data import Split
from apc.data.images import Lazy, decode
from apc.data.masks import mask_image
from apc.data.prepared import AS_STORED
from apc.data.transforms import squash
from apc.data.voc import CLASSES
from apc.evaluation.scoring import LabelMap
from apc.files import sweep, whole
from apc.folders import replaced

BELOW = Path("results/VOC2012/Segmentation/comp6_test_cls")


def unlabelled(cfg: Config, classes: list[str]) -> Split:
    """The images that a plain list of names names, such as VOC's ImageSets/Segmentation/test.txt: no labels, no masks.

    `cfg.val_list` is the list, below `cfg.root`; the images stand in JPEGImages/ as in VOC, or in images/ below root.
    """
    listed = Path(cfg.root) / cfg.val_list
    try:
        names = listed.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError):
        raise ValueError(f"{listed}: there is no such list of names") from None
    if not names:
        raise ValueError(f"{listed}: lists no image")
    folders = [*(parent / "JPEGImages" for parent in listed.resolve().parents[:3]), Path(cfg.root) / "images"]
    paths = []
    for name in names:
        places = (folder / file for folder in folders for file in (f"{name}.jpg", name))
        path = next((place for place in places if place.is_file()), None)
        if path is None:
            raise ValueError(f"{listed}: there is no image {name}.jpg in JPEGImages or {cfg.root}/images")
        paths.append(path)

    def photo(i: int) -> np.ndarray:
        return decode(paths[i], AS_STORED._replace(max_pixels=cfg.max_pixels))

    images = Lazy(lambda i: squash(photo(i), cfg.scored_size), len(names))
    return Split(classes, names, torch.zeros(len(names), len(classes) - 1), images, photo)


@contextmanager
def submission(folder: Path, names: list[str], classes: list[str]) -> Iterator[Callable[[LabelMap], None]]:
    """What keeps label maps as palette PNGs named after the images; at the end they and `comp6_test_cls.tar.gz` stand
    in `folder`, whole, and replace older ones. ValueError where the server could not take them."""
    if classes != CLASSES:
        raise ValueError(f"export_submission: the VOC server wants VOC's classes; the model has {', '.join(classes)}")
    stems = [Path(name).stem for name in names]
    if len(set(stems)) != len(stems):
        twice = next(s for s in stems if stems.count(s) > 1)
        raise ValueError(f"export_submission: two images are called {twice!r}; the server wants one mask a name")
    archive = folder / f"{BELOW.name}.tar.gz"
    sweep(folder)
    with whole(archive) as packed, replaced(folder / BELOW) as part:

        def keep(labelled: LabelMap) -> None:
            mask_image(labelled.labels).save(part / f"{stems[labelled.i]}.png")

        yield keep
        with open(packed, "wb") as file, tarfile.open(archive, "w:gz", fileobj=file) as tar:
            tar.add(part, BELOW)
