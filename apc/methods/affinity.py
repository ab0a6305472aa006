"""Affinity between patches, from the attention of the last two blocks: AFA's head, its label, its loss, and the
propagation of class scores along it (method-spec, section 2; Ru et al., CVPR 2022, section 3).

Shapes: B images, C classes (background is class 0), h,w patch grid, N = h*w patches, d features of a head.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BLOCKS = 2
"""The last blocks whose attention is read: all of MiT's fourth stage, and as many of a plain ViT."""


class Levels(NamedTuple):
    """Background levels of CAMs in [0,1], on the scale of the objects' own."""

    high: float
    """Objects stand above it for sure."""
    low: float
    """What lies below is background for sure."""


@contextmanager
def listening(blocks: nn.Sequential) -> Iterator[list[Tensor]]:
    """The queries and keys of the last two of `blocks`, each (B,heads,T,d), in the order they are computed, of what
    runs inside the `with`: q, k, q, k for one pass of the encoder.

    It listens at the (empty) norms of queries and keys, so the attention itself stays torch's fused one.
    """
    heard: list[Tensor] = []

    def note(_: nn.Module, __: tuple[Any, ...], output: Tensor) -> None:
        heard.append(output)

    attentions: list[Any] = [block.attn for block in blocks[-BLOCKS:]]
    hooks = [norm.register_forward_hook(note) for a in attentions for norm in (a.q_norm, a.k_norm)]
    try:
        yield heard
    finally:
        for hook in hooks:
            hook.remove()


class AffinityHead(nn.Module):
    """Queries and keys of two blocks -> affinity of every pair of patches in [0,1], (B,N,N), symmetric.

    The logits q.k of every head, unscaled and without a softmax, are made symmetric, A + A^T, weighed by a 1x1
    convolution to one map, and go through a sigmoid. The weighing is linear, so it is done on the queries: one product
    of matrices gives the sum over all heads, and no map of a single head is ever in memory.
    """

    def __init__(self, heads: int, scale: float = 1.0) -> None:
        """`heads` of one block. The logits are multiplied by `scale`, 1 as published."""
        super().__init__()
        self.scale = scale
        self.weight = nn.Parameter(torch.empty(1, BLOCKS * heads, 1, 1))
        self.bias = nn.Parameter(torch.zeros(()))
        nn.init.kaiming_normal_(self.weight, a=5**0.5, mode="fan_out")

    def forward(self, heard: list[Tensor], prefix: int = 0) -> Tensor:
        """What `listening` heard of one pass, of whose tokens the first `prefix` are no patches -> (B,N,N)."""
        assert len(heard) == 2 * BLOCKS, "the last blocks run inside `listening`, once"
        q, k = (torch.cat(heard[part::2], dim=1)[:, :, prefix:].float() for part in (0, 1))
        with torch.autocast(q.device.type, enabled=False):  # unscaled logits are too large for bf16's three digits
            q = q * (self.scale * self.weight.view(1, -1, 1, 1))
            half = q.transpose(1, 2).flatten(2) @ k.transpose(1, 2).flatten(2).transpose(1, 2)
            return (half + half.transpose(1, 2) + self.bias).sigmoid()


def window(grid: tuple[int, int], radius: int, device: torch.device | str = "cpu") -> Tensor:
    """Which pairs of patches lie within `radius` rows and columns of each other: (N,N) bool."""
    rows, columns = (torch.arange(n, device=device) for n in grid)
    near_rows, near_columns = ((x[:, None] - x).abs() <= radius for x in (rows, columns))
    return (near_rows[:, None, :, None] & near_columns[None, :, None, :]).reshape(grid[0] * grid[1], -1)


def affinity_label(label: Tensor, grid: tuple[int, int], near: Tensor) -> Tensor:
    """Pixel labels (B,H,W) and a window (N,N) -> labels of pairs of patches (B,N,N): 1 alike, 0 unlike, 255 unknown.

    A patch takes the label of its upper left pixel, where `nearest` reads, half a patch off its middle. A pair is
    unknown where one of the two is, and outside the window. A patch is alike itself, and background is alike
    background.
    """
    small = F.interpolate(label[:, None].float(), size=grid, mode="nearest").flatten(1)  # (B,N)
    known = small != 255
    alike = (small[:, :, None] == small[:, None, :]).to(torch.uint8)
    return alike.masked_fill(~(known[:, :, None] & known[:, None, :] & near), 255)


def affinity_loss(affinity: Tensor, label: Tensor) -> Tensor:
    """Affinities (B,N,N) against the pairs' labels: half the mean of 1 - a over the alike and of a over the unlike.

    One is added to both counts, so a batch without one kind of pairs has a finite loss.
    """
    alike, unlike = (label == 1).float(), (label == 0).float()
    positive = (alike * (1 - affinity.float())).sum() / (alike.sum() + 1)
    negative = (unlike * affinity.float()).sum() / (unlike.sum() + 1)
    return 0.5 * (positive + negative)


def transition(affinity: Tensor, near: Tensor) -> Tensor:
    """Affinities (B,N,N) and a window (N,N) -> how much of each patch's score goes into which patch's, (B,N,N): squared
    inside the window, every column divided by its sum + 0.1."""
    a = (affinity.float() * near).square()
    return a / (a.sum(1, keepdim=True) + 0.1)


def propagate(cam: Tensor, labels: Tensor, transition: Tensor, background: float) -> Tensor:
    """CAMs in [0,1] (B,C-1,h,w), image labels (B,C-1) -> class scores (B,C,h,w) after one step along the affinity.

    A constant `background` stands in front, a softmax runs over the image's own classes, and the scores flow along
    `transition` (B,N,N); absent classes score 0.
    """
    scores = F.pad(cam.float(), (0, 0, 0, 0, 1, 0), value=background).flatten(2)
    absent = F.pad(labels, (1, 0), value=1)[:, :, None] == 0
    shares = scores.masked_fill(absent, float("-inf")).softmax(1)
    with torch.autocast(shares.device.type, enabled=False):
        propagated: Tensor = (shares @ transition).unflatten(2, cam.shape[-2:])
    return propagated


Refine = Callable[[Tensor, Tensor], Tensor]  # images in [0,1] (B,3,h,w), scores (B,K,h',w') -> (B,K,h,w): PAR


def refine_scores(par: Refine, images: Tensor, scores: Tensor) -> Tensor:
    """Scores (B,K,H,W) after PAR on images (B,3,H,W) in [0,1], at half the size for speed; PAR itself shrinks them."""
    size = (images.shape[-2] // 2, images.shape[-1] // 2)
    small = F.interpolate(images.float(), size=size, mode="bilinear", align_corners=False)
    return F.interpolate(par(small, scores), size=images.shape[-2:], mode="bilinear", align_corners=False)


def shares_along(cam: Tensor, labels: Tensor, flow: Tensor, levels: Levels, size: tuple[int, int]) -> Tensor:
    """CAMs (B,C-1,h,w) propagated along `flow` (B,N,N), see `transition`, of the image's own K classes (image labels
    (B,C-1)) and for pixels of `size`: (B,2K,H,W), under the high background level and behind it under the low one."""
    index = own_classes(labels).clamp(min=0)[:, :, None, None].expand(-1, -1, *cam.shape[-2:])
    scores = torch.cat([propagate(cam, labels, flow, level).gather(1, index) for level in levels], dim=1)
    return F.interpolate(scores, size=size, mode="bilinear", align_corners=False)


def strict_and_lax(refined: Tensor, classes: Tensor) -> Tensor:
    """Scores (B,2K,H,W) of the image's `classes` (B,K), first under the strict background level, then under the lax
    one -> labels (B,H,W): objects where the strict one finds them, background where both do, 255 in between
    (method-spec 0.5)."""
    absent = (classes < 0)[:, None, :, None, None]
    # (B,2*H*W) numbers of a row of `classes`; argmax gives the same and takes four times as long
    winner = refined.unflatten(1, (2, -1)).masked_fill(absent, -1.0).max(2).indices.flatten(1)
    strict, lax = classes.gather(1, winner).view(len(refined), 2, *refined.shape[-2:]).unbind(1)
    return torch.where((strict == 0) & (lax != 0), 255, strict)


def own_classes(labels: Tensor) -> Tensor:
    """Image labels (B,C-1) -> each image's classes (B,K), background first; -1 where it has fewer than another."""
    present = labels > 0
    order = present.int().sort(dim=1, descending=True, stable=True).indices + 1
    count = int(present.sum(1).max())
    missing = torch.arange(count, device=labels.device) >= present.sum(1, keepdim=True)
    return F.pad(order[:, :count].masked_fill(missing, -1), (1, 0), value=0)
