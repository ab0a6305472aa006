"""Pixel-adaptive refinement, PAR: class scores flow between pixels of like colour (method-spec 0.2).

Shapes: B images, K classes, h,w pixels, N neighbours of a pixel.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

DILATIONS = (1, 2, 4, 8, 12, 24)
"""ToCo's, for crops of 448 pixels."""
SHARPNESS, POSITION = 0.3, 0.01
"""Differences are measured in this share of their spread; and what nearness weighs beside colour."""


class PAR(nn.Module):
    """Every step makes a pixel's scores a mean over eight neighbours at each of several distances.

    The weights of a pixel sum to 1.01, as published, so scores grow by 1 % a step.
    """

    def __init__(self, dilations: tuple[int, ...] = DILATIONS, iterations: int = 10) -> None:
        super().__init__()
        self.iterations = iterations
        around = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]
        self.shifts = [(d * y, d * x) for d in dilations for y, x in around]
        self.reach = max(dilations)
        distance = torch.tensor(self.shifts, dtype=torch.float32).norm(dim=1)
        near = -(distance / (distance.std() + 1e-8) / SHARPNESS).square()
        self.position: Tensor
        self.register_buffer("position", POSITION * near.softmax(0), persistent=False)

    def _neighbours(self, x: Tensor) -> Iterator[Tensor]:
        """Each neighbour's value at every pixel: N tensors like x; the border's pixels are repeated outside."""
        r, (h, w) = self.reach, x.shape[-2:]
        wide = F.pad(x, (r, r, r, r), mode="replicate")
        for y, x_ in self.shifts:
            yield wide[..., r + y : r + y + h, r + x_ : r + x_ + w]

    @classmethod
    def for_size(cls, size: int) -> "PAR":
        """ToCo's, for square images of `size` pixels: smaller ones leave out what lies farther out, as a share of the
        side."""
        return cls(tuple(d for d in DILATIONS if d == 1 or 448 * d <= DILATIONS[-1] * size))

    @torch.no_grad()
    def forward(self, images: Tensor, scores: Tensor) -> Tensor:
        """Images in [0,1] (B,3,h,w), scores (B,K,h',w') -> refined scores (B,K,h,w)."""
        scores = F.interpolate(scores, size=images.shape[-2:], mode="bilinear", align_corners=True)
        near = torch.stack(list(self._neighbours(images)), 1)  # (B,N,3,h,w)
        spread = near.std(1, keepdim=True) + 1e-8
        alike = -((near - images[:, None]) / spread / SHARPNESS).square().mean(2)
        weights = alike.softmax(1) + self.position.view(1, -1, 1, 1)
        for _ in range(self.iterations):
            refined = torch.zeros_like(scores)
            for neighbour, weight in zip(self._neighbours(scores), weights.unbind(1), strict=True):
                refined.addcmul_(neighbour, weight[:, None])
            scores = refined
        return scores
