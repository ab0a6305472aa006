"""Whether masks end where colours change: what a score needs that is not to be fooled by masks grown, shrunken or
filled with one class.

Shapes: B photographs, S side of the square a photograph is squashed to.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

NEAR = 2
"""Pixels that a border may lie beside the change of colour."""


def border_contrast(images: Tensor, labels: Tensor) -> Tensor:
    """How much more the colours change along the borders of label maps than elsewhere in the same photograph:
    images (B,3,S,S) in [0,1] and labels (B,S,S) -> (B,), from 0, no more than at random, to 1.

    Every pixel is ranked among those of its photograph by the greatest change of colour within NEAR pixels, so that a
    photograph of strong contrast counts no more than a pale one; the score is the mean rank of the borders, of which a
    half is chance. A photograph without a border has 0.
    """
    border = torch.zeros_like(labels, dtype=torch.bool)
    border[..., :-1] |= labels[..., 1:] != labels[..., :-1]
    border[..., :-1, :] |= labels[..., 1:, :] != labels[..., :-1, :]
    pairs = zip(_changes(images).flatten(1), border.flatten(1), strict=True)
    return torch.stack([(2 * _mean_rank(change, change[at]) - 1).clip(min=0) for change, at in pairs])


def _mean_rank(values: Tensor, some: Tensor) -> Tensor:
    """Mean rank of some values among all, 0 to 1, 0 of none; equal values share the middle of their ranks."""
    order = values.sort().values
    below, not_above = (torch.searchsorted(order, some, right=right) for right in (False, True))
    return (below + not_above).sum() / (2 * len(values) * max(len(some), 1))


def _changes(images: Tensor) -> Tensor:
    """The greatest squared difference of colour between neighbours within NEAR pixels, (B,3,S,S) -> (B,S,S)."""
    smooth = F.avg_pool2d(images, 3, 1, 1, count_include_pad=False)
    change = torch.zeros_like(images[:, 0])
    change[..., :-1] = (smooth[..., 1:] - smooth[..., :-1]).square().sum(1)
    below = (smooth[..., 1:, :] - smooth[..., :-1, :]).square().sum(1)
    change[..., :-1, :] = torch.maximum(change[..., :-1, :], below)
    down = F.max_pool2d(change[:, None], (2 * NEAR + 1, 1), 1, (NEAR, 0))
    return F.max_pool2d(down, (1, 2 * NEAR + 1), 1, (0, NEAR))[:, 0]
