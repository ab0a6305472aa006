"""The three terms of Eq. 7 as pure functions of tensors; all of them compute in float32.

Shapes: B images, N patches, D features, C classes (background first), H,W pixels.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

SWAP_TEMPERATURE = 0.01
"""Of the decoder's probabilities where they teach the patches, which is nearly the winner alone (CoSA)."""


def mce(log_y: Tensor, log_rest: Tensor, labels: Tensor, background: str = "one") -> Tensor:
    """Multi-label classification error: log y and log(1 - y) (B,C), labels (B,C-1) -> scalar (Eq. 3).

    Mean over classes, then images. Both logs come from `pool`: a clamp on y gives a class that starts dead, or an
    absent one that starts certain, a gradient of exactly zero. The background counts as present in every image, or is
    left out ("ignore").
    """
    target = F.pad(labels.float(), (1, 0), value=1.0)
    loss = -torch.where(target > 0, log_y.float(), log_rest.float())
    return loss[:, 1:].mean() if background == "ignore" else loss.mean()


def mce_clamped(scores: Tensor, labels: Tensor, background: str = "one") -> Tensor:
    """ViT-PCM's form of Eq. 3: scores (B,C) clamped to [1e-7, 1 - 1e-7], 1e-7 added inside both logarithms."""
    y = scores.float().clamp(1e-7, 1 - 1e-7)
    target = F.pad(labels.float(), (1, 0), value=1.0)
    loss = -(target * torch.log(y + 1e-7) + (1 - target) * torch.log(1 - y + 1e-7))
    return loss[:, 1:].mean() if background == "ignore" else loss.mean()


def pce(features: Tensor, scores: Tensor, epsilon: float, present: Tensor | None = None) -> Tensor:
    """Patch contrastive error, summed over classes, mean over images: (B,N,D), (B,N,C) -> scalar (Eq. 4-6).

    High patches of a class (score > epsilon) attract each other, high and low ones (score < 1 - epsilon) repel.
    With unit vectors u the pair sums close: sum_{i != j} u_i.u_j = |sum u|^2 - n, so the cost is linear in patches and
    no N x N matrix is built. `present` (B,C) 0/1 restricts the sum to the image's classes. A term without pairs is 0.
    Thresholds carry no gradient: PCE moves the features, not the classifier.
    """
    u = F.normalize(features.float(), dim=-1)
    z = scores.detach().float()
    high, low = (z > epsilon).float(), (z < 1 - epsilon).float()
    with torch.autocast(features.device.type, enabled=False):  # |sum u|^2 - n cancels; bf16 would lose it
        sum_high, sum_low = high.transpose(1, 2) @ u, low.transpose(1, 2) @ u  # (B,C,D)
    n_high, n_low = high.sum(1), low.sum(1)  # (B,C)
    positives, negatives = n_high * (n_high - 1), n_high * n_low  # ordered pairs
    attract = (positives - (sum_high.square().sum(-1) - n_high)) / (2 * positives.clamp(min=1))
    repel = (negatives + (sum_high * sum_low).sum(-1)) / (2 * negatives.clamp(min=1))
    # Without pairs both numerators are 0 already, up to rounding; the comparison makes it exact.
    loss = attract * (positives > 0) + repel * (negatives > 0)
    if present is not None:
        loss = loss * present
    return loss.sum(1).mean()


def segmentation(logits: Tensor, pseudo: Tensor) -> Tensor:
    """Cross-entropy of decoder logits (B,C,H,W) with pseudo labels (B,H,W), 255 ignored; 0 where all is ignored."""
    total = F.cross_entropy(logits.float(), pseudo, ignore_index=255, reduction="sum")
    return total / (pseudo != 255).sum().clamp(min=1)


def swapped(log_scores: Tensor, decoded: Tensor, present: Tensor) -> Tensor:
    """Cross-entropy of patch log scores (B,N,C) with what the decoder's logits (B,C,h,w) say of each patch among the
    `present` classes (B,C) 0/1: their probabilities through a softmax at SWAP_TEMPERATURE.

    CoSA, whose scores go through a sigmoid, takes the multi-label soft margin; APC's go through a softmax (Eq. 1).
    """
    shares = decoded.detach().float().softmax(1) / SWAP_TEMPERATURE
    target = shares.masked_fill(present[:, :, None, None] == 0, -torch.inf).softmax(1).flatten(2).transpose(1, 2)
    return -(target * log_scores).sum(-1).mean()


def balanced_segmentation(logits: Tensor, pseudo: Tensor, compat: str = "fixed") -> Tensor:
    """Half the mean cross-entropy of background pixels and half that of object pixels (AFA, ToCo; method-spec 0.6):
    logits (B,C,H,W), pseudo labels (B,H,W), 255 ignored. A kind without pixels adds 0; in the official code it divides
    by 0, and the loss is NaN."""
    kinds = by_kind(logits, pseudo, compat)
    return 0.5 * (kinds.background + kinds.objects)


class Kinds(NamedTuple):
    """Something of background pixels, and of pixels of objects."""

    background: Tensor
    objects: Tensor


def kinds_of(pseudo: Tensor) -> Kinds:
    """Which pixels of pseudo labels are of either kind; those that are ignored are of none."""
    return Kinds(pseudo == 0, (pseudo != 0) & (pseudo != 255))


def by_kind(logits: Tensor, pseudo: Tensor, compat: str = "fixed") -> Kinds:
    """The two means of `balanced_segmentation`."""
    each = F.cross_entropy(logits.float(), pseudo, ignore_index=255, reduction="none")
    least = 1 if compat == "fixed" else 0
    return Kinds(*((each * kind).sum() / kind.sum().clamp(min=least) for kind in kinds_of(pseudo)))
