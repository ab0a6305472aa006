"""The second view of ViT-PCM's equivariance branch: images cut, resized, turned and put four into one (method-spec
1.2.2).

Shapes: B images, T tiles, M mosaics, S side of square images or maps, C channels or classes.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

CROP, CROPPED = 1 / 3, 0.3
"""View 2 is a crop of a third of the side (128 of 384 pixels) in three of ten images, else the whole image."""
GREY = (0.2989, 0.587, 0.114)
"""Shares of red, green and blue in grey."""


class View(NamedTuple):
    """How the tiles of view 2 see their images."""

    image: Tensor
    """Image of each tile, (T,) long."""
    corner: Tensor
    """First row and column, in patches, (T,2)."""
    part: Tensor
    """Side in patches, (T,)."""
    turns: Tensor
    """Whether rows are read upwards, columns leftwards, and rows and columns change places afterwards, (T,3) bool."""
    side: int
    """Side of the images in patches."""


def draw_view(images: int, side: int) -> View:
    """A random view of each of `images`, as many as fill mosaics of four: the first images may come twice.

    From torch's own CPU stream, so the device does not matter.
    """
    image = torch.arange(-(-images // 4) * 4) % images
    cropped = torch.rand(len(image)) < CROPPED
    part = torch.where(cropped, max(round(side * CROP), 1), side)
    corner = torch.minimum((torch.rand(len(image), 2) * side).long(), (side - part)[:, None])
    return View(image, corner, part, torch.rand(len(image), 3) < 0.5, side)


def seen(x: Tensor, view: View, size: int) -> Tensor:
    """Images or maps (B,C,S,S) as the tiles see them, (T,C,size,size): cut, resized with aligned corners, turned."""
    image, corner, part, turns = (each.to(x.device) for each in (view.image, view.corner, view.part, view.turns))
    unit = x.shape[-1] // view.side
    first, reach = corner * unit, (part * unit - 1)[:, None, None]
    steps = torch.linspace(0, 1, size, device=x.device)
    read = torch.where(turns[:, :2, None], 1 - steps, steps)  # (T,2,size)
    rows, columns = (2 * (first[..., None] + read * reach) / (x.shape[-1] - 1) - 1).unbind(1)
    y, x_ = rows[:, :, None].expand(-1, -1, size), columns[:, None, :].expand(-1, size, -1)
    swap = turns[:, 2, None, None]
    places = torch.stack([torch.where(swap, x_.mT, x_), torch.where(swap, y.mT, y)], -1)
    return F.grid_sample(x[image], places, mode="bilinear", padding_mode="border", align_corners=True)


def mosaic(tiles: Tensor) -> Tensor:
    """Four tiles to a square: (4M,C,s,s) -> (M,C,2s,2s), in reading order."""
    four: Tensor = tiles.unflatten(0, (-1, 2, 2)).permute(0, 3, 1, 4, 2, 5)
    return four.flatten(4, 5).flatten(2, 3)


def cut(mosaics: Tensor) -> Tensor:
    """The tiles of mosaics: (M,C,2s,2s) -> (4M,C,s,s)."""
    four: Tensor = mosaics.unflatten(3, (2, -1)).unflatten(2, (2, -1)).permute(0, 2, 4, 1, 3, 5)
    return four.flatten(0, 2)


def recolour(images: Tensor, strength: float) -> Tensor:
    """Random brightness, contrast and saturation of each image (T,3,S,S) in [0,1], in the loader's ranges."""
    factors = 1 + 0.8 * strength * (2 * torch.rand(3, len(images), 1, 1, 1) - 1)
    brightness, contrast, saturation = factors.to(images.device)
    share = images.new_tensor(GREY).view(1, 3, 1, 1)
    x = (images * brightness).clamp(0, 1)
    middle = (x * share).sum(1, keepdim=True).mean((2, 3), keepdim=True)
    x = (middle + contrast * (x - middle)).clamp(0, 1)
    grey = (x * share).sum(1, keepdim=True)
    recoloured: Tensor = (grey + saturation * (x - grey)).clamp(0, 1)
    return recoloured
