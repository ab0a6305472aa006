"""The optimiser, and the course of the learning rate over the steps."""

import math
from typing import Any

import torch
from torch import Tensor

from apc.config import Config
from apc.methods.base import Method
from apc.models.encoder import Encoder


def optimizer_of(method: Method, cfg: Config) -> torch.optim.Optimizer:
    """A fresh optimiser over what the method learns now, group by group; `lr_decay` splits a group block by block."""
    kind = torch.optim.AdamW if cfg.optimizer == "adamw" else torch.optim.Adam
    groups = method.groups() if cfg.lr_decay == 1 else _by_block(method, cfg.lr_decay)
    return kind(groups, lr=cfg.lr, betas=(0.9, cfg.beta2), weight_decay=cfg.weight_decay, fused=True)


def _by_block(method: Method, decay: float) -> list[dict[str, Any]]:
    """The method's groups, the encoder's last block and all heads at a group's own rate, each block before it at
    `decay` times that of the block behind it."""
    encoders = [part for part in method.modules() if isinstance(part, Encoder)]  # DeepLab has one of its own
    block_of = {weight: number for encoder in encoders for weight, number in encoder.block_of().items()}
    depth, groups = method.encoder.depth, []
    for group in method.groups():
        shares: dict[float, list[Tensor]] = {}
        for weight in group["params"]:
            shares.setdefault(decay ** (depth - block_of.get(weight, depth)), []).append(weight)
        groups += [group | {"params": own, "scale": group["scale"] * share} for share, own in shares.items()]
    return groups


def rate_share(cfg: Config, step: int, steps: int) -> float:
    """Share of the learning rate at a step: warm-up, then constant, a cosine down to 3 %, or a power down to 0."""
    if cfg.schedule == "poly":  # its two pieces do not join (method-spec 0.10)
        if step < cfg.warmup_steps:
            return 1 - (1 - step / cfg.warmup_steps) * (1 - 1e-6)
        return float((1 - step / steps) ** cfg.poly_power)
    warm_up = min(1.0, (step + 1) / cfg.warmup_steps) if cfg.warmup_steps else 1.0
    course = 0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * step / steps)) if cfg.schedule == "cosine" else 1.0
    return warm_up * course
