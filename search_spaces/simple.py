"""Both loss weights and the threshold of adaptive-K together, with Optuna."""

from apc.config import default_of
from apc.search.spaces import Real, Space

SPACE: Space = {
    "lambda1": Real(0.001, 1.0, log=True),
    "lambda2": Real(0.0001, 0.1, log=True),
    "theta": Real(0.5, 0.95),  # between top-K and nearly max
}

FIRST = ({knob: default_of(knob) for knob in SPACE},)
"""The paper's setting is the first trial, so that every search is comparable with it."""
