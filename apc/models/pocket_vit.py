"""A tiny vision transformer for the embedded data: timm's own class, made small enough to train on one laptop core.

B images, D features, H,W pixels, h,w patches.
"""

from typing import Any

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

VERSION = 1
"""Raise it when the weights' shapes or their meaning change."""
PATCH = 8


class PatchMLP(nn.Module):
    """Patches through a small MLP: (B,3,H,W) -> (B,h,w,D), the layout of timm's dynamic patch embedding.

    The MLP reads each patch's texture, freed of its mean colour and its contrast, and beside it that mean and contrast.
    Without this split a network so small never learns faint patterns: its first layer is taken up by colours.
    """

    def __init__(
        self, img_size: int, patch_size: int, in_chans: int, embed_dim: int, hidden: int = 128, **_: Any
    ) -> None:
        super().__init__()
        self.patch_size, self.grid_size = (patch_size, patch_size), (img_size // patch_size, img_size // patch_size)
        self.num_patches = self.grid_size[0] * self.grid_size[1]
        self.mlp = nn.Sequential(
            nn.Linear(in_chans * patch_size**2 + in_chans + 1, hidden), nn.GELU("tanh"), nn.Linear(hidden, embed_dim)
        )

    def feat_ratio(self, as_scalar: bool = True) -> int | tuple[int, int]:
        """Pixels a patch, under the name timm asks for."""
        return self.patch_size[0] if as_scalar else self.patch_size

    def forward(self, x: Tensor) -> Tensor:
        B, C, H, W = x.shape
        p = self.patch_size[0]
        assert H % p == 0 and W % p == 0, f"images of {H}x{W} do not divide into patches of {p}"
        x = x.view(B, C, H // p, p, W // p, p).permute(0, 2, 4, 1, 3, 5).flatten(4)  # (B,h,w,C,p*p)
        colour = x.mean(-1, keepdim=True)
        texture = x - colour
        contrast = (texture.square().mean((-2, -1), keepdim=True) + 1e-3).sqrt()  # 1e-3: the camera's noise stays small
        features: Tensor = self.mlp(torch.cat([(texture / contrast).flatten(3), colour[..., 0], contrast[..., 0]], -1))
        return features


def pocket_vit(img_size: int = 96, **kwargs: Any) -> VisionTransformer:
    """ViT of 3 blocks, 64 features and 2 heads on patches of 8 pixels, without class token and head (0.14 M weights).

    Takes images of any size that divides by 8, normalised with the mean and std in its `pretrained_cfg`.
    """
    shape = {"patch_size": PATCH, "embed_dim": 64, "depth": 3, "num_heads": 2, "mlp_ratio": 2.0, "class_token": False}
    fixed = {"num_classes": 0, "global_pool": "", "dynamic_img_size": True, "act_layer": "gelu_tanh"}
    settings: dict[str, Any] = shape | fixed | kwargs
    vit = VisionTransformer(img_size=img_size, embed_layer=PatchMLP, **settings)
    normalisation = {"input_size": (3, img_size, img_size), "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
    vit.pretrained_cfg = vit.default_cfg = normalisation  # type: ignore[assignment]
    return vit
