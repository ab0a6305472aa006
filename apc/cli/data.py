"""`apc data`: prepare VOC and COCO, check what is there, decode images ahead of training, draw the miniature."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from apc.cli.parsing import parse, positional

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


def _prepare(words: list[str]) -> None:
    def prepare(
        dataset: Annotated[Literal["voc", "coco"], positional()],
        root: Path,
        download: Annotated[int, _switch()] = 0,
        partial: Annotated[int, _switch()] = 0,
    ) -> tuple[str, Path, bool, bool]:
        """Make a data set ready: lists with image labels, and palette masks. What is done already is not done again.

        VOC: VOCdevkit/VOC2012, and SBD as benchmark_RELEASE/dataset or SBD, below ROOT. COCO 2014: annotations/,
        train2014/ and val2014/ below ROOT.

        Args:
            dataset: voc or coco.
            root: Folder of the data set; what is made goes to ROOT/apc.
            download: Fetch what is missing from the official archives: 3.5 GB for voc, 20 GB for coco.
            partial: Take a set that is not whole; its rows say so.
        """
        return dataset, root, bool(download), bool(partial)

    dataset, root, fetch, partial = parse(prepare, words, "apc data prepare")
    if not root.is_dir() and not fetch:
        raise ValueError(f"root is {str(root)!r}; there is no such folder")
    from apc.data import coco, prepared, preparing, voc
    from apc.files import require_writable

    module = voc if dataset == "voc" else coco
    require_writable(prepared.folder_of(root, dataset))
    if fetch:
        module.download(root)
    try:
        module.prepare(root, partial=partial)
    except preparing.BadFiles as error:
        _name(error.problems)
        raise
    manifest = prepared.manifest(str(root), dataset)
    for split, counts in manifest.counts.items():
        print(f"{split}.csv: " + ", ".join(f"{count} {subset}" for subset, count in counts.items()))
    parts = [name for name, whole in manifest.whole.items() if not whole]
    print(f"not whole: {', '.join(parts)}; every row says so" if parts else "complete")
    print(f"{prepared.folder_of(root, dataset)}: train with `apc train {dataset} --root {root}`")


def _check(words: list[str]) -> None:
    def check(
        dataset: Annotated[Literal["voc", "coco", "folder"], positional()],
        root: Path,
        lists: tuple[str, ...] = ("train.csv", "val.csv"),
    ) -> tuple[str, Path, tuple[str, ...]]:
        """Read every image and mask of a data set to its end, and compare sizes, values, labels and lists.

        Args:
            dataset: voc, coco or folder (your photographs).
            root: Folder of the data set.
            lists: Lists whose files are read.
        """
        return dataset, root, lists

    dataset, root, lists = parse(check, words, "apc data check")
    from apc.data.checking import check as look
    from apc.data.preparing import BadFiles

    summary, problems = look(dataset, str(root), list(lists))
    print(summary)
    if problems:
        _name(problems)
        raise BadFiles(problems)
    print("everything can be used")


def _cache(words: list[str]) -> None:
    def cache(
        dataset: Annotated[Literal["voc", "coco", "folder"], positional()],
        root: Path,
        image_size: int = 0,
        lists: tuple[str, ...] = ("train.csv",),
    ) -> tuple[str, Path, int, tuple[str, ...]]:
        """Decode and resize images once, into one file a list below ROOT/apc; training finds it by itself.

        Args:
            dataset: voc, coco or folder (your photographs).
            root: Folder of the data set.
            image_size: Side in pixels; default: the one `apc train` uses for the data set.
            lists: Lists whose images are decoded.
        """
        return dataset, root, image_size, lists

    dataset, root, size, lists = parse(cache, words, "apc data cache")
    from dataclasses import replace

    from apc import data
    from apc.config import PRESETS
    from apc.data.cache import build

    cfg = PRESETS[dataset]()
    size = replace(cfg, image_size=size or cfg.image_size).image_size
    for files in [data.files(dataset, str(root), name) for name in lists]:
        file = build(files, size)
        print(f"{file}: {len(files.paths)} images of {size} pixels, {file.stat().st_size / 2**20:.0f} MiB")


def _draw(words: list[str]) -> None:
    def draw(root: Path, num_train: int = 240, num_val: int = 48, data_seed: int = 0) -> tuple[Path, int, int, int]:
        """Draw the embedded miniature of VOC as a folder of photographs with labels and masks.

        Args:
            root: A new or an empty folder.
            num_train: Training images.
            num_val: Validation images.
            data_seed: Seed of the drawn data.
        """
        return root, num_train, num_val, data_seed

    root, num_train, num_val, data_seed = parse(draw, words, "apc data draw")
    from apc.data import pocket_folder

    pocket_folder.write(root, {"train": num_train, "val": num_val}, data_seed)
    print(f"{root}: {num_train} training and {num_val} validation images of {len(pocket_folder.pocket.KINDS)} classes")
    print(f"  apc data check folder --root {root}")
    print(f"  apc train pocket --dataset folder --root {root} --num-train 0")


def _switch() -> Any:
    """Mark of a flag without a value."""
    import tyro

    return tyro.conf.UseCounterAction


def _name(problems: Sequence[str]) -> None:
    """Show the first ten of several problems."""
    for problem in problems[:10] if len(problems) > 1 else []:
        print(f"  {problem}")


ACTIONS = {"prepare": _prepare, "check": _check, "cache": _cache, "draw": _draw}
