"""`apc data`: prepare VOC and COCO, check what is there, decode images ahead of training, draw the miniature."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from apc.config import default_of
from apc.escaping import say
from apc.flags import POSITIONAL, parse

LIMIT: int = default_of("max_pixels")
USAGE = """apc data: the paper's data sets and your own photographs, ready for training

  apc data prepare voc|coco --root DIR        lists, masks and labels below DIR/apc; the originals stay as they are
  apc data check voc|coco|folder --root DIR   read every file to its end; exit code 2 where something is wrong
  apc data cache voc|coco|folder --root DIR   decode the training images once, so that training waits for no JPEG
  apc data draw --root DIR                    the embedded miniature as a folder of photographs, to try things on
"""


def command(words: list[str]) -> int | None:
    if not words or words[0] in ("-h", "--help"):
        print(USAGE)
        return 0 if words else 2
    if words[0] not in ACTIONS:
        raise ValueError(f"data: there is no {words[0]!r}; choose from {', '.join(ACTIONS)}")
    ACTIONS[words[0]](words[1:])
    return None


@dataclass(frozen=True, kw_only=True)
class PrepareFlags:
    """Make a data set ready: lists with image labels, and palette masks. What is done already is not done again.

    VOC: VOCdevkit/VOC2012, and SBD as benchmark_RELEASE/dataset or SBD, below ROOT. COCO 2014: annotations/,
    train2014/ and val2014/ below ROOT.
    """

    dataset: Annotated[Literal["voc", "coco"], POSITIONAL]
    """voc or coco."""
    root: Path
    """Folder of the data set; what is made goes to ROOT/apc."""
    download: bool = False
    """Fetch what is missing from the official archives: 3.5 GB for voc, 20 GB for coco."""
    partial: bool = False
    """Take a set that is not whole, without the photographs that cannot be decoded; its rows say so."""
    max_pixels: int = LIMIT
    """Pixels a photograph or mask may have."""


def _prepare(words: list[str]) -> None:
    flags = parse(PrepareFlags, words, "apc data prepare")
    dataset, root = flags.dataset, flags.root
    if not root.is_dir() and not flags.download:
        raise ValueError(f"root is {str(root)!r}; there is no such folder")
    from apc.data import coco, prepared, preparing, voc
    from apc.files import require_writable

    module = voc if dataset == "voc" else coco
    require_writable(prepared.folder_of(root, dataset))
    if flags.download:
        module.download(root)
    try:
        module.prepare(root, partial=flags.partial, max_pixels=flags.max_pixels)
    except preparing.BadFiles as error:
        _name(error.problems)
        raise
    manifest = prepared.manifest(str(root), dataset)
    for split, counts in manifest.counts.items():
        print(f"{split}.csv: " + ", ".join(f"{count} {subset}" for subset, count in counts.items()))
    for note in prepared.notes_of(str(root), dataset):
        say(note)
    parts = [name for name, whole in manifest.whole.items() if not whole]
    print(f"not whole: {', '.join(parts)}; every row says so" if parts else "complete")
    say(f"{prepared.folder_of(root, dataset)}: train with `apc train {dataset} --root {root}`")


@dataclass(frozen=True, kw_only=True)
class CheckFlags:
    """Read every image and mask of a data set to its end, and compare sizes, values, labels and lists."""

    dataset: Annotated[Literal["voc", "coco", "folder"], POSITIONAL]
    """voc, coco or folder (your photographs)."""
    root: Path
    """Folder of the data set."""
    lists: tuple[Path, ...] = (Path("train.csv"), Path("val.csv"))
    """Lists whose files are read."""
    skip_broken: bool = False
    """Only list photographs that cannot be decoded, as `apc train --skip-broken` leaves them out."""
    max_pixels: int = LIMIT
    """Pixels a photograph or mask may have."""


def _check(words: list[str]) -> None:
    flags = parse(CheckFlags, words, "apc data check")
    from apc.data.checking import check as look
    from apc.data.preparing import BadFiles

    lists = list(map(str, flags.lists))
    summary, problems = look(
        flags.dataset, str(flags.root), lists, skip_broken=flags.skip_broken, max_pixels=flags.max_pixels
    )
    say(summary)
    if problems:
        _name(problems)
        raise BadFiles(problems)
    print("everything can be used")


@dataclass(frozen=True, kw_only=True)
class CacheFlags:
    """Decode and resize images once, into one file a list below ROOT/apc; training finds it by itself."""

    dataset: Annotated[Literal["voc", "coco", "folder"], POSITIONAL]
    """voc, coco or folder (your photographs)."""
    root: Path
    """Folder of the data set."""
    image_size: int = 0
    """Side in pixels; default: the one `apc train` uses for the data set."""
    lists: tuple[Path, ...] = (Path("train.csv"),)
    """Lists whose images are decoded."""
    max_pixels: int = LIMIT
    """Pixels a photograph may have."""


def _cache(words: list[str]) -> None:
    flags = parse(CacheFlags, words, "apc data cache")
    from apc import data
    from apc.config import PRESETS
    from apc.data.cache import build

    cfg = PRESETS[flags.dataset]()
    size = replace(cfg, image_size=flags.image_size or cfg.image_size).image_size
    for files in [data.files(flags.dataset, str(flags.root), str(name)) for name in flags.lists]:
        file = build(files._replace(how=files.how._replace(max_pixels=flags.max_pixels)), size)
        say(f"{file}: {len(files.paths)} images of {size} pixels, {file.stat().st_size / 2**20:.0f} MiB")


@dataclass(frozen=True, kw_only=True)
class DrawFlags:
    """Draw the embedded miniature of VOC as a folder of photographs with labels and masks."""

    root: Path
    """A new or an empty folder."""
    num_train: int = 240
    """Training images."""
    num_val: int = 48
    """Validation images."""
    data_seed: int = 0
    """Seed of the drawn data."""


def _draw(words: list[str]) -> None:
    flags = parse(DrawFlags, words, "apc data draw")
    from apc.data import pocket, pocket_folder

    root, counts = flags.root, {"train": flags.num_train, "val": flags.num_val}
    pocket_folder.write(root, counts, flags.data_seed)
    classes = len(pocket.KINDS)
    say(f"{root}: {flags.num_train} training and {flags.num_val} validation images of {classes} classes")
    say(f"  apc data check folder --root {root}")
    say(f"  apc train pocket --dataset folder --root {root} --num-train 0")


def _name(problems: Sequence[str]) -> None:
    """Show the first ten of several problems."""
    for problem in problems[:10] if len(problems) > 1 else []:
        say(f"  {problem}")


ACTIONS = {"prepare": _prepare, "check": _check, "cache": _cache, "draw": _draw}
