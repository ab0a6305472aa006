"""Class activation maps: over several scales, and as labels of pixels (method-spec 0.3 to 0.5). Shared by AFA and ToCo.

Shapes: B images, H,W pixels, h,w the grid of a map, C classes (background is class 0, and no CAM has it).
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from apc.methods.affinity import Levels, own_classes, refine_scores, strict_and_lax
from apc.models.par import PAR

Maps = Callable[[Tensor], Tensor]
"""Images (2B,3,H',W'), the plain ones and behind them their mirror images -> raw maps (2B,n,h,w)."""


@torch.no_grad()
def multi_scale_cam(maps: Maps, images: Tensor, scales: tuple[float, ...], unit: int = 1, least: int = 1) -> Tensor:
    """Maps of images (B,3,H,W) in [0,1] over several scales and mirrored: (B,n,H,W), each from 0 to nearly 1.

    The larger of a map and its mirror image's, without its negative part, is summed over the scales. Sides are brought
    to multiples of `unit`, the encoder's patch, of `least` pixels or more, for images of any size.
    """
    size, total = images.shape[-2:], torch.zeros((), device=images.device)
    for scale in scales:
        shown = images
        if scale != 1:
            resized = tuple(max(int(scale * side / unit) * unit, unit, least) for side in size)
            shown = F.interpolate(images, size=resized, mode="bilinear", align_corners=False)
        scaled = F.interpolate(
            maps(torch.cat([shown, shown.flip(-1)])).float(), size=size, mode="bilinear", align_corners=False
        )
        plain, mirrored = scaled.chunk(2)
        total = total + torch.maximum(plain, mirrored.flip(-1)).relu()
    total = total - total.amin((2, 3), keepdim=True)
    return total / (total.amax((2, 3), keepdim=True) + 1e-5)


def cam_to_label(cam: Tensor, labels: Tensor, levels: Levels) -> Tensor:
    """CAMs in [0,1] (B,C-1,h,w) of the image's classes (B,C-1) -> labels (B,h,w): the strongest class above the
    high level, background up to the low one, 255 between."""
    value, winner = (cam * labels[:, :, None, None]).max(1)
    return (winner + 1).masked_fill(value <= levels.high, 255).masked_fill(value <= levels.low, 0)


@torch.no_grad()
def refined_label(par: PAR, images: Tensor, cam: Tensor, labels: Tensor, levels: Levels) -> Tensor:
    """Images in [0,1] (B,3,H,W), CAMs in [0,1] (B,C-1,H,W), image labels (B,C-1) -> labels of pixels (B,H,W).

    A constant background competes with the image's own classes, once strictly (high level) and once laxly (low); PAR
    refines both, and `strict_and_lax` decides.
    """
    classes = own_classes(labels)
    return strict_and_lax(refine_scores(par, images, shares(cam, classes, levels)), classes)


def shares(cam: Tensor, classes: Tensor, levels: Levels) -> Tensor:
    """CAMs in [0,1] (B,C-1,H,W) -> softmax over a constant background and the image's `classes` (B,K), at half the
    size: (B,2K,H/2,W/2), under the high background level and behind it under the low one."""
    half = (cam.shape[-2] // 2, cam.shape[-1] // 2)
    small = F.interpolate(cam.float(), size=half, mode="bilinear", align_corners=False)
    index = classes.clamp(min=0)[:, :, None, None].expand(-1, -1, *half)
    stacks = [F.pad(small, (0, 0, 0, 0, 1, 0), value=level).gather(1, index) for level in levels]
    absent = (classes < 0)[:, :, None, None]
    return torch.cat([stack.masked_fill(absent, float("-inf")).softmax(1) for stack in stacks], 1)


def cam_probabilities(cam: Tensor, background: float) -> Tensor:
    """CAMs in [0,1] (B,C-1,H,W) -> class probabilities (B,C,H,W) before any image label, the background a constant.

    Every map that is positive somewhere reaches 1 there, as where image labels are given; one that is negative
    everywhere belongs to a class that the classifier does not see, and is 0.
    """
    scores = F.pad(cam.float(), (0, 0, 0, 0, 1, 0), value=background)
    return scores / scores.sum(1, keepdim=True)
