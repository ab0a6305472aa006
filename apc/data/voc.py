"""PASCAL VOC 2012 with SBD's further images, as everybody trains on it: train_aug 10,582, val 1,449.

train_aug = (SBD train and val, and VOC train) without VOC val. Masks of VOC's own images are VOC's, the others' are
SBD's .mat files, converted. Image labels come from Annotations/*.xml, objects marked difficult included, which is what
the usual label files hold; or from the masks.
"""

import shutil
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np

from apc.config import Config
from apc.data import prepared
from apc.data.cache import Files
from apc.data.headers import LIMIT
from apc.data.images import Reading
from apc.data.masks import made_of, write_mask
from apc.data.prepared import AS_STORED, Entry, folder_of
from apc.data.preparing import Sample, attempt, entry_of, left_out, save
from apc.data.split import Split
from apc.files import hash_of

CLASSES = (
    "background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person "
    "pottedplant sheep sofa train tvmonitor"
).split()
EXPECTED = {"train_aug": 10582, "train": 1464, "val": 1449}
"""Images of the whole data set by subset; `train` is VOC's own part of train_aug."""
SPLITS = {"train": "train_aug", "val": "val"}
"""What each list holds."""
VOC = ("VOCdevkit/VOC2012", "VOC2012", ".")
SBD = ("benchmark_RELEASE/dataset", "SBD", "SBD/benchmark_RELEASE/dataset", ".")


class _Image(NamedTuple):
    name: str
    subsets: list[str]
    mat: Path | None
    """SBD's mask; None where VOC has one."""


def load(cfg: Config, split: str, *, lazily: bool = False) -> Split:
    """Split `train` or `val` as `prepare` left it; see data.load."""
    return prepared.load(cfg, split, lazily=lazily)


def files(root: str, name: str) -> Files:
    """The photographs of one list."""
    return prepared.files(root, "voc", name)


def fingerprint(cfg: Config) -> str:
    """Hash of what `prepare` left; see prepared.fingerprint."""
    return prepared.fingerprint(cfg.root, "voc", [cfg.train_list, cfg.val_list])


def provenance(cfg: Config) -> dict[str, Any]:
    """See prepared.provenance."""
    return prepared.provenance(cfg, ["train_aug", "val"])


def prepare(root: Path, *, partial: bool = False, max_pixels: int = LIMIT) -> None:
    """Write lists and masks below ROOT/apc/voc; ValueError where files are missing or damaged, or the counts differ.

    With `partial` other counts than EXPECTED, even VOC without SBD, are taken, photographs that cannot be decoded are
    left out, and the manifest says so.
    """
    voc = _find(root, VOC, "ImageSets/Segmentation/val.txt")
    if voc is None:
        raise ValueError(f"{root}: there is no VOCdevkit/VOC2012 below it; unpack VOC 2012 there, or add --download")
    sbd = _find(root, SBD, "cls")
    if sbd is None and not partial:
        raise ValueError(
            f"{root}: there is no SBD (benchmark_RELEASE/dataset) below it; unpack it there, add --download, "
            "or take VOC's own images alone with --partial"
        )
    train, val = (_names(voc / "ImageSets" / "Segmentation" / f"{split}.txt") for split in ("train", "val"))
    further = _names(sbd / "train.txt") | _names(sbd / "val.txt") if sbd else set()
    train_aug = (further | train) - val
    counts = {"train_aug": len(train_aug), "train": len(train & train_aug), "val": len(val)}
    if counts != EXPECTED and not partial:
        differ = ", ".join(f"{name} has {count} images, not {EXPECTED[name]}" for name, count in counts.items())
        raise ValueError(f"{root}: not the whole of VOC 2012 and SBD: {differ}; --partial takes it as it is")

    images = [_Image(name, ["train_aug", "train"], None) for name in train_aug & train]
    if sbd:
        images += [_Image(name, ["train_aug"], sbd / "cls" / f"{name}.mat") for name in train_aug - train]
    images += [_Image(name, ["val"], None) for name in val]
    images.sort()
    masks = folder_of(root, "voc") / "masks"
    how = AS_STORED._replace(max_pixels=max_pixels)
    entries, skipped = attempt(
        images, lambda image: _entry(root, voc, masks, image, how), "VOC 2012", skip_broken=partial
    )
    lists = {split: [e for e in entries if subset in e.subsets.split()] for split, subset in SPLITS.items()}
    whole = {name: count == EXPECTED[name] and not skipped for name, count in counts.items()}
    save(root, "voc", CLASSES, lists, whole, left_out(skipped))


def download(root: Path) -> None:
    """Fetch VOC 2012 and SBD from their official archives into ROOT, what is not there yet (3.5 GB)."""
    from torchvision.datasets import SBDataset, VOCSegmentation

    part = root / "download.part"  # so that a half-unpacked tree never looks whole
    sbd = part / "SBD"
    try:
        part.mkdir(parents=True, exist_ok=True)
        for left in [path for path in part.iterdir() if path.suffix not in (".tar", ".tgz")]:  # torchvision moves there
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        if _find(root, VOC, "ImageSets/Segmentation/val.txt") is None:
            VOCSegmentation(str(part), year="2012", image_set="val", download=True)
            (root / "VOCdevkit").mkdir(exist_ok=True)  # there may be another year's
            (part / "VOCdevkit" / "VOC2012").rename(root / "VOCdevkit" / "VOC2012")
        if _find(root, SBD, "cls") is None:
            SBDataset(str(part), image_set="val", mode="segmentation", download=True)  # train_noval's link is dead
            sbd.mkdir()
            for name in ("train.txt", "val.txt", "inst", "img", "cls"):
                (part / name).rename(sbd / name)
            sbd.rename(root / "SBD")
        shutil.rmtree(part)
    except (OSError, RuntimeError) as error:
        raise ValueError(f"{root}: VOC 2012 or SBD cannot be downloaded ({error})") from None


def _find(root: Path, places: tuple[str, ...], mark: str) -> Path | None:
    return next((root / place for place in places if (root / place / mark).exists()), None)


def _names(path: Path) -> set[str]:
    if not path.is_file():
        raise ValueError(f"{path}: there is no such list")
    names = path.read_text(encoding="utf-8").split()
    if not names:
        raise ValueError(f"{path}: lists no image")
    if len(set(names)) != len(names):
        raise ValueError(f"{path}: image {next(n for n in names if names.count(n) > 1)!r} is listed twice")
    return set(names)


def _entry(root: Path, voc: Path, masks: Path, image: _Image, how: Reading) -> Entry:
    path = voc / "JPEGImages" / f"{image.name}.jpg"
    mask = voc / "SegmentationClass" / f"{image.name}.png"
    if not path.is_file():  # said first: without it the annotation is missing too
        raise ValueError(f"{path}: there is no such image")
    if image.mat:
        mask = masks / f"{image.name}.png"
        _convert(image.mat, mask)
    labels = objects_of(voc / "Annotations" / f"{image.name}.xml")
    sample = Sample(path.relative_to(root).as_posix(), mask, labels, lambda *_: image.subsets)
    return entry_of(root, CLASSES, sample, how)


def objects_of(path: Path) -> set[str]:
    """Classes of the objects in an annotation, those marked difficult included; none where it shows nothing."""
    try:
        annotation = ElementTree.parse(path).getroot()
    except OSError:
        raise ValueError(f"{path}: there is no such file") from None
    except ElementTree.ParseError as error:
        raise ValueError(f"{path}: not XML ({error})") from None
    objects = [element.findtext("name", "").strip() for element in annotation.findall("object")]
    if not objects and annotation.tag != "annotation":
        raise ValueError(f"{path}: is no annotation of VOC's, it is a <{annotation.tag}> without an object")
    if unknown := set(objects) - set(CLASSES[1:]):
        raise ValueError(f"{path}: object {min(unknown)!r} is none of VOC's 20 classes; {_OWN}")
    return set(objects)


_OWN = "with classes of your own it is a data set of the kind `folder`, which `apc data import` makes"


def _convert(mat: Path, mask: Path) -> None:
    """SBD's mask as PNG, where it has not been made of this file before."""
    from scipy.io import loadmat

    if not mat.is_file():
        raise ValueError(f"{mat}: there is no such file")
    data = hash_of(mat.read_bytes())
    if made_of(mask) == data:
        return
    try:
        pixels = loadmat(mat)["GTcls"][0, 0]["Segmentation"].astype(np.uint8)
    except Exception as error:  # scipy raises whatever it likes for a damaged file
        raise ValueError(f"{mat}: not one of SBD's masks ({error})") from None
    write_mask(mask, pixels, data)
