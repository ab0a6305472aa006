"""MiT-B1, SegFormer's encoder, as AFA uses it: stride 1 in the last stage; and SegFormer's head over its four stages.

Its weights come from a local file with the names of SegFormer's release or of its copy on the Hugging Face hub.
Shapes: B images, H,W pixels, h,w the grid of a stage, N = h*w tokens, D features of a stage, C classes.
"""

import torch
from timm.layers.drop import DropPath
from timm.layers.norm import LayerNorm2d
from timm.layers.weight_init import trunc_normal_
from torch import Tensor, nn
from torch.nn import functional as F

from apc.config import Config
from apc.models.encoder import Encoder
from apc.models.mit_weights import own_names
from apc.models.weights import misfits, read_weights, weights_file

WIDTHS, HEADS, REDUCTIONS, BLOCKS = (64, 128, 320, 512), (1, 2, 5, 8), (8, 4, 2, 1), 2
"""MiT-B1 (Xie et al., NeurIPS 2021, Table 6); two blocks a stage."""
KERNELS, STEPS = (7, 3, 3, 3), (4, 2, 2, 1)
"""Overlapping patch embeddings; SegFormer's last step is 2, AFA's 1."""
MLP_RATIO, DROP_PATH = 4, 0.1
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LEAST = 32
"""Side in pixels below which the coarser grid of the first three stages' attention has no place."""
SMALLEST = 2 * LEAST
"""Side in pixels of the smallest images of a run: AFA sees them at half their size too."""


class ReducedAttention(nn.Module):
    """Attention whose keys and values are read from a grid `reduction` times coarser: (B,N,D) -> (B,N,D)."""

    def __init__(self, width: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.num_heads, self.reduction = heads, reduction
        self.q, self.kv, self.proj = nn.Linear(width, width), nn.Linear(width, 2 * width), nn.Linear(width, width)
        if reduction > 1:
            self.sr = nn.Conv2d(width, width, kernel_size=reduction, stride=reduction)
            self.norm = nn.LayerNorm(width)
        self.q_norm, self.k_norm = nn.Identity(), nn.Identity()  # as timm's: where affinity.py listens

    def forward(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        q = self.q(x).unflatten(2, (self.num_heads, -1)).transpose(1, 2)  # (B,heads,N,d)
        coarse = x
        if self.reduction > 1:
            coarse = self.norm(self.sr(x.transpose(1, 2).unflatten(2, grid)).flatten(2).transpose(1, 2))
        k, v = self.kv(coarse).unflatten(2, (2, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        out = F.scaled_dot_product_attention(self.q_norm(q), self.k_norm(k), v)
        mixed: Tensor = self.proj(out.transpose(1, 2).flatten(2))
        return mixed


class ConvMLP(nn.Module):
    """Two layers with a 3x3 convolution a channel between them, which tells positions: (B,N,D) -> (B,N,D)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.dwconv = nn.Conv2d(hidden, hidden, kernel_size=3, padding=1, groups=hidden)

    def forward(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        x = self.dwconv(self.fc1(x).transpose(1, 2).unflatten(2, grid)).flatten(2).transpose(1, 2)
        mixed: Tensor = self.fc2(F.gelu(x))
        return mixed


class Block(nn.Module):
    """Attention and MLP, each behind a norm and beside a shortcut."""

    def __init__(self, width: int, heads: int, reduction: int, drop_path: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.attn = ReducedAttention(width, heads, reduction)
        self.mlp = ConvMLP(width, MLP_RATIO * width)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        x = x + self.drop_path(self.attn(self.norm1(x), grid))
        out: Tensor = x + self.drop_path(self.mlp(self.norm2(x), grid))
        return out


class Embed(nn.Module):
    """Overlapping patches: (B,D,h,w) -> tokens (B,N',D') and their grid."""

    def __init__(self, inputs: int, width: int, kernel: int, step: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(inputs, width, kernel_size=kernel, stride=step, padding=kernel // 2)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        x = self.proj(x)
        return self.norm(x.flatten(2).transpose(1, 2)), (x.shape[-2], x.shape[-1])


class Stage(nn.Module):
    """One of the four stages: a map (B,D,h,w) -> the next one, (B,D',h',w')."""

    def __init__(self, number: int, drop_path: list[float]) -> None:
        super().__init__()
        width = WIDTHS[number]
        self.embed = Embed((3, *WIDTHS)[number], width, KERNELS[number], STEPS[number])
        self.blocks = nn.Sequential(*(Block(width, HEADS[number], REDUCTIONS[number], p) for p in drop_path))
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        x, grid = self.embed(x)
        for block in self.blocks:
            x = block(x, grid)
        out: Tensor = self.norm(x).transpose(1, 2).unflatten(2, grid)
        return out


class MiT(nn.Module):
    """Normalised images (B,3,H,W) -> the maps of the four stages, at 1/4, 1/8, 1/16 and 1/16 of their size."""

    num_prefix_tokens = 0

    def __init__(self) -> None:
        super().__init__()
        rates = torch.linspace(0, DROP_PATH, len(WIDTHS) * BLOCKS).split(BLOCKS)
        self.stages = nn.ModuleList(Stage(number, rate.tolist()) for number, rate in enumerate(rates))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Conv2d):
                assert module.bias is not None
                fan_out = module.kernel_size[0] ** 2 * module.out_channels // module.groups
                nn.init.normal_(module.weight, std=(2 / fan_out) ** 0.5)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


class MiTEncoder(Encoder):
    """MiT-B1 as a method sees an encoder: `taps` are stages, and it learns as a whole or not at all.

    Unlike a plain ViT's, the tokens of its taps differ in number and width: see `grids` and WIDTHS.
    """

    def __init__(self, taps: tuple[int, ...]) -> None:
        nn.Module.__init__(self)
        self.vit: MiT = MiT()  # type: ignore[assignment]
        self.taps, self.depth, self.width, self.patch = taps, len(WIDTHS) * BLOCKS, WIDTHS[-1], 16
        self.least = LEAST
        for name, values in zip(("mean", "std"), IMAGENET, strict=True):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)
        self.open_last(0)

    def open_last(self, count: int, learn: bool = True) -> None:
        """Open the encoder at count >= depth; `learn=False` freezes it, for the first epochs."""
        self.open_from = 1
        self.vit.requires_grad_(learn and count >= self.depth)

    def block_of(self) -> dict[nn.Parameter, int]:
        """The block that each weight is of, counted from 1: a stage's embedding of its first, its norm of its last."""
        found: dict[nn.Parameter, int] = {}
        for number, stage in enumerate(self.vit.stages):
            assert isinstance(stage, Stage)
            for place, block in enumerate(stage.blocks, start=1):
                found |= dict.fromkeys(block.parameters(), number * BLOCKS + place)
            found |= dict.fromkeys(stage.embed.parameters(), number * BLOCKS + 1)
            found |= dict.fromkeys(stage.norm.parameters(), (number + 1) * BLOCKS)
        return found

    def grids(self, images: Tensor) -> list[tuple[int, int]]:
        """Grid (h,w) of each of `taps`, and last the output's, of a batch of images."""
        strides = [torch.tensor(STEPS[:stage]).prod().item() for stage in (*self.taps, len(STEPS))]
        return [(int(images.shape[-2] // s), int(images.shape[-1] // s)) for s in strides]

    def frozen_features(self, images: Tensor) -> list[Tensor]:
        """No block of it is ever closed for good, so nothing is there to keep."""
        raise AssertionError("MiT keeps no outputs of closed blocks")

    def forward(self, images: Tensor, frozen_features: list[Tensor] | None = None) -> list[Tensor]:
        """Images in [0,1] (B,3,H,W) -> normalised tokens (B,N,D) of each of `taps`, and last of the fourth stage."""
        assert frozen_features is None
        self.grid(images)
        maps = self.vit((images - self.mean) / self.std)
        return [maps[stage - 1].flatten(2).transpose(1, 2) for stage in (*self.taps, len(maps))]


class SegFormerHead(nn.Module):
    """Maps of several stages, each (B,h,w,D), -> class logits (B,C,h,w) on the first one's grid.

    SegFormer brings all maps to the first one's size, stacks and mixes them; mixing is linear, as bilinear resampling
    is, so here every map is mixed at its own size and the results are added: the same numbers for a fraction of the
    work.
    """

    def __init__(self, widths: list[int], num_classes: int, cfg: Config) -> None:
        """Stages of these `widths`; channels, norm and dropout are the config's."""
        super().__init__()
        channels = cfg.decoder_width
        self.projections = nn.ModuleList(nn.Linear(width, channels) for width in widths)
        self.mix = nn.Linear(len(widths) * channels, channels, bias=False)
        self.norm = nn.BatchNorm2d(channels) if cfg.decoder_norm == "batch" else LayerNorm2d(channels)
        self.dropout = nn.Dropout2d(cfg.decoder_dropout)
        self.classify = nn.Conv2d(channels, num_classes, kernel_size=1)

    def forward(self, blocks: list[Tensor]) -> Tensor:
        size, parts = blocks[0].shape[1:3], []
        shares = self.mix.weight.split(self.mix.out_features, dim=1)
        for x, project, share in zip(blocks, self.projections, shares, strict=True):
            y = F.linear(project(x), share).permute(0, 3, 1, 2)
            parts.append(F.interpolate(y, size=size, mode="bilinear", align_corners=False))
        logits: Tensor = self.classify(self.dropout(F.relu(self.norm(sum(parts)))))
        return logits


def build_mit(cfg: Config) -> MiTEncoder:
    """MiT-B1 as the config wants it, with its weights; ValueError where a field or the file does not fit it."""
    if cfg.method != "afa":
        raise ValueError(f"encoder is 'mit_b1'; it goes with method afa, not with {cfg.method}")
    stages = len(WIDTHS)
    if not 1 <= cfg.decoder_blocks[0] <= cfg.decoder_blocks[-1] <= stages:
        raise ValueError(f"decoder_blocks is {cfg.decoder_blocks}; mit_b1 has the stages 1 to {stages}")
    for field, size in (("image_size", cfg.image_size), ("eval_size", cfg.scored_size)):
        if size % 16 or size < SMALLEST:
            raise ValueError(f"{field} is {size}; for mit_b1 it must be a multiple of 16 from {SMALLEST} on")
    encoder = MiTEncoder(cfg.decoder_blocks[:-1])  # the last one is the output itself
    if cfg.unfreeze_blocks < encoder.depth:
        raise ValueError(f"unfreeze_blocks is {cfg.unfreeze_blocks}; mit_b1 learns whole, give {encoder.depth}")
    if cfg.weights == "pocket":
        raise ValueError("weights is 'pocket'; that is the tiny ViT's pre-training, give mit_b1 a local file")
    if cfg.weights:
        state = own_names(read_weights(str(weights_file(cfg))))
        if wrong := misfits(state, encoder.vit.state_dict()):
            raise ValueError(f"{cfg.weights}: not weights of mit_b1; {len(wrong)} do not fit, first {wrong[0]}")
        encoder.vit.load_state_dict(state)
    return encoder
