"""Segmentation decoder: one linear layer a block, side by side, one layer to mix them (paper, section 3.2).

Shapes: B images, h,w patch grid, D features of the encoder, C classes.
"""

import torch
from torch import Tensor, nn

from apc.config import Config


class Decoder(nn.Module):
    """Patch tokens of several blocks, each (B,h,w,D), -> class logits (B,C,h,w), in the manner of SegFormer's head."""

    def __init__(self, inputs: int, width: int, num_classes: int, cfg: Config) -> None:
        """`inputs` blocks of `width` features each; channels, norm and dropout are the config's."""
        super().__init__()
        channels = cfg.decoder_width
        self.projections = nn.ModuleList(nn.Linear(width, channels) for _ in range(inputs))
        # Norm over channels; BatchNorm1d wants them second, hence the rows of patches in forward.
        self.mix = nn.Sequential(
            nn.Linear(inputs * channels, channels, bias=False),
            nn.BatchNorm1d(channels) if cfg.decoder_norm == "batch" else nn.LayerNorm(channels),
            nn.ReLU(),
        )
        self.dropout = nn.Dropout(cfg.decoder_dropout)
        self.classify = nn.Linear(channels, num_classes)

    def forward(self, blocks: list[Tensor]) -> Tensor:
        b, h, w, _ = blocks[0].shape
        x = torch.cat([p(t) for p, t in zip(self.projections, blocks, strict=True)], dim=-1)
        logits: Tensor = self.classify(self.dropout(self.mix(x.flatten(0, 2))))
        return logits.view(b, h, w, -1).permute(0, 3, 1, 2)
