"""All six knobs of the paper together: pooling, K, theta, epsilon and both loss weights."""

from typing import Any

from apc.config import Config, default_of
from apc.search.spaces import Above, Choice, Real, Space, Whole


def SPACE(base: Config) -> Space:
    """K reaches a quarter of the patches that `base` cuts an image into, 36 on the embedded data. K of 1 is max
    pooling, which stands here by its name; theta of 1 would be max too, and 0 top-K. lambda2 of 0 is APC without its
    patch contrastive error, and then there is no epsilon."""
    return {
        "pooling": Choice(("adaptive_k", "top_k", "max", "average")),
        "k": Whole(2, max(base.patches // 4, 2), log=True, when={"pooling": ("top_k", "adaptive_k")}),
        "theta": Real(0.5, 0.98, when={"pooling": ("adaptive_k",)}),
        "lambda1": Real(0.001, 1.0, log=True),
        "lambda2": Real(0.0, 0.1, step=0.005),
        "epsilon": Real(0.6, 0.95, when={"lambda2": Above(0.0)}),
    }


PAPER: dict[str, Any] = {knob: default_of(knob) for knob in SPACE(Config())}
WITHOUT = {"top_k": ("theta",), "max": ("k", "theta"), "average": ("k", "theta")}
"""Knobs that another pooling than the paper's does not have."""
FIRST: tuple[dict[str, Any], ...] = (
    PAPER,
    *(
        {knob: pooling if knob == "pooling" else value for knob, value in PAPER.items() if knob not in missing}
        for pooling, missing in WITHOUT.items()
    ),
)
"""The paper's setting is the first trial, so that every search is comparable with it. Then the same under each other
pooling, the paper's Table 7: which one suits the images is the knob that matters most, and four trials tell."""
