"""Plain ViT encoder from timm, with position embeddings resampled for any input size and intermediate blocks.

Shapes: B images, H,W pixels, h,w patch grid, N = h*w patches, P prefix tokens (class token), D features.
"""

from typing import Any

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F


def resample_grid(grid: Tensor, size: tuple[int, int], kernel: str) -> Tensor:
    """Bicubic resampling of a position-embedding grid: (1,D,h,w) -> (1,D,h',w').

    `keys` is Keys' kernel with a = -0.5, as TensorFlow (ViT-PCM) and timm have it; `torch` is plain torch's
    a = -0.75, as DeiT and ToCo have it. They differ by up to a third of an embedding (method-spec, 0.9).
    """
    if tuple(grid.shape[-2:]) == tuple(size):
        return grid
    return F.interpolate(grid, size=size, mode="bicubic", align_corners=False, antialias=kernel == "keys")


def side_of_patches(vit: VisionTransformer) -> int:
    """Side in pixels of what becomes one token: a patch, or what a stem of convolutions makes one of."""
    return int(vit.patch_embed.feat_ratio(as_scalar=True))


class Encoder(nn.Module):
    """A ViT that returns the tokens after chosen blocks, its `taps`, counted from 1, and its output.

    `open_from` is the first block that may learn; the blocks before it run without a graph, and their outputs can be
    kept and handed back (see apc/models/feature_cache.py), rounded to `features_dtype`.
    """

    features_dtype = torch.float32
    least: int
    """Side in pixels of the smallest image that can be read, a multiple of `patch`."""

    def __init__(self, vit: VisionTransformer, taps: tuple[int, ...], pos_embed: str) -> None:
        super().__init__()
        depth = len(vit.blocks)
        self.vit, self.taps, self.kernel = vit, taps, pos_embed
        self.depth, self.width, self.patch = depth, vit.embed_dim, side_of_patches(vit)
        self.least = self.patch
        pretrained: Any = vit.pretrained_cfg
        mean, std = pretrained["mean"], pretrained["std"]
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self.open_last(0)

    def open_last(self, count: int, learn: bool = True) -> None:
        """Open the last `count` blocks and the final norm, or the whole encoder at count >= depth; the rest stays
        closed for good. `learn=False` freezes the open part too, for the first epochs."""
        self.open_from = max(self.depth - count, 0) + 1
        self.vit.requires_grad_(learn and count >= self.depth)
        if learn and count:
            self.vit.blocks[self.open_from - 1 :].requires_grad_(True)
            self.vit.norm.requires_grad_(True)

    def block_of(self) -> dict[nn.Parameter, int]:
        """The block that each weight is of, counted from 1: 0 what comes before them, the last one's the final norm."""
        found = dict.fromkeys(self.parameters(), 0)
        for number, block in enumerate(self.vit.blocks, start=1):
            found |= dict.fromkeys(block.parameters(), number)
        return found | dict.fromkeys(self.vit.norm.parameters(), self.depth)

    def compile_blocks(self) -> None:
        """Compile each block in place: blocks of one shape share their graphs, and the state keeps its names."""
        for block in self.vit.blocks:
            block.compile()

    def grid(self, images: Tensor) -> tuple[int, int]:
        """Patch grid (h,w) of a batch of images."""
        h, w = images.shape[-2] // self.patch, images.shape[-1] // self.patch
        assert (h * self.patch, w * self.patch) == tuple(images.shape[-2:]), "image sizes are multiples of the patch"
        return h, w

    def embed(self, images: Tensor) -> Tensor:
        """Images in [0,1] (B,3,H,W) -> tokens with positions (B,P+N,D)."""
        vit, (h, w) = self.vit, self.grid(images)
        x = vit.patch_embed((images - self.mean) / self.std).reshape(len(images), h * w, self.width)
        slots = 0 if vit.no_embed_class else vit.num_prefix_tokens  # positions of the class token, which some lack
        assert vit.pos_embed is not None
        side = round((vit.pos_embed.shape[1] - slots) ** 0.5)
        grid = vit.pos_embed[:, slots:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
        x = x + resample_grid(grid, (h, w), self.kernel).flatten(2).transpose(1, 2)
        if vit.cls_token is not None:
            token = vit.cls_token + vit.pos_embed[:, :1] if slots else vit.cls_token
            x = torch.cat([token.expand(len(x), -1, -1), x], dim=1)
        tokens: Tensor = vit.norm_pre(x)
        return tokens

    def frozen_features(self, images: Tensor) -> list[Tensor]:
        """The blocks before `open_from`: images (B,3,H,W) -> tokens (B,P+N,D) after each tapped one of them, and last
        the input of block `open_from`. Where there are any, what they give is rounded to `features_dtype`."""
        with torch.set_grad_enabled(self.open_from == 1 and torch.is_grad_enabled()):
            x, kept = self.embed(images), []
            for number, block in enumerate(self.vit.blocks[: self.open_from - 1], start=1):
                x = block(x)
                if number in self.taps:
                    kept.append(x)
            if self.open_from == 1 or self.features_dtype == torch.float32:
                return [*kept, x]
            return [t.to(self.features_dtype).to(t.dtype) for t in (*kept, x)]

    def forward(self, images: Tensor, frozen_features: list[Tensor] | None = None) -> list[Tensor]:
        """Images (B,3,H,W) -> patch tokens (B,N,D) after each of `taps`, and last the normalised output."""
        return [t[:, self.vit.num_prefix_tokens :] for t in self.tokens(images, frozen_features)]

    def tokens(self, images: Tensor, frozen_features: list[Tensor] | None = None) -> list[Tensor]:
        """As `forward`, with the class token in front: (B,P+N,D)."""
        *kept, x = self.frozen_features(images) if frozen_features is None else frozen_features
        for number, block in enumerate(self.vit.blocks[self.open_from - 1 :], start=self.open_from):
            x = block(x)
            if number in self.taps:
                kept.append(x)
        return [*kept, self.vit.norm(x)]
