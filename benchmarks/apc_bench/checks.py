"""How far the model of APC-Bench can be trusted: settings it has not seen, and early epochs against late ones."""

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.apc_bench.model import Bench, World, encoded, fitted, in_space, settings_of, training_data

if TYPE_CHECKING:
    from pandas import DataFrame

GOOD = 48.0
"""A held-out score that a search is looking for: those of the table above it are judged on their own."""


def on_unseen(
    frame: "DataFrame", kind: str, epochs: int = 10, folds: int = 10
) -> dict[str, tuple[int, float, float, float]]:
    """Group -> settings, Spearman, R2 and root mean square error of the held-out final scores of settings left out."""
    from scipy.stats import spearmanr

    (x, y, _), _ = training_data(in_space(frame, epochs), epochs)
    parts = np.random.default_rng(0).permutation(len(x)) % folds
    said = np.zeros(len(x))
    for part in range(folds):
        said[parts == part] = fitted(kind, x[parts != part], y[parts != part])(x[parts == part])[:, 1]
    usual = encoded({"pooling": "max", "lambda1": 1.0, "lambda2": 0.0})[5]
    groups = {
        "all settings": np.ones(len(x), bool),
        "at the preset's learning rates": np.abs(x[:, 5] - usual) < 1e-9,
        "at other learning rates": np.abs(x[:, 5] - usual) >= 1e-9,
        f"those above {GOOD:g}": y[:, 1] > GOOD,
    }
    found = {}
    for name, own in groups.items():
        true, guess = y[own, 1], said[own]
        if own.sum() > 3:
            error = ((guess - true) ** 2).mean()
            found[name] = (
                int(own.sum()),
                float(spearmanr(guess, true)[0]),
                float(1 - error / true.var()),
                float(error**0.5),
            )
    return found


def early_ranks(frame: "DataFrame", bench: Bench, epochs: int = 10) -> tuple[list[float], list[float]]:
    """Spearman of each epoch's tune_miou with the last one's over settings of one seed: as measured, and in the model's
    own runs of the same settings."""
    from scipy.stats import spearmanr

    own = in_space(frame, epochs)
    own = own[(own["seed"] == 0) & (own.groupby("run")["epoch"].transform("count") == epochs)]
    own = own.sort_values(["run", "epoch"])
    measured = own["tune_miou"].to_numpy(float).reshape(-1, epochs)
    settings = settings_of(own[own["epoch"] == epochs])
    model = [
        np.array([World(bench, world).run(setting, trial, 0)[:, 0] for trial, setting in enumerate(settings)])
        for world in range(20)
    ]

    def ranks(scores: np.ndarray) -> list[float]:
        return [float(spearmanr(scores[:, epoch], scores[:, -1])[0]) for epoch in range(epochs)]

    return ranks(measured), list(np.mean([ranks(scores) for scores in model], axis=0))
