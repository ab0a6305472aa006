"""APC with the parts that the paper does not have: K as a share, rates, labels, teacher, swap, augmentation, rounds."""

from typing import Any

from apc.config import default_of
from apc.search.spaces import Above, Choice, Real, Space, Whole

SPACE: Space = {
    "pooling": Choice(("adaptive_k", "top_k")),
    "k_share": Real(0.01, 0.25, log=True),
    "theta": Real(0.5, 0.98, when={"pooling": ("adaptive_k",)}),
    "lambda1": Real(0.01, 1.0, log=True),
    "lambda2": Real(0.0, 0.1, step=0.005),
    "epsilon": Real(0.6, 0.95, when={"lambda2": Above(0.0)}),
    "lr": Real(5e-5, 5e-3, log=True),
    "lr_decay": Real(0.5, 1.0),
    "schedule": Choice(("constant", "cosine")),
    "seg_loss": Choice(("mean", "balanced")),
    "pseudo_label": Choice(("argmax", "levels")),
    "level_high": Real(0.4, 0.9, when={"pseudo_label": ("levels",)}),
    "teacher": Choice((0.0, 0.03, 0.1)),
    "swap": Choice((0.0, 0.05, 0.2)),
    "jitter": Choice((0.0, 0.25, 0.5)),
    "crop_scale": Choice((1.0, 0.7, 0.4)),
    "rounds": Choice((0, 1, 2)),
    "round_epochs": Whole(2, 4, when={"rounds": (1, 2)}),
    "round_weight": Real(0.1, 3.0, log=True, when={"rounds": (1, 2)}),
    "round_threshold": Real(0.0, 0.9, when={"rounds": (1, 2)}),
}
"""Rounds are the last of `epochs`, so every setting is given as many passes; two of four epochs want ten or more."""

_OFF = ("level_high", "round_epochs", "round_weight", "round_threshold")
FIRST: tuple[dict[str, Any], ...] = (
    {knob: default_of(knob) for knob in SPACE if knob not in _OFF} | {"k_share": default_of("k") / 576},
)
"""The paper's setting comes first, its K as a share of its 576 patches."""
