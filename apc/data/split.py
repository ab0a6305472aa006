"""What every data set's `load` hands out, and which of a list's images a config uses.

Shapes: S side of the resized image, H,W the photograph's own pixels, C classes (background is class 0).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from apc.config import Config
from apc.data.images import Images
from apc.data.masks import Truth


@dataclass
class Split:
    """One split of a data set."""

    classes: list[str]
    """Class names, background first."""
    names: list[str]
    """File name or number of each image."""
    labels: Tensor
    """Image labels, (n, C-1), 0 or 1."""
    images: Images
    """Resized images, (n,3,S,S) uint8: in memory, in a cache, or decoded when asked for."""
    photo: Callable[[int], np.ndarray]
    """Image i at its own size, (H,W,3) uint8."""
    mask: Callable[[int], np.ndarray | None] = field(default=lambda i: None)
    """Truth of image i at its own size, (H,W) uint8, 255 = ignore; None where there is none."""
    truth: Callable[[int], Truth | None] = field(default=lambda i: None)
    """What the mask of image i holds, to be held against its labels; None where there is none, or it needs no look."""
    place: str = ""
    """Where it comes from, for a sentence."""
    skipped: list[str] = field(default_factory=list)
    """A sentence for each photograph that is left out since it cannot be decoded."""
    verified: bool = False
    """Whether every file was read whole when the data set was prepared."""
    listed: int = 0
    """How many images the whole list has that it is of."""
    rows: list[int] = field(default_factory=list)
    """The number of each image in that list."""

    def __len__(self) -> int:
        return len(self.names)

    @property
    def masked(self) -> bool:
        """Whether any of its images has a mask."""
        return any(self.mask(i) is not None for i in range(len(self)))


def require_other(cfg: Config, root: str, val_list: str) -> None:
    """ValueError where other photographs are named for a data set that has no files, so that they would be ignored."""
    for name, value in (("root", root), ("val_list", val_list)):
        if value and cfg.dataset == "pocket":
            drawn = "the run's data set is pocket, which is drawn from a seed and has no files"
            raise ValueError(f"{name} is {value!r}; {drawn}: score a run of your own photographs on others")


def list_of(cfg: Config, split: str) -> str:
    """Name of the list that `train` or `val` is read from."""
    return cfg.train_list if split == "train" else cfg.val_list


def side_of(cfg: Config, split: str) -> int:
    """Side S in pixels of a split's images: what is trained on, or what is scored."""
    return cfg.image_size if split == "train" else cfg.scored_size


def chosen(cfg: Config, split: str, count: int) -> list[int]:
    """Numbers of the images used, of `count`: `num_train` drawn with the seed, the first `num_val`.

    ValueError where there are not so many.
    """
    if split != "train":
        if cfg.num_val > count:
            raise ValueError(f"num_val is {cfg.num_val}; the {split} list has {count} images")
        return list(range(cfg.num_val or count))
    if cfg.num_train > count:
        raise ValueError(f"num_train is {cfg.num_train}; the training list has {count} images")
    order = np.random.default_rng([cfg.seed, 1]).permutation(count) if cfg.num_train else np.arange(count)
    return sorted(int(i) for i in order[: cfg.num_train or count])
