"""Both loss weights and the threshold of adaptive-K together, with Optuna."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna import Trial

FIRST = ({"lambda1": 0.02, "lambda2": 0.01, "theta": 0.9},)
"""The paper's setting is the first trial, so that every search is comparable with it."""


def space(trial: "Trial") -> dict[str, Any]:
    """lambda1 and lambda2 on logarithmic scales below 1, theta between top-K (0.5) and nearly max."""
    return {
        "lambda1": trial.suggest_float("lambda1", 1e-3, 1.0, log=True),
        "lambda2": trial.suggest_float("lambda2", 1e-4, 0.1, log=True),
        "theta": trial.suggest_float("theta", 0.5, 0.95),
    }
