"""COCO 2014 as semantic segmentation: 80 classes and background, contiguous numbers in the order of COCO's ids.

Objects are painted from large to small, so that a cup on a table is not lost. Crowds, which are outlined as a whole and
coarsely, are ignored (255) where no single object is outlined; their class still is an image label.
"""

import json
import shutil
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from apc.config import Config
from apc.data import coco_annotations, prepared
from apc.data.cache import Files
from apc.data.coco_annotations import Instances
from apc.data.coco_outlines import BadOutline, Object, paint
from apc.data.headers import LIMIT
from apc.data.images import Reading, size_of
from apc.data.lists import leaves
from apc.data.masks import made_of, write_mask
from apc.data.prepared import AS_STORED, VERSION, Entry, folder_of
from apc.data.preparing import Sample, attempt, entry_of, left_out, save
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


class _Image(NamedTuple):
    split: str
    """Folder of its photograph."""
    name: str
    """Its photograph, below that."""
    mask: str
    """Its mask, below that folder of the masks."""
    size: tuple[int, int]
    """Height and width."""
    objects: list[Object]
    annotations: list[Any]
    """The id of each object's annotation."""


def load(cfg: Config, split: str, *, lazily: bool = False) -> Split:
    """Split `train` or `val` as `prepare` left it; see data.load."""
    return prepared.load(cfg, split, cfg.coco_images, lazily=lazily)


def files(root: str, name: str) -> Files:
    """The photographs of one list."""
    return prepared.files(root, "coco", name)


def fingerprint(cfg: Config) -> str:
    """Hash of what `prepare` left; see prepared.fingerprint."""
    return prepared.fingerprint(cfg.root, "coco", [cfg.train_list, cfg.val_list])


def provenance(cfg: Config) -> dict[str, Any]:
    """See prepared.provenance."""
    return prepared.provenance(cfg, [cfg.coco_images])


def prepare(root: Path, *, partial: bool = False, max_pixels: int = LIMIT) -> None:
    """Write lists and masks below ROOT/apc/coco; ValueError where files are missing or damaged, or the counts differ.

    With `partial` other counts than EXPECTED and other classes than 80 are taken, photographs that cannot be decoded
    are left out, and the manifest says so.
    """
    files = [coco_annotations.read(root / "annotations" / f"instances_{split}2014.json") for split in SPLITS]
    names, numbers, notes = coco_annotations.classes_of(files)
    images: list[_Image] = []
    for split, file in zip(SPLITS, files, strict=True):
        notes += coco_annotations.locate(file, root / f"{split}2014")
        images += _of_split(f"{split}2014", file, numbers)
    if not partial:
        counts = {split: sum(image.split == split for image in images) for split in ("train2014", "val2014")}
        if (*counts.values(),) != EXPECTED["all"]:
            has = " and ".join(f"{split} has {count} images" for split, count in counts.items())
            wanted = "{} and {}".format(*EXPECTED["all"])
            raise ValueError(f"{root}: not the whole of COCO 2014: {has}, not {wanted}; --partial takes it")

    classes = ["background", *names]
    where, how = folder_of(root, "coco"), AS_STORED._replace(max_pixels=max_pixels)
    entries, skipped = attempt(
        images, lambda image: _entry(root, where / "masks", classes, image, how), "COCO 2014", skip_broken=partial
    )
    lists = {s: [e for e in entries if e.image.startswith(f"{s}2014/")] for s in SPLITS}
    whole = {
        subset: tuple(sum(subset in e.subsets.split() for e in entries) for entries in lists.values()) == expected
        for subset, expected in EXPECTED.items()
    }
    if not partial and not whole["annotated"]:
        raise ValueError(f"{root}: not the objects of COCO 2014, whose annotated images are 82081 and 40137")
    shown = {f"{image.split}/{image.name}": image.objects for image in images}
    for split, of_split in lists.items():
        notes += _without_pixels(split, of_split, shown, classes)
    save(root, "coco", classes, lists, whole, [*left_out(skipped), *notes])


def _of_split(folder: str, file: Instances, numbers: dict[Any, int]) -> list[_Image]:
    """Images of a file, each with a mask of its own: where two photographs differ in their suffix only, all keep it."""
    stems = [PurePosixPath(image.name).with_suffix("").as_posix().casefold() for image in file.images]
    alone = len(set(stems)) == len(stems)
    images = []
    for image in file.images:
        mask = str(PurePosixPath(image.name).with_suffix(".png")) if alone else f"{image.name}.png"
        images.append(_Image(folder, image.name, mask, image.size, *image.numbered(numbers)))
    return images


def _without_pixels(split: str, entries: list[Entry], shown: dict[str, list[Object]], classes: list[str]) -> list[str]:
    """Notes on images of a list with a label that has no pixel in the mask, and on those that show nothing."""
    lacking = []
    for entry in entries:
        in_mask, objects = entry.labels_masks.split(), shown[entry.image]
        labels = [label for label in entry.labels_annotations.split() if label not in in_mask]
        lines = [f"{label} ({_why(label, objects, classes)})" for label in labels]
        lacking += [f"  {entry.image}: {', '.join(lines)}"] if lines else []
    notes = []
    if lacking:
        notes = [f"note: {len(lacking)} of {len(entries)} {split} images have a label without a pixel", *lacking[:10]]
        notes += [f"  and {len(lacking) - 10} more"] if len(lacking) > 10 else []
    for what, count in (
        ("crowds", sum(_all(shown[e.image], "crowd") for e in entries)),
        ("boxes", sum(_all(shown[e.image], "boxed") for e in entries)),
    ):
        notes += (
            [f"note: {count} of {len(entries)} {split} images have {what} only, which are no outlines"] if count else []
        )
    if empty := sum(not shown[e.image] for e in entries):
        remedy = "--coco-images all trains on them, as background"
        notes.append(f"note: {empty} of {len(entries)} {split} images show no object; {remedy}")
    return notes


def _all(objects: list[Object], what: str) -> bool:
    return bool(objects) and all(getattr(thing, what) for thing in objects)


def _why(label: str, objects: list[Object], classes: list[str]) -> str:
    """Why a label of an image has no pixel."""
    own = [thing for thing in objects if classes[thing.number] == label]
    return "crowds only" if _all(own, "crowd") else "boxes only" if _all(own, "boxed") else "hidden or too small"


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


def _entry(root: Path, masks: Path, classes: list[str], image: _Image, how: Reading) -> Entry:
    path = root / image.split / image.name
    if (reason := leaves(image.name)) or not path.is_file():
        raise ValueError(f"{path}: there is no such image" + (f" (its file_name {reason})" if reason else ""))
    if (found := size_of(path, how)) != image.size:
        (h, w), (height, width) = found, image.size
        raise ValueError(f"{path}: the image is {w}x{h}, its annotation says {width}x{height}")
    mask = masks / image.split / image.mask
    source = hash_of(json.dumps([VERSION, image.size, image.objects]).encode())
    if made_of(mask) != source:
        try:
            write_mask(mask, paint(image.objects, *image.size), source)
        except BadOutline as error:
            which = f"annotation {image.annotations[error.which]!r}"
            raise ValueError(f"{path}: the outline of its {which} cannot be read ({error})") from None
    labels = {classes[thing.number] for thing in image.objects}

    def subsets(size: tuple[int, ...], values: list[int]) -> list[str]:
        sieved_in = min(size) >= SMALLEST and len(values) > 1
        return ["all", *(["annotated"] if labels else []), *(["vit_pcm"] if sieved_in else [])]

    return entry_of(root, classes, Sample(f"{image.split}/{image.name}", mask, labels, subsets), how)
