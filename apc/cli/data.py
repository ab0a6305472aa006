"""`apc data`: prepare VOC and COCO, check what is there, import what other tools say, divide it into
lists, decode images ahead of training, draw the miniature."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from apc.config import default_of
from apc.escaping import counted, one_line, say
from apc.flags import POSITIONAL, Flag, choose_from, parse, train_command

LIMIT: int = default_of("max_pixels")
USAGE = """apc data: the paper's data sets and your own photographs, ready for training

  apc data prepare voc|coco --root DIR        lists, masks and labels below DIR/apc; the originals stay as they are
  apc data check voc|coco|folder --root DIR   read every file to its end; exit code 2 where something is wrong
  apc data cache voc|coco|folder --root DIR   decode the training images once, so that training waits for no JPEG
  apc data import [FORMAT] SOURCE --out DIR   labels of other tools and tables as a folder of photographs
  apc data split --root DIR                   train.csv and val.csv: groups together, classes in equal shares
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
    say(f"{prepared.folder_of(root, dataset)}: train with `apc train {dataset} --root {_quoted(root)}`")


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
    try:
        summary, problems = look(
            flags.dataset, str(flags.root), lists, skip_broken=flags.skip_broken, max_pixels=flags.max_pixels
        )
    except ValueError as error:
        instead = _import_instead(flags)
        raise ValueError(f"{error}; {instead}" if instead else str(error)) from None
    say(summary)
    if problems:
        _name(problems)
        if instead := _import_instead(flags):
            say(instead)
        raise BadFiles(problems)
    print("everything can be used")


def _import_instead(flags: CheckFlags) -> str:
    """What makes a folder of photographs of one that is of another format; empty where that is not known."""
    from apc.data.importing.formats import command_for

    command = command_for(flags.root) if flags.dataset == "folder" and flags.root.is_dir() else ""
    return f"`{command}` makes a folder of photographs of it" if command else ""


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
    skip_broken: bool = False
    """Leave out photographs of your own that cannot be decoded; train with `--skip-broken`, too."""
    max_pixels: int = LIMIT
    """Pixels a photograph may have."""


def _cache(words: list[str]) -> None:
    flags = parse(CacheFlags, words, "apc data cache")
    from apc import data
    from apc.config import PRESETS
    from apc.data.cache import build, lacking
    from apc.data.preparing import left_out

    if flags.skip_broken and flags.dataset != "folder":
        instead = f"`apc data prepare {flags.dataset} --partial` leaves broken ones out"
        raise ValueError(f"skip_broken is True; it is for folder alone: {instead}")
    cfg = PRESETS[flags.dataset]()
    size = replace(cfg, image_size=flags.image_size or cfg.image_size).image_size
    for files in [data.files(flags.dataset, str(flags.root), str(name)) for name in flags.lists]:
        how = files.how._replace(max_pixels=flags.max_pixels)
        file = build(files._replace(how=how), size, skip_broken=flags.skip_broken)
        broken = list((lacking(files, size) or {}).values())
        count = len(files.paths) - len(broken)
        say(f"{file}: {counted(count, 'image')} of {size} pixels, {file.stat().st_size / 2**20:.0f} MiB")
        if broken:
            say("\n".join(left_out(broken)))


@dataclass(frozen=True, kw_only=True)
class ImportFlags:
    """Make a folder of photographs of what a labelling tool or a spreadsheet says: coco, labelme, label-studio, cvat
    (masks with labelmap.txt), cvat-xml, voc, csv, masks or folders (one a class), found out where FORMAT is left out.

    Lists that the source has (train, valid, test, ImageSets) stay; where it has none for validation, one is drawn.
    """

    source: Annotated[tuple[Path, ...], Flag(positional=True, metavar="[FORMAT] SOURCE")] = ()
    """A folder, a file or a ZIP archive, with its format before it where that is not clear."""
    out: Path
    """A new or an empty folder."""
    images: Path | None = None
    """Folder of the photographs, where they do not lie with the labels."""
    classes: tuple[str, ...] = ()
    """Class names in the order of their numbers; default: as the source has them."""
    labels: str = ""
    """Heading of the column of labels in a table, or names of Label Studio's controls with commas between them;
    default: found out."""
    separator: str = ""
    """Sign between several labels in a cell of a table; default: found out."""
    take_unlabelled: bool = False
    """Take photographs that no file, line or mask is of as showing none of the classes; otherwise they are left out."""
    skip_broken: bool = False
    """Leave out photographs and masks that cannot be used; otherwise one of them stops the import."""
    copy: bool = False
    """Copy photographs; otherwise they are second names of the same files, where the disk allows that."""
    val: float = 0.2
    """Share of the validation list, where the source has none."""
    group: str = ""
    """Photographs that stay in one list: folder, near (alike by a perceptual hash) or a column of the table."""
    near: int = 6
    """Bits of 64 in which the hashes of photographs that are alike may differ."""
    seed: int = 0
    """Seed of the lists."""
    max_pixels: int = LIMIT
    """Pixels a photograph or mask may have."""


def _import(words: list[str]) -> None:
    flags = parse(ImportFlags, words, "apc data import")
    from apc.data.importing.formats import FORMATS
    from apc.data.importing.importing import import_
    from apc.data.importing.wishes import Wishes
    from apc.data.preparing import BadFiles
    from apc.data.splitting import Division

    if len(flags.source) not in (1, 2):
        raise ValueError("SOURCE is missing; apc data import --help tells what it is")
    named, source = str(flags.source[0]) if len(flags.source) == 2 else "", flags.source[-1]
    if named and named not in FORMATS:
        raise ValueError(f"the format is {named!r}; {choose_from(FORMATS, named)}")
    wishes = Wishes(flags.classes, flags.separator, flags.labels, flags.take_unlabelled, flags.max_pixels)
    division = Division(flags.val, flags.group, flags.near, flags.seed, flags.max_pixels)
    try:
        lines = import_(
            named, source, flags.out, flags.images, wishes, division, copy=flags.copy, skip_broken=flags.skip_broken
        )
    except BadFiles as error:
        _name(error.problems)
        raise
    say("\n".join(lines))
    train = train_command("folder", root=str(flags.out), weights="timm")
    say(f"{flags.out}: `apc data check folder --root {_quoted(flags.out)}`, then `{train}`")


@dataclass(frozen=True, kw_only=True)
class SplitFlags:
    """Divide the photographs of your lists into train.csv and val.csv: groups stay together, classes get equal shares,
    and those that are scored have masks, where any has."""

    root: Path
    """Folder of the photographs."""
    lists: tuple[Path, ...] = (Path("train.csv"), Path("val.csv"))
    """Lists whose photographs are divided."""
    val: float = 0.2
    """Share of val.csv."""
    group: str = ""
    """Photographs that stay together: folder, near (alike by a perceptual hash) or a column of the lists."""
    near: int = 6
    """Bits of 64 in which the hashes of photographs that are alike may differ."""
    table: Path | None = None
    """A CSV file with the columns image and GROUP, where the lists have no such column."""
    seed: int = 0
    """Seed of the lists."""
    max_pixels: int = LIMIT
    """Pixels a photograph may have."""
    replace: bool = False
    """Write new lists in place of train.csv and val.csv."""


def _split(words: list[str]) -> None:
    flags = parse(SplitFlags, words, "apc data split")
    from apc.data.splitting import Division, split

    division = Division(flags.val, flags.group, flags.near, flags.seed, flags.max_pixels)
    say("\n".join(split(flags.root, flags.lists, flags.table, division, replace=flags.replace)))


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
    say(f"  apc data check folder --root {_quoted(root)}")
    say(f"  apc train pocket --dataset folder --root {_quoted(root)} --num-train 0")


def _quoted(path: Path) -> str:
    """A path as a shell takes it."""
    return shlex.quote(str(path))


def _name(problems: Sequence[str]) -> None:
    """Show the first ten of several problems."""
    for problem in problems[:10] if len(problems) > 1 else []:
        say(f"  {one_line(problem)}")


ACTIONS = {"prepare": _prepare, "check": _check, "cache": _cache, "import": _import, "split": _split, "draw": _draw}
