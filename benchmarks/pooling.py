"""Adaptive-K: the vectorised form over Algorithm 1 as the paper writes it.

    python benchmarks/pooling.py

16 images x 576 patches x 21 classes, K = 6, theta = 0.9, one thread. Both in this process, one after the other; the
ratio, not the seconds, is the result. Wanted: at least 30 times, equal to 1e-6.
"""

import time
from collections.abc import Callable

import torch
from torch import Tensor

from apc.models.pooling import pool


def algorithm_1(scores: Tensor, k: int, theta: float) -> Tensor:
    """The paper's loops over images, classes and i: scores (B,N,C) -> image scores (B,C)."""
    pooled = torch.empty(scores.shape[0], scores.shape[2])
    for b, image in enumerate(scores):
        for c in range(image.shape[1]):
            ordered = image[:, c].sort(descending=True).values
            selected = ordered[:1]
            for i in range(2, k + 1):
                current = ordered[:i]
                if current.mean() / selected.mean() > theta:
                    selected = current
            pooled[b, c] = selected.mean()
    return pooled


def vectorised(log_scores: Tensor) -> Tensor:
    """What a training step runs: log patch scores (B,N,C) -> image scores (B,C). Makes log(1 - y) beside it."""
    return pool(log_scores, "adaptive_k", 6, 0.9)[0].exp()


def seconds(function: Callable[[], Tensor], repeats: int) -> float:
    """Best wall seconds of one call."""
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - start)
    return best


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    log_scores = (3 * torch.randn(16, 576, 21)).log_softmax(-1)
    scores = log_scores.exp()
    difference = (vectorised(log_scores) - algorithm_1(scores, 6, 0.9)).abs().max().item()
    ours, loops = seconds(lambda: vectorised(log_scores), 20), seconds(lambda: algorithm_1(scores, 6, 0.9), 3)
    print(f"loops {1e3 * loops:.1f} ms, vectorised {1e3 * ours:.2f} ms, largest difference {difference:.1e}")
    assert difference < 1e-6
    print(f"ratio {loops / ours:.0f} (wanted: at least 30)")


if __name__ == "__main__":
    main()
