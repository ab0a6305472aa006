"""From patch scores to image scores (paper, section 3.3, Algorithm 1 and Table 7).

Shapes: B images, N patches, C classes. Everything works on log scores, so that a class whose scores have all but
vanished still gets a gradient; and beside log y goes log(1 - y), so that one whose scores are all but 1 gets it too.
"""

import math

import torch
from torch import Tensor

TIE = 1e-6
"""Relative difference below which a ratio of means counts as theta; float32 holds a score to 6e-8 of itself."""


def most_patches(patches: int, k: int, k_share: float) -> int:
    """K of an image of so many patches: `k`, or the share of them where `k_share` is above 0, rounded, at least 1."""
    return max(round(k_share * patches), 1) if k_share else k


def adaptive_count(scores: Tensor, k: int, theta: float) -> Tensor:
    """How many patches Algorithm 1 takes: scores (B,N,C) -> whole numbers 1..k (B,C).

    Algorithm 1 takes patch i while mean_i / mean_{i-1} > theta. The running means m of sorted scores never rise, so
    after one refusal every later patch is refused too and the count is the length of the first run of acceptances.
    Compared by product, which needs no division by a vanishing mean. theta >= 1 is max, theta <= 0.5 is top-k: the
    ratio of two running means cannot fall below (i-1)/i.

    A ratio that is theta to within TIE is a tie, and a tie is refused: Algorithm 1 takes what lies above. So a tie of
    scores that float32 cannot hold, .9 and .72 at theta .9, ends alike everywhere, and equal scores at theta 1 are
    never told apart by a sum's last digit. Of equal scores at the end of the count torch chooses one patch: y is the
    same, its gradient goes to that patch.
    """
    return _accepted(scores.detach().topk(min(k, scores.shape[1]), dim=1).values, theta)


def _accepted(top: Tensor, theta: float) -> Tensor:
    means = top.double().cumsum(1) / torch.arange(1, top.shape[1] + 1, device=top.device).view(1, -1, 1)
    accepted = means[:, 1:] > theta * (1 + TIE) * means[:, :-1]
    return 1 + accepted.int().cumprod(1).sum(1)


def pool(log_scores: Tensor, pooling: str, k: int = 1, theta: float = 0.0) -> tuple[Tensor, Tensor]:
    """Image scores y by name of the pooling: log patch scores (B,N,C) -> log y and log(1 - y), each (B,C) (Eq. 2).

    `average` is the mean of all patches, `max` the best one of each class (GMP of ViT-PCM), `top_k` the mean of the k
    best, `adaptive_k` that of those Algorithm 1 takes. The choice of patches carries no gradient. 1 - y of a class is
    what the other classes score on its patches, summed, which is exact however near y is to 1.
    """
    images, patches, classes = log_scores.shape
    if pooling == "average":
        means = _log_mean(log_scores).unsqueeze(1).expand(-1, classes, -1)
    else:
        top = log_scores.topk(min(1 if pooling == "max" else k, patches), dim=1)
        count = _accepted(top.values.detach().exp(), theta) if pooling == "adaptive_k" else None
        rows = torch.arange(images, device=top.indices.device).view(-1, 1, 1)
        means = _log_mean(log_scores[rows, top.indices], count)  # (B,C,C): of each class's patches, all scores
    own = torch.eye(classes, dtype=torch.bool, device=means.device)
    return means.diagonal(dim1=1, dim2=2), means.masked_fill(own, -math.inf).logsumexp(-1)


def _log_mean(logs: Tensor, count: Tensor | None = None) -> Tensor:
    """Log of the mean over dimension 1, (B,K,...) -> (B,...); with `count` (B,C), of the first `count` of a class."""
    if count is None:
        return logs.logsumexp(1) - math.log(logs.shape[1])
    rank = torch.arange(logs.shape[1], device=logs.device).view(1, -1, 1)
    refused = (rank >= count.unsqueeze(1)).unsqueeze(-1)
    return logs.masked_fill(refused, -math.inf).logsumexp(1) - count.unsqueeze(-1).to(logs.dtype).log()
