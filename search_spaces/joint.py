"""All six knobs of the paper together: pooling, K, theta, epsilon and both loss weights."""

from typing import Any

from apc.config import default_of
from apc.search.spaces import Above, Choice, Real, Space, Whole

SPACE: Space = {
    "pooling": Choice(("adaptive_k", "top_k", "max", "average")),
    "k": Whole(2, 12, when={"pooling": ("top_k", "adaptive_k")}),
    "theta": Real(0.5, 0.98, when={"pooling": ("adaptive_k",)}),
    "lambda1": Real(0.001, 1.0, log=True),
    "lambda2": Real(0.0, 0.1, step=0.005),
    "epsilon": Real(0.6, 0.95, when={"lambda2": Above(0.0)}),
}
"""K of 1 is max pooling, which stands here by its name; theta of 1 would be max too, and 0 top-K. lambda2 of 0 is APC
without its patch contrastive error, and then there is no epsilon."""

FIRST: tuple[dict[str, Any], ...] = ({knob: default_of(knob) for knob in SPACE},)
"""The paper's setting is the first trial, so that every search is comparable with it."""
