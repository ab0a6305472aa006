"""The embedded miniature written as a folder of photographs, to try the layout and the commands that need files."""

import csv
import functools
import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from apc.data import pocket
from apc.data.masks import write_mask
from apc.files import write_atomically, write_encoded
from apc.folders import new_folder
from apc.parallel import each


def write(root: Path, counts: dict[str, int], data_seed: int = 0) -> None:
    """Write the first `counts[split]` pictures of each split, masks, classes.txt and the lists below `root`.

    What an earlier call left unfinished goes on. ValueError where a count is none of the split's or `root` already
    holds other files.
    """
    for split, count in counts.items():
        if not 1 <= count <= pocket.SIZES[split]:
            raise ValueError(f"num_{split} is {count}; it must lie between 1 and {pocket.SIZES[split]}")
    words = [f"--num-{split} {count}" for split, count in counts.items()]
    with new_folder(root, " ".join(["apc data draw", *words, f"--data-seed {data_seed}"]), "root"):
        (root / "images").mkdir(exist_ok=True)
        lists = {
            split: each(list(range(count)), functools.partial(_pair, root, split, data_seed), f"drawing {split}")
            for split, count in counts.items()
        }
        write_atomically(root / "classes.txt", "\n".join(pocket.CLASSES[1:]) + "\n")
        for split, lines in lists.items():  # last: a folder without lists is no data set
            write_atomically(root / f"{split}.csv", _csv(lines))


def _pair(root: Path, split: str, data_seed: int, index: int) -> tuple[str, str]:
    """Write a picture and its mask; its line of the list, name and labels."""
    image, mask = pocket.draw(split, index, data_seed)
    name = f"{split}_{index:04}"
    encoded = io.BytesIO()
    Image.fromarray(image).save(encoded, format="PNG")
    write_encoded(root / "images" / f"{name}.png", encoded.getvalue())
    write_mask(root / "masks" / f"{name}.png", mask, "drawn")
    return f"{name}.png", " ".join(pocket.CLASSES[c] for c in np.unique(mask[mask > 0]))


def _csv(lines: Iterable[tuple[str, str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("image", "labels"), *lines])
    return text.getvalue()
