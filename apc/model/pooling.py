"""From patch scores to image scores (paper, section 3.3 and Table 7).

Shapes: B images, N patches, C classes. Everything works on log scores, so that a class whose scores have
all but vanished still gets a gradient: log_scores (B,N,C) -> log of the image score (B,C).
"""

import math

import torch
from torch import Tensor


def adaptive_count(scores: Tensor, k: int, theta: float) -> Tensor:
    """How many patches Algorithm 1 takes: scores (B,N,C) -> whole numbers 1..k (B,C).

    Algorithm 1 takes patch i while mean_i / mean_{i-1} > theta. The running means m of sorted scores never rise, so
    after one refusal every later patch is refused too and the count is the length of the first run of acceptances.
    Compared by product, which needs no division by a vanishing mean. theta >= 1 is max, theta <= 0.5 is top-k: the
    ratio of two running means cannot fall below (i-1)/i.
    """
    top = scores.detach().topk(min(k, scores.shape[1]), dim=1).values
    means = top.cumsum(1) / torch.arange(1, top.shape[1] + 1, device=top.device).view(1, -1, 1)
    accepted = means[:, 1:] > theta * means[:, :-1]
    return 1 + accepted.int().cumprod(1).sum(1)


def _log_mean_of_top(log_scores: Tensor, k: int, count: Tensor | None = None) -> Tensor:
    top = log_scores.topk(min(k, log_scores.shape[1]), dim=1).values
    if count is None:
        return top.logsumexp(1) - math.log(top.shape[1])
    rank = torch.arange(top.shape[1], device=top.device).view(1, -1, 1)
    chosen = top.masked_fill(rank >= count.unsqueeze(1), -math.inf)
    return chosen.logsumexp(1) - count.to(top.dtype).log()


def average(log_scores: Tensor) -> Tensor:
    """Mean over all patches."""
    return log_scores.logsumexp(1) - math.log(log_scores.shape[1])


def maximum(log_scores: Tensor) -> Tensor:
    """The best patch alone (GMP of ViT-PCM)."""
    return log_scores.amax(1)


def top_k(log_scores: Tensor, k: int) -> Tensor:
    """Mean of the k best patches of each class (Eq. 2 with a fixed k)."""
    return _log_mean_of_top(log_scores, k)


def adaptive_k(log_scores: Tensor, k: int, theta: float) -> Tensor:
    """Mean of the patches that Algorithm 1 selects, at most k of them (Eq. 2). The choice carries no gradient."""
    return _log_mean_of_top(log_scores, k, adaptive_count(log_scores.exp(), k, theta))


def pool(log_scores: Tensor, pooling: str, k: int, theta: float) -> Tensor:
    """Image log scores by name: (B,N,C) -> (B,C)."""
    if pooling == "average":
        return average(log_scores)
    if pooling == "max":
        return maximum(log_scores)
    if pooling == "top_k":
        return top_k(log_scores, k)
    assert pooling == "adaptive_k"
    return adaptive_k(log_scores, k, theta)
