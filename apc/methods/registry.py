"""The methods there are, by the name a config gives them.

`compat="official"` makes those slips of AFA's and ToCo's official code again that change training and can occur here;
docs/reference/methods.md has all deviations in a table. ToCo's local crops are cut from an image that is mirrored by
chance while their places are drawn, and their positives told, on the image as it is. AFA's decoder reads every pass of
the CAM, which BatchNorm's running statistics remember. And in both the balanced segmentation loss divides by zero where
a batch has no background or no object pixel, even before the decoder learns, when it counts 0 times: then training
stops with a loss that is not finite, and else Adam counts steps whose gradients are zero.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from apc.config import PRESETS, Config
from apc.data import folder, pocket, prepared
from apc.methods.afa import AFA
from apc.methods.apc import APC
from apc.methods.base import Method
from apc.methods.published import PROPORTIONS, PUBLISHED
from apc.methods.toco import ToCo
from apc.methods.vit_pcm import ViTPCM

METHODS: dict[str, Callable[[Config, int], Method]] = {"apc": APC, "vit_pcm": ViTPCM, "afa": AFA, "toco": ToCo}


def preset(name: str, asked: Config) -> Config:
    """Setting that `apc train NAME` starts from where flags and file came to `asked`; they are laid over it again.

    The preset itself for apc; for another method its published setting on voc and coco, and elsewhere its proportions.
    """
    if asked.method == "apc":
        return PRESETS[name]()
    if name in ("voc", "coco"):
        return PUBLISHED[asked.method](name)
    return replace(asked, **proportioned(asked, asked.method))


def proportioned(base: Config, method: str) -> dict[str, Any]:
    """Fields that turn `base` into `method`'s setting in the published proportions: a warm-up is a share of all steps,
    so the training images are counted."""
    return PROPORTIONS[method](replace(base, num_train=base.num_train or _train_images(base)))


def _train_images(base: Config) -> int:
    """How many training images the lists have; 0 before a folder is named."""
    if base.dataset == "pocket":
        return pocket.SIZES["train"]
    if not base.root:
        return 0
    if base.dataset == "folder":
        return len(folder.read_list(base.root, base.train_list).names)
    return len(prepared.read_entries(base.root, base.dataset, base.train_list))


_OF_SOME: dict[str, tuple[Any, tuple[str, ...]]] = {
    "compat": ("fixed", ("afa", "toco")),
    "energy_weight": (0, ("afa", "toco")),
    "stage2_epochs": (0, ("vit_pcm",)),
    "teacher": (0, ("apc",)),
    "swap": (0, ("apc",)),
}
"""Fields that only some methods have: what they are for the others, and whose they are."""


def build(cfg: Config, num_classes: int) -> Method:
    """The method a config names, untrained but for its encoder's weights."""
    for name, (off, owners) in _OF_SOME.items():
        if cfg.method not in owners and (value := getattr(cfg, name)) != off:
            theirs = " and ".join(owners)
            raise ValueError(f"{name} is {value}; it is of {theirs}, and for method {cfg.method} must be {off}")
    return METHODS[cfg.method](cfg, num_classes)
