"""Labels of pixels from CAMs that flow along an affinity."""

import torch

from apc.methods import affinity as pairs


def label_along(
    par: pairs.Refine,
    images: torch.Tensor,
    cam: torch.Tensor,
    labels: torch.Tensor,
    flow: torch.Tensor,
    levels: pairs.Levels,
) -> torch.Tensor:
    """Labels of pixels (B,H,W) from CAMs (B,C-1,h,w), propagated along `flow` and refined."""
    along = pairs.shares_along(cam, labels, flow, levels, (images.shape[-2], images.shape[-1]))
    return pairs.strict_and_lax(pairs.refine_scores(par, images, along), pairs.own_classes(labels))
