"""COCO 2014 as semantic segmentation: 80 classes and background, contiguous numbers in the order of COCO's ids.

Objects are painted from large to small, so that a cup on a table is not lost. Crowds, which are outlined as a whole and
coarsely, are ignored (255) where no single object is outlined; their class still is an image label.
"""

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from apc.config import Config
from apc.data import prepared
from apc.data.cache import Files
from apc.data.images import size_of
from apc.data.masks import IGNORE, made_of, write_mask
from apc.data.prepared import VERSION, Entry, folder_of
from apc.data.preparing import Sample, attempt, entry_of, save
from apc.data.split import Split
from apc.files import hash_of

SPLITS = ("train", "val")
EXPECTED = {"all": (82783, 40504), "annotated": (82081, 40137), "vit_pcm": (81477, 39884)}
"""Training and validation images of the whole data set by subset.

`annotated` has an object or a crowd. `vit_pcm` is what ViT-PCM's preparation keeps: no side below SMALLEST pixels, and
two different values or more in the mask. That rule is read from its code; that it gives its counts is not checked here.
"""
SMALLEST = 256  # pixels: ViT-PCM's preparation leaves out images with a shorter side
ARCHIVES_AT = "http://images.cocodataset.org"
ARCHIVES = {  # COCO's own, with their MD5
    "train2014": ("zips/train2014.zip", "0da8c0bd3d6becc4dcb32757491aca88"),
    "val2014": ("zips/val2014.zip", "a3d79f5ed8d289b7a7554ce06a5782b3"),
    "annotations": ("annotations/annotations_trainval2014.zip", "0a379cfc70b0e71301e0f377548639bd"),
}


class Object(NamedTuple):
    """A thing or a crowd of an image, as COCO outlines it."""

    number: int
    """Class number."""
    crowd: bool
    outline: Any
    """Polygons, or a run-length code."""


class _Image(NamedTuple):
    split: str
    name: str
    size: tuple[int, int]
    """Height and width."""
    objects: list[Object]


def load(cfg: Config, split: str) -> Split:
    """Split `train` or `val` as `prepare` left it; see data.load."""
    return prepared.load(cfg, split, cfg.coco_images)


def files(root: str, name: str) -> Files:
    """The photographs of one list."""
    return prepared.files(root, "coco", name)


def fingerprint(cfg: Config) -> str:
    """Hash of what `prepare` left; see prepared.fingerprint."""
    return prepared.fingerprint(cfg.root, "coco", [cfg.train_list, cfg.val_list])


def provenance(cfg: Config) -> dict[str, Any]:
    """See prepared.provenance."""
    return prepared.provenance(cfg, [cfg.coco_images])


def prepare(root: Path, *, partial: bool = False) -> None:
    """Write lists and masks below ROOT/apc/coco; ValueError where files are missing or damaged, or the counts differ.

    With `partial` other counts than EXPECTED and other classes than 80 are taken, and the manifest says so.
    """
    images: list[_Image] = []
    names: dict[str, list[str]] = {}
    for split in ("train", "val"):
        names[split], of_split = _annotations(root / "annotations" / f"instances_{split}2014.json", f"{split}2014")
        images += of_split
    if names["train"] != names["val"]:
        raise ValueError(f"{root}/annotations: the two files have different categories")
    if not partial:
        counts = {split: sum(image.split == split for image in images) for split in ("train2014", "val2014")}
        if (*counts.values(),) != EXPECTED["all"]:
            has = " and ".join(f"{split} has {count} images" for split, count in counts.items())
            wanted = "{} and {}".format(*EXPECTED["all"])
            raise ValueError(f"{root}: not the whole of COCO 2014: {has}, not {wanted}; --partial takes it")

    classes = ["background", *names["train"]]
    where = folder_of(root, "coco")
    entries = attempt(images, lambda image: _entry(root, where / "masks", classes, image), "COCO 2014")
    lists = {s: [e for e in entries if e.image.startswith(f"{s}2014/")] for s in ("train", "val")}
    whole = {
        subset: tuple(sum(subset in e.subsets.split() for e in entries) for entries in lists.values()) == expected
        for subset, expected in EXPECTED.items()
    }
    if not partial and not whole["annotated"]:
        raise ValueError(f"{root}: not the objects of COCO 2014, whose annotated images are 82081 and 40137")
    save(root, "coco", classes, lists, whole)


def download(root: Path) -> None:
    """Fetch COCO 2014's official archives into ROOT, what is not there yet (20 GB)."""
    from torchvision.datasets.utils import download_and_extract_archive

    part = root / "download.part"  # so that a half-unpacked folder never looks whole
    try:
        for folder, (archive, md5) in ARCHIVES.items():
            if not (root / folder).is_dir():
                part.mkdir(parents=True, exist_ok=True)
                download_and_extract_archive(f"{ARCHIVES_AT}/{archive}", str(part), md5=md5)
                (part / folder).rename(root / folder)
        shutil.rmtree(part, ignore_errors=True)
    except (OSError, RuntimeError) as error:
        raise ValueError(f"{root}: COCO 2014 cannot be downloaded ({error})") from None


def _annotations(path: Path, split: str) -> tuple[list[str], list[_Image]]:
    """Class names in the order of COCO's ids, and images with their objects, of one file of instances."""
    try:
        instances = json.loads(path.read_bytes())
        categories = sorted((c["id"], "_".join(c["name"].split())) for c in instances["categories"])
        images = {i["id"]: _Image(split, i["file_name"], (i["height"], i["width"]), []) for i in instances["images"]}
        annotations = instances["annotations"]
    except OSError:
        raise ValueError(f"{path}: there is no such file; unpack COCO 2014's annotations there") from None
    except KeyError as error:
        raise ValueError(f"{path}: not COCO's instances: the key {error} is missing") from None
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: not COCO's instances ({error})") from None
    numbers = {category: number for number, (category, _) in enumerate(categories, start=1)}
    if not images:
        raise ValueError(f"{path}: lists no image")
    if len({image.name for image in images.values()}) != len(instances["images"]):
        raise ValueError(f"{path}: an image is listed twice")
    if len(numbers) != len(categories) or len({name for _, name in categories}) != len(categories):
        raise ValueError(f"{path}: a category is listed twice")
    for a in annotations:
        named = f"{path}: annotation {a.get('id')}"
        if missing := {"image_id", "category_id", "segmentation"} - a.keys():
            raise ValueError(f"{named} has no {min(missing)}")
        if a["category_id"] not in numbers:
            raise ValueError(f"{named} has the category {a['category_id']}, which is not in the file's categories")
        if a["image_id"] not in images:
            raise ValueError(f"{named} has the image {a['image_id']}, which is not in the file's images")
        outlined = Object(numbers[a["category_id"]], bool(a.get("iscrowd")), a["segmentation"])
        images[a["image_id"]].objects.append(outlined)
    return [name for _, name in categories], list(images.values())


def _entry(root: Path, masks: Path, classes: list[str], image: _Image) -> Entry:
    path = root / image.split / image.name
    if not path.is_file():
        raise ValueError(f"{path}: there is no such image")
    if size_of(path) != image.size:
        (h, w), (height, width) = size_of(path), image.size
        raise ValueError(f"{path}: the image is {w}x{h}, its annotation says {width}x{height}")
    mask = masks / image.split / f"{Path(image.name).stem}.png"
    source = hash_of(json.dumps([VERSION, image.size, image.objects]).encode())
    if made_of(mask) != source:
        try:
            write_mask(mask, paint(image.objects, *image.size), source)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
    labels = {classes[thing.number] for thing in image.objects}

    def subsets(size: tuple[int, ...], values: list[int]) -> list[str]:
        sieved_in = min(size) >= SMALLEST and len(values) > 1
        return ["all", *(["annotated"] if labels else []), *(["vit_pcm"] if sieved_in else [])]

    return entry_of(root, classes, Sample(f"{image.split}/{image.name}", mask, labels, subsets))


def paint(objects: list[Object], height: int, width: int) -> np.ndarray:
    """Mask (height,width) uint8 of an image's objects; ValueError where an outline cannot be read."""
    shapes: list[tuple[bool, int, int, np.ndarray]] = []
    for thing in objects:
        try:
            shape = _shape(thing.outline, height, width)
        except Exception as error:  # pycocotools raises whatever it likes
            raise ValueError(f"the outline of one of its objects cannot be read ({error})") from None
        shapes.append((thing.crowd, int(shape.sum()), thing.number, shape))
    painted = np.zeros((height, width), np.uint8)
    for crowd, _, number, shape in sorted(shapes, key=lambda s: (not s[0], -s[1])):
        painted[shape] = IGNORE if crowd else number
    return painted


def _shape(outline: Any, height: int, width: int) -> np.ndarray:
    """The pixels of an outline, (height,width) bool."""
    from pycocotools import mask as codes

    if isinstance(outline, list):
        polygons = [polygon for polygon in outline if len(polygon) >= 6]  # less is a line, and it takes 4 for a box
        if not polygons:
            return np.zeros((height, width), bool)
        outline = codes.merge(codes.frPyObjects(polygons, height, width))
    elif isinstance(outline["counts"], list):
        outline = codes.frPyObjects(outline, height, width)
    shape: np.ndarray = codes.decode(outline).astype(bool)
    if shape.shape != (height, width):
        raise ValueError(f"it is of an image of {shape.shape[1]}x{shape.shape[0]}")
    return shape
