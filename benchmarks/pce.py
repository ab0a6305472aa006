"""PCE: the closed form over the loop over pairs, and over a full similarity matrix; value, gradient and memory.

    python benchmarks/pce.py

One image, D = 192, forward and backward, one thread. Wanted: at least 500 times the loop at 576 patches x 21 classes,
at least 20 times the matrix at 3,600 patches, and memory that grows with patches, not with their square.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from apc.methods.losses import pce

EPSILON = 0.85


def pair_loop(features: Tensor, scores: Tensor) -> Tensor:
    """Eq. 6, pair by pair: (1,N,D), (1,N,C) -> scalar."""
    u, z, total = F.normalize(features[0], dim=-1), scores[0], features.new_zeros(())
    for c in range(z.shape[1]):
        high, low = (z[:, c] > EPSILON).nonzero()[:, 0].tolist(), (z[:, c] < 1 - EPSILON).nonzero()[:, 0].tolist()
        same = [1 - (1 + u[i] @ u[j]) / 2 for i in high for j in high if i != j]
        other = [(1 + u[i] @ u[j]) / 2 for i in high for j in low]
        total = total + sum(torch.stack(pairs).mean() for pairs in (same, other) if pairs)
    return total


def matrix(features: Tensor, scores: Tensor) -> Tensor:
    """Eq. 6 through the N x N similarities, all classes at once: what one writes who does not close the sum."""
    u, z = F.normalize(features[0], dim=-1), scores[0]
    similarity = (1 + u @ u.T) / 2
    high, low = (z > EPSILON).float(), (z < 1 - EPSILON).float()
    to_high, n_high = similarity @ high, high.sum(0)
    same = n_high * (n_high - 1) - ((to_high * high).sum(0) - n_high)  # the diagonal is 1
    other = (to_high * low).sum(0)
    return (same / (n_high * (n_high - 1)).clamp(min=1) + other / (n_high * low.sum(0)).clamp(min=1)).sum()


def case(patches: int, classes: int = 21) -> tuple[Tensor, Tensor]:
    """Features and scores of one image in which each class wins a few patches surely."""
    generator = torch.Generator().manual_seed(0)
    logits = 4 * torch.randn(1, patches, classes, generator=generator)
    return torch.randn(1, patches, 192, generator=generator), logits.softmax(-1)


class Measured(NamedTuple):
    """One way to compute the loss on one image."""

    seconds: float
    """Best wall seconds of forward and backward."""
    value: float
    gradient: Tensor
    """(1,N,D), with respect to the features."""


def measure(function: Callable[[Tensor, Tensor], Tensor], features: Tensor, scores: Tensor, repeats: int) -> Measured:
    """Forward and backward, several times: (1,N,D), (1,N,C)."""
    best, value, gradient = float("inf"), 0.0, features
    for _ in range(repeats):
        x = features.clone().requires_grad_()
        start = time.perf_counter()
        loss = function(x, scores)
        loss.backward()
        best = min(best, time.perf_counter() - start)
        assert x.grad is not None
        value, gradient = loss.item(), x.grad
    return Measured(best, value, gradient)


class _Largest(TorchDispatchMode):
    """Numbers in the largest tensor that is made."""

    numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.numbers = max([self.numbers, *(t.numel() for t in tree_leaves(out) if isinstance(t, Tensor))])
        return out


def largest(patches: int) -> int:
    """Numbers in the largest tensor that the closed form makes, forward or backward."""
    features, scores = case(patches)
    with _Largest() as tensors:  # type: ignore[no-untyped-call]
        pce(features.requires_grad_(), scores, EPSILON).backward()
    return int(tensors.numbers)


def ours(features: Tensor, scores: Tensor) -> Tensor:
    """The closed form."""
    return pce(features, scores, EPSILON)


def main() -> None:
    torch.set_num_threads(1)
    ratios = {}
    for name, other, patches, repeats in (("pair loop", pair_loop, 576, 1), ("full matrix", matrix, 3600, 5)):
        features, scores = case(patches)
        pairs = int(((scores > EPSILON).sum(1) ** 2).sum())
        slow, fast = measure(other, features, scores, repeats), measure(ours, features, scores, 10)
        error = (fast.gradient - slow.gradient).abs().max() / slow.gradient.abs().max()
        print(
            f"{name}, {patches} patches, {pairs} high pairs: {1e3 * slow.seconds:.0f} ms; closed form "
            f"{1e3 * fast.seconds:.2f} ms; values {slow.value:.6f} {fast.value:.6f}; gradient differs by {error:.0e} "
            "of its largest entry"
        )
        assert abs(slow.value - fast.value) < 1e-4 and error < 1e-4
        ratios[name] = slow.seconds / fast.seconds
    one, four = largest(900), largest(3600)
    print(f"largest tensor: {one} numbers at 900 patches, {four} at 3,600, times {four / one:.1f}")
    print(f"ratio {ratios['pair loop']:.0f} over the pair loop (wanted: at least 500)")
    print(f"ratio {ratios['full matrix']:.0f} over the full matrix (wanted: at least 20)")


if __name__ == "__main__":
    main()
