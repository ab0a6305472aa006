"""APC with the parts that the paper does not have: rates, labels, teacher, swap, augmentation, rounds, their masks."""

from dataclasses import replace
from typing import Any

from apc.config import Config, patch_of
from apc.search.spaces import Above, Choice, Real, Space, Whole, own_setting

MASKS = {"rounds": Above(0)}
"""Where there are rounds, and so masks to learn from."""
LARGER = (1.2, 1.4)
"""Multiples of the training size at which photographs are shown to the trained network, beside its own."""


def SPACE(base: Config) -> Space:
    """K reaches a quarter of the patches that `base` cuts an image into, from a hundredth. Rounds are the last of
    `epochs`, so every setting is given as many passes; two of four epochs want ten or more, and what finds no place in
    the base's is left out. A base that says at which size it is scored keeps that. No knobs are `round_scales`, several
    numbers, and `level_low`, since `level_high` alone moves how much `levels` leaves out."""
    space: Space = {
        "pooling": Choice(("adaptive_k", "top_k")),
        **_k(base),
        "theta": Real(0.5, 0.98, when={"pooling": ("adaptive_k",)}),
        "lambda1": Real(0.01, 1.0, log=True),
        "lambda2": Real(0.0, 0.1, step=0.005),
        "epsilon": Real(0.6, 0.95, when={"lambda2": Above(0.0)}),
        "lr": Real(5e-5, 5e-3, log=True),
        "lr_decay": Real(0.5, 1.0),
        "schedule": Choice(("constant", "cosine")),
        "seg_loss": Choice(("mean", "balanced")),
        "pseudo_label": Choice(("argmax", "levels")),
        "pseudo_threshold": Real(0.0, 0.9, when={"pseudo_label": ("argmax",)}),
        "level_high": Real(0.4, 0.9, when={"pseudo_label": ("levels",)}),
        "teacher": Choice((0.0, 0.03, 0.1)),
        "swap": Choice((0.0, 0.05, 0.2)),
        "jitter": Choice((0.0, 0.25, 0.5)),
        "crop_scale": Choice((1.0, 0.7, 0.4)),
        "grey": Choice((0.0, 0.2)),
        "blur": Choice((0.0, 0.5)),
        **_eval_size(base),
        "rounds": Choice(tuple(n for n in (0, 1, 2) if base.epochs - 4 * n >= max(base.frozen_epochs, 1))),
        "round_epochs": Whole(2, 4, when=MASKS),
        "round_lr": Real(2e-5, 1e-3, log=True, when=MASKS),
        "round_weight": Real(0.1, 3.0, log=True, when=MASKS),
        "round_refine": Choice(("crf", "par", "none"), when=MASKS),
        "round_threshold": Real(0.0, 0.9, when=MASKS),
    }
    return {name: _with_own(knob, getattr(base, name)) for name, knob in space.items()}


def FIRST(base: Config) -> tuple[dict[str, Any], ...]:
    """The base's own setting: a preset's, and so the paper's, where no file and no `--plus` says otherwise."""
    return (own_setting(SPACE(base), base),)


def _k(base: Config) -> Space:
    """K as a number or, over a base that has it as a share of the patches, as that."""
    if base.k_share:
        return {"k_share": Real(0.01, 0.25, log=True)}
    return {"k": Whole(max(base.patches // 100, 1), max(base.patches // 4, 2), log=True)}


def _eval_size(base: Config) -> Space:
    """The training size, which is 0, and larger ones in whole patches."""
    patch = patch_of(base.encoder)
    larger = tuple(round(times * base.image_size / patch) * patch for times in LARGER)
    return {} if base.eval_size else {"eval_size": Choice((0, *larger))}


def _with_own(knob: Real | Whole | Choice, own: Any) -> Real | Whole | Choice:
    """A choice with the base's own value among its values."""
    if not isinstance(knob, Choice) or own in knob.values:
        return knob
    return replace(knob, values=(own, *knob.values))
