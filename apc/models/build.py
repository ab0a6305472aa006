"""The encoder that a config names, how many images it is shown at once and with how many digits."""

from typing import cast

import timm
import torch
from timm.models.vision_transformer import VisionTransformer

from apc.config import Config
from apc.models.encoder import Encoder, side_of_patches
from apc.models.mit import build_mit
from apc.models.pocket_vit import pocket_vit
from apc.models.weights import load_into, normalization

BATCH_PIXELS = 16 * 384**2
"""Pixels a network is shown at once, in at most 16 images: two images of 960 pixels, one of 1120."""


_NOT_PLAIN = "it is no plain ViT with learned positions and one class token"


def images_at_once(side: int) -> int:
    """How many square images of `side` pixels a trained network is shown at once, 1 to 16."""
    return min(max(BATCH_PIXELS // side**2, 1), 16)


def autocast(cfg: Config, device: str) -> torch.autocast:
    """The precision that a config asks of encoder and heads, for a `with`."""
    return torch.autocast(device.split(":")[0], dtype=torch.bfloat16, enabled=cfg.amp == "bf16")


def build_encoder(cfg: Config) -> Encoder:
    """Encoder as the config names it, with its weights; ValueError where name, file or shapes do not fit."""
    encoder = build_mit(cfg) if cfg.encoder == "mit_b1" else _plain_vit(cfg)
    encoder.features_dtype = torch.bfloat16 if cfg.features_dtype == "bf16" else torch.float32
    if wanted := normalization(cfg):
        for buffer, values in zip((encoder.mean, encoder.std), wanted, strict=True):
            buffer.copy_(torch.tensor(values).view(1, 3, 1, 1))
    return encoder


def _plain_vit(cfg: Config) -> Encoder:
    name = cfg.encoder.split(".")[0]  # behind the point stands a tag of timm's weights
    if cfg.encoder == "pocket":
        vit = pocket_vit()
    elif name in timm.list_models("vit_*") + timm.list_models("deit_*"):
        try:
            vit = cast(VisionTransformer, timm.create_model(name, num_classes=0, dynamic_img_size=True))
        except TypeError:  # relative positions, for one
            raise ValueError(f"encoder is {cfg.encoder!r}; {_NOT_PLAIN}") from None
    else:
        known = "`pocket`, `mit_b1`, or a plain ViT of timm, such as deit_tiny_patch16_224"
        raise ValueError(f"encoder is {cfg.encoder!r}; it must be {known}")
    # Eva's blocks turn queries and keys by position, which Encoder never hands them.
    plain = isinstance(vit, VisionTransformer) and vit.pos_embed is not None
    if not plain or vit.num_prefix_tokens != (vit.cls_token is not None):
        raise ValueError(f"encoder is {cfg.encoder!r}; {_NOT_PLAIN}")
    patch = side_of_patches(vit)
    for field, size in (("image_size", cfg.image_size), ("eval_size", cfg.eval_size)):
        if size % patch:
            raise ValueError(f"{field} is {size}; it must be a multiple of the encoder's patch, {patch}")
    if cfg.weights:
        load_into(vit, cfg)
    if not 1 <= cfg.decoder_blocks[0] <= cfg.decoder_blocks[-1] <= len(vit.blocks):
        raise ValueError(f"decoder_blocks is {cfg.decoder_blocks}; the encoder has the blocks 1 to {len(vit.blocks)}")
    return Encoder(vit, cfg.decoder_blocks[:-1], cfg.pos_embed)  # F_out stands in for the last one
