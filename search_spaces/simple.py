"""Both loss weights and the threshold of adaptive-K together, with Optuna."""

from apc.search.spaces import Real, Space

SPACE: Space = {
    "lambda1": Real(0.001, 1.0, log=True),
    "lambda2": Real(0.0001, 0.1, log=True),
    "theta": Real(0.5, 0.95),  # between top-K and nearly max
}

FIRST = ({"lambda1": 0.02, "lambda2": 0.01, "theta": 0.9},)
"""The paper's setting is the first trial, so that every search is comparable with it."""
