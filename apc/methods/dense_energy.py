"""Dense-energy loss: pixels of like colour, near each other, that the decoder is unsure of shall be of one class
(method-spec 0.7; ToCo adds it with weight 0.05, AFA names it as an option).

The published one filters on a permutohedral lattice, in a C++ extension. Here the Gaussian is exact, over all pairs of
pixels of a map that is small enough for that.

Shapes: B images, C classes (background is class 0), H,W pixels, h,w the small map, N = h*w.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

SIGMA_COLOUR, SIGMA_PLACE = 15.0, 100.0
"""Spread of the Gaussian in 255ths of a colour, and in pixels of the published crop."""
CROP = 448
"""Side in pixels of the published crop, for which other images stand: their sides count as so many pixels."""
SIDE = 56
"""Most pixels of a small map's side: 3,136 pixels make 10 million pairs an image. The published one has CROP / 2."""
LATTICE = 0.5
"""What the lattice gives of the exact Gaussian: 0.5004 of it on the golden images."""


def dense_energy(images: Tensor, probabilities: Tensor, label: Tensor, crop: int = CROP) -> Tensor:
    """Images in [0,1] (B,3,H,W), class probabilities (B,C,H',W'), pseudo labels (B,H,W) -> scalar, at most 0.

    Minus the sum over pairs of pixels and classes of p_i g_i k_ij p_j, times 1e-7. The gate g is 1 where the label is
    255, and elsewhere the probability that the best class leaves to the others. As published, it is constant, and the
    gradient takes the filtered p for constant too and counts it twice, as if g were the same for both pixels of a pair.
    """
    size = tuple(min(side // 2, SIDE) for side in images.shape[-2:])
    p = F.interpolate(probabilities.float(), size=size, mode="bilinear", align_corners=False).flatten(2)
    with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
        unknown = _small(label[:, None].float(), size).flatten(2) == 255
        gate = (1 - p.amax(1, keepdim=True)).clamp(min=0).masked_fill(unknown, 1.0)  # (B,1,N)
        filtered = gate * (p @ _gaussian(images, size, crop))
    energy = (p * filtered).sum()
    pairs = (crop / 2) ** 4 / (size[0] * size[1]) ** 2  # of the published map's pixels to one of ours
    return -1e-7 * LATTICE * pairs / len(images) * (2 * energy - energy.detach())


def _small(pixels: Tensor, size: tuple[int, ...]) -> Tensor:
    """Pixels of images or labels (B,n,H,W) on the small map (B,n,h,w): every second one as published, and of these,
    where the map has fewer, the one in the middle of a place, where its probability is too."""
    half = F.interpolate(pixels, size=[side // 2 for side in pixels.shape[-2:]], mode="nearest")
    return F.interpolate(half, size=size, mode="nearest-exact")


def _gaussian(images: Tensor, size: tuple[int, ...], crop: int) -> Tensor:
    """How near two pixels are in place and colour, from 0 to 1: (B,N,N), 1 on the diagonal."""
    colours = 255 / SIGMA_COLOUR * _small(images.float(), size).flatten(2)
    rows, columns = (torch.arange(n, device=images.device) * (crop / n / SIGMA_PLACE) for n in size)
    places = torch.stack(torch.meshgrid(rows, columns, indexing="ij")).flatten(1)
    points = torch.cat([colours, places.expand(len(images), -1, -1)], 1).transpose(1, 2)  # (B,N,5)
    half = 0.5 * points.square().sum(2, keepdim=True)
    power = (points @ points.transpose(1, 2)).sub_(half).sub_(half.transpose(1, 2))
    return power.clamp_(-60, 0).exp_()  # without the lower end, numbers too small for float32 take ten times as long
