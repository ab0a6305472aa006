"""DeepLab with image-level pooling and dilated convolutions: what ViT-PCM's pseudo masks teach (method-spec 1.5).

Shapes: B images, H,W pixels, h,w the map at the network's stride, D features, C classes (background is class 0).
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from apc.config import Config
from apc.models.encoder import Encoder
from apc.models.weights import misfits, read_weights

RATES, GRID = (6, 12, 18), 33
"""Dilations of DeepLab, made for a map of 33 x 33 (513 pixels at stride 16); smaller maps take them in proportion."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Colours of ImageNet, as torchvision's ResNets read them."""


class DeepLab(nn.Module):
    """Features and a head over them; `features` may be pre-trained and learns at `lr`, all else at `lr_frozen`.

    `deeplab` names the features: `small` is a network of 0.3 M weights from random numbers, which five epochs of the
    miniature do not bring beyond calling everything background; `vit` a copy of the run's
    own pre-trained encoder, closed and opened as ViT-PCM's; `resnet50` and `resnet101` are torchvision's DeepLabV3,
    with the ResNet's ImageNet weights from the file `deeplab_weights`, or from random numbers.
    """

    def __init__(self, cfg: Config, encoder: Encoder, num_classes: int) -> None:
        super().__init__()
        self.cfg, self.closes = cfg, cfg.deeplab == "vit"
        self.pretrained = bool(cfg.weights) if self.closes else bool(cfg.deeplab_weights)
        self.features: nn.Module
        if self.closes:
            self.features = copy.deepcopy(encoder)
            width, stride = encoder.width, encoder.patch
            self.features.open_last(cfg.unfreeze_blocks, learn=False)
        elif cfg.deeplab == "small":
            self.features, width, stride = _Small(cfg.decoder_norm), _Small.width, _Small.stride
        if self.closes or cfg.deeplab == "small":
            side = cfg.image_size // stride
            rates = sorted({max(round(rate * side / GRID), 1) for rate in RATES})
            channels = cfg.decoder_width if self.closes else width
            self.head: nn.Module = _Head((width, channels), rates, num_classes, cfg)
        else:
            self.features, self.head = _torchvision(cfg, num_classes)
        self.requires_grad_(False)

    def learn(self) -> None:
        """Open everything that is to learn."""
        self.requires_grad_(True)
        if self.closes:
            assert isinstance(self.features, Encoder)
            self.features.open_last(self.cfg.unfreeze_blocks)

    def groups(self) -> list[dict[str, object]]:
        """Groups of the optimiser: what is pre-trained learns at `lr`, the rest at `lr_frozen`, ten times as fast in
        the published settings, which is what DeepLab gives its head."""
        fast = self.cfg.lr_frozen / self.cfg.lr if self.cfg.lr else 1.0
        scales = [(self.features, 1.0 if self.pretrained else fast), (self.head, fast)]
        return [{"params": [p for p in part.parameters() if p.requires_grad], "scale": scale} for part, scale in scales]

    def forward(self, images: Tensor, frozen_features: list[Tensor] | None = None) -> Tensor:
        """Images in [0,1] (B,3,H,W) -> class logits (B,C,h,w); `vit` reads `frozen_features`, as
        for Method.loss_terms."""
        if isinstance(self.features, Encoder):
            tokens = self.features(images, frozen_features)[-1]
            features = tokens.transpose(1, 2).unflatten(2, self.features.grid(images))
        else:
            mean, std = (images.new_tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
            features = self.features((images - mean) / std)
            features = features["out"] if isinstance(features, dict) else features  # torchvision's name their layers
        logits: Tensor = self.head(features)
        return logits


def _norm(kind: str, channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels) if kind == "batch" else nn.GroupNorm(1, channels)


def _conv(inputs: int, channels: int, norm: str, *, kernel: int = 3, stride: int = 1, rate: int = 1) -> nn.Sequential:
    around = rate * (kernel // 2)
    convolve = nn.Conv2d(inputs, channels, kernel, stride, padding=around, dilation=rate, bias=False)
    return nn.Sequential(convolve, _norm(norm, channels), nn.ReLU())


class _Residual(nn.Module):
    def __init__(self, channels: int, norm: str, rate: int) -> None:
        super().__init__()
        self.first = _conv(channels, channels, norm, rate=rate)
        self.second = nn.Conv2d(channels, channels, 3, padding=rate, dilation=rate, bias=False)
        self.norm = _norm(norm, channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.norm(self.second(self.first(x))))


class _Small(nn.Sequential):
    """Three strided layers and two residual blocks: (B,3,H,W) -> (B,64,H/8,W/8)."""

    width, stride = 64, 8

    def __init__(self, norm: str) -> None:
        strided = [_conv(inputs, outputs, norm, stride=2) for inputs, outputs in ((3, 32), (32, 64), (64, 64))]
        super().__init__(*strided, _Residual(64, norm, 1), _Residual(64, norm, 2))


class _Head(nn.Module):
    """Atrous spatial pyramid pooling and a classifier: (B,D,h,w) -> (B,C,h,w)."""

    def __init__(self, widths: tuple[int, int], rates: list[int], num_classes: int, cfg: Config) -> None:
        """From `widths[0]` features through `widths[1]` channels, dilated by each of `rates`."""
        super().__init__()
        (width, channels), norm = widths, cfg.decoder_norm
        near = _conv(width, channels, norm, kernel=1)
        self.branches = nn.ModuleList([near, *(_conv(width, channels, norm, rate=rate) for rate in rates)])
        # no norm here: of one image a process there would be nothing to take a mean of
        self.whole = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(width, channels, 1), nn.ReLU())
        self.mix = _conv((len(rates) + 2) * channels, channels, norm, kernel=1)
        self.classify = nn.Sequential(nn.Dropout(cfg.decoder_dropout), nn.Conv2d(channels, num_classes, 1))

    def forward(self, x: Tensor) -> Tensor:
        whole = self.whole(x).expand(-1, -1, *x.shape[-2:])
        logits: Tensor = self.classify(self.mix(torch.cat([*(branch(x) for branch in self.branches), whole], 1)))
        return logits


def _torchvision(cfg: Config, num_classes: int) -> tuple[nn.Module, nn.Module]:
    """Features and head of torchvision's DeepLabV3; ValueError where `deeplab_weights` do not fit."""
    from torchvision.models import segmentation

    make = segmentation.deeplabv3_resnet50 if cfg.deeplab == "resnet50" else segmentation.deeplabv3_resnet101
    model = make(weights=None, weights_backbone=None, num_classes=num_classes)
    if cfg.deeplab_weights:
        state = {k: v for k, v in read_weights(cfg.deeplab_weights).items() if not k.startswith("fc.")}
        if wrong := misfits(state, model.backbone.state_dict()):
            misfit = f"not ImageNet weights of {cfg.deeplab}; {len(wrong)} tensors do not fit, first {wrong[0]}"
            raise ValueError(f"deeplab_weights is {cfg.deeplab_weights!r}; {misfit}")
        model.backbone.load_state_dict(state)
    return model.backbone, model.classifier
