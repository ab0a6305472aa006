"""From patch scores and image labels to labels of pixels (paper, section 3.2, "Patch to Pixel").

Shapes: B images, h,w patch grid, C classes (background first), H,W pixels.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from apc.methods.affinity import Levels
from apc.methods.cam import cam_to_label


def with_background(labels: Tensor) -> Tensor:
    """Image labels (B,C-1) -> (B,C), the background present in every image."""
    return F.pad(labels, (1, 0), value=1)


def merge(scores: Tensor, labels: Tensor) -> Tensor:
    """ViT-PCM's label merge: scores (B,C,h,w), labels (B,C) -> (B,C,h,w).

    Absent classes vanish, each class map is divided by its own maximum, and the classes of a patch are made to sum to
    one again (method-spec 1.3).
    """
    z = scores * labels[:, :, None, None]
    z = z / z.amax((2, 3), keepdim=True).clamp(min=torch.finfo(z.dtype).tiny)
    return z / z.sum(1, keepdim=True).clamp(min=torch.finfo(z.dtype).tiny)


def pseudo_labels(scores: Tensor, labels: Tensor, rule: str = "argmax", threshold: float = 0.0) -> Tensor:
    """Class of each patch among the image's own: scores (B,C,h,w), labels (B,C-1) -> (B,h,w), 255 below threshold."""
    present = with_background(labels).to(scores.dtype)
    z = merge(scores, present) if rule == "merge" else scores * present[:, :, None, None]
    best, label = z.detach().max(1)
    return label.masked_fill(best < threshold, 255) if threshold > 0 else label


def level_labels(scores: Tensor, labels: Tensor, levels: Levels, size: tuple[int, int]) -> Tensor:
    """CoSA's labels of pixels: scores (B,C,h,w), labels (B,C-1) -> (B,H,W). Each object's map, bilinear, is brought to
    [0,1]; the strongest above the high level wins, background lies up to the low one, 255 between."""
    maps = F.interpolate(scores[:, 1:].float(), size=size, mode="bilinear", align_corners=False)
    maps = maps - maps.amin((2, 3), keepdim=True)
    maps = maps / maps.amax((2, 3), keepdim=True).clamp(min=torch.finfo(maps.dtype).tiny)
    return cam_to_label(maps, labels, levels)


def read(pixels: Tensor, stride: int) -> Tensor:
    """The pixels that a loss reads, every stride-th from the middle of the first on: (...,H,W) -> (...,H',W'). Logits
    and masks of pixels are read alike; brought to H',W' by other rules they would lie beside each other."""
    return pixels[..., stride // 2 :: stride, stride // 2 :: stride]


def patches_to_pixels(label: Tensor, size: tuple[int, int]) -> Tensor:
    """Every pixel takes the label of the patch that its middle lies in: (B,h,w) -> (B,H,W). So does a pixel of a loss
    that reads fewer, which stands for several."""
    return F.interpolate(label[:, None].float(), size=size, mode="nearest-exact")[:, 0].long()
