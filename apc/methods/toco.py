"""Token Contrast (Ru et al., CVPR 2023): patch tokens that grow alike in a ViT's last blocks are kept apart by the CAM
of an earlier block, and uncertain regions by the class tokens of crops (method-spec, section 3).

Differences from the official code: images are squashed and not cropped at random, so no image is padded; its slips are
mended unless `compat` asks for them; the views of the class token differ by brightness, contrast and saturation and not
by blur and grey; the dense-energy loss is off unless `energy_weight` asks for it, as the specification recommends.
Pixels are normalised as the encoder's pre-training was, where the official code always has ImageNet's mean. Where the
encoder has no class token, as the tiny ViT of the embedded data, the mean of its patch tokens stands in.

Shapes: B images, H,W pixels, h,w patch grid, N = h*w patches, D features, C classes (background is class 0).
"""

import copy
from collections.abc import Collection
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from apc.config import Config
from apc.data import Split
from apc.methods import losses
from apc.methods.affinity import Levels, affinity_label
from apc.methods.base import BRANCHES, LOGITS, Method, Workplace
from apc.methods.cam import cam_probabilities, cam_to_label, multi_scale_cam, refined_label
from apc.methods.dense_energy import dense_energy
from apc.methods.token_contrast import (
    ProjectionHead,
    class_contrast,
    cut_out,
    draw_crops,
    object_levels,
    patch_contrast,
    zoomed,
)
from apc.methods.vit_pcm_views import recolour
from apc.models.build import build_encoder
from apc.models.par import PAR

SCALES = (1.0, 0.5, 1.5)
"""Multiples of the image's size at which its CAMs are taken."""
HEADS = 10.0
"""Learning rate of classifiers, projection and decoder over the encoder's."""
MOMENTUM = 0.9
"""Of the averaged projection head, which follows the learning one at every step."""
CROPS, CROP, ZOOM = 8, 96 / 448, 0.4
"""Local crops, their side as a share of the image's, and the least area of the second whole view."""
COLOUR = 0.4
"""Change of colour of views and crops where the loader changes none: they must differ from the image, as published."""
NEGATIVE = 0.2
"""A crop shows background if its mean level of object lies at most here."""


class Setting(NamedTuple):
    """What differs between VOC and COCO."""

    contrast: float
    """Share of the training after which the contrasts begin."""
    segment: float
    """Share after which the decoder learns."""
    own: float
    """Share after which its labels come from the last block's CAM; before, from the earlier block's."""
    high: float
    low: float
    """CAM levels of objects and of background."""
    temperature: float
    background: float
    """CAM level of the background in the `patch` branch, which leaves no pixel unknown."""

    @property
    def levels(self) -> Levels:
        """The two levels together."""
        return Levels(self.high, self.low)


VOC = Setting(-1.0, 2_000 / 20_000, -1.0, 0.7, 0.25, 0.5, 0.5)
COCO = Setting(12_000 / 80_000, 8_000 / 80_000, 12_000 / 80_000, 0.65, 0.25, 1.0, 0.45)


class LargeFOV(nn.Sequential):
    """Two dilated convolutions and a classifier: (B,D,h,w) -> (B,C,h,w)."""

    def __init__(self, width: int, channels: int, num_classes: int, rate: int) -> None:
        super().__init__(
            nn.Conv2d(width, channels, 3, padding=rate, dilation=rate, bias=False),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=rate, dilation=rate, bias=False),
            nn.ReLU(),
            nn.Conv2d(channels, num_classes, 1, bias=False),
        )


class ToCo(Method):
    """ToCo on a plain ViT with a class token."""

    def __init__(self, cfg: Config, num_classes: int) -> None:
        super().__init__()
        self.cfg = cfg
        self.encoder = encoder = build_encoder(cfg)
        if encoder.depth < 2:
            raise ValueError(f"encoder is {cfg.encoder!r}; toco needs two blocks or more")
        if cfg.image_size % (2 * encoder.patch):
            needed = f"toco sees images at half their size too, so it must be a multiple of {2 * encoder.patch}"
            raise ValueError(f"image_size is {cfg.image_size}; {needed}")
        encoder.taps = (encoder.depth - max(round(encoder.depth / 6), 1),)  # block 10 of 12
        width, grid = encoder.width, cfg.image_size // encoder.patch
        self.classifier = nn.Linear(width, num_classes - 1, bias=False)
        self.early = nn.Linear(width, num_classes - 1, bias=False)
        self.decoder = LargeFOV(width, 2 * cfg.decoder_width, num_classes, max(round(5 * grid / 28), 1))
        self.head = ProjectionHead(width)
        self.slow = copy.deepcopy(self.head).requires_grad_(False)
        self.setting = COCO if cfg.dataset == "coco" else VOC
        self.par = PAR.for_size(cfg.image_size)
        self.crop = max(round(CROP * grid), 2) * encoder.patch
        self.weights = {"cls": 1.0, "aux": 1.0, "ptc": 0.2, "ctc": 0.5, "seg": 0.1}
        if cfg.energy_weight:
            self.weights["energy"] = cfg.energy_weight

    def tokens(self, images: Tensor, frozen_features: list[Tensor] | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Images (B,3,H,W) -> patch tokens (B,N,D) of the early and the last block, and the class token (B,D)."""
        early, last = self.encoder.tokens(images, frozen_features)
        prefix = self.encoder.vit.num_prefix_tokens
        return early[:, prefix:], last[:, prefix:], last[:, 0] if prefix else last.mean(1)

    def cams(self, early: Tensor, last: Tensor, images: Tensor, both: bool = True) -> Tensor:
        """Patch tokens (B,N,D) of both blocks -> raw maps, (B,2(C-1),h,w) of the last block's classifier and the early
        one's, or (B,C-1,h,w) of the early one's alone."""
        scores = torch.cat([self.classifier(last), self.early(early)], -1) if both else self.early(early)
        maps: Tensor = scores.transpose(1, 2).unflatten(2, self.encoder.grid(images)).float()
        return maps

    def loss_terms(
        self, batch: dict[str, Tensor], progress: float, frozen_features: list[Tensor] | None = None
    ) -> dict[str, Tensor]:
        """`cls` and `aux` of the two classifiers on max-pooled tokens, `ptc`, `ctc`, and of the decoder `seg` and
        `energy`, where it is wanted, each 0 before its time."""
        images, labels, setting = batch["image"], batch["labels"].float(), self.setting
        early, last, token = self.tokens(images, frozen_features)
        terms = {
            "cls": F.multilabel_soft_margin_loss(self.classifier(last.amax(1)).float(), labels),
            "aux": F.multilabel_soft_margin_loss(self.early(early.amax(1)).float(), labels),
        }
        terms |= {name: terms["cls"].new_zeros(()) for name in self.weights if name not in terms}
        segments = progress > setting.segment
        decodes = segments or self.cfg.compat == "official"  # which counts NaN 0 times
        if not (progress > setting.contrast or decodes):
            return terms
        own = decodes and progress > setting.own  # before, the last block's CAM is of no use
        cams = self.cams_over_scales(images, early.detach(), last.detach(), own)
        cam, early_cam = cams[:, : labels.shape[1]], cams[:, -labels.shape[1] :]
        if progress > setting.contrast:
            terms["ptc"] = self._patches(last, early_cam, images, labels)
            terms["ctc"] = self._classes(images, token, early_cam, labels)
        if decodes:
            decoder = self._decoder(images, last, cam, labels)
            terms |= decoder if segments else {name: 0.0 * term for name, term in decoder.items()}
        return terms

    def _decoder(self, images: Tensor, last: Tensor, cam: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """The decoder's terms, against labels of pixels made from CAMs (B,C-1,H,W)."""
        with torch.autocast(images.device.type, enabled=False):
            label = refined_label(self.par, images, cam, labels, self.setting.levels)
        size = (images.shape[-2] // self.cfg.seg_stride, images.shape[-1] // self.cfg.seg_stride)
        target = F.interpolate(label[:, None].float(), size=size, mode="nearest-exact")[:, 0].long()
        logits = F.interpolate(self._decoded(last, images), size=size, mode="bilinear", align_corners=False)
        terms = {"seg": losses.balanced_segmentation(logits, target, self.cfg.compat)}
        return terms | ({"energy": dense_energy(images, logits.softmax(1), label)} if self.cfg.energy_weight else {})

    @torch.no_grad()
    def cams_over_scales(self, images: Tensor, early: Tensor, last: Tensor, both: bool = True) -> Tensor:
        """The maps of `cams` over scales; what this step has computed already is not computed again."""

        def maps(shown: Tensor) -> Tensor:
            known = shown.shape[-2:] == images.shape[-2:]
            new = shown[len(images) :] if known else shown
            new_early, new_last, _ = self.tokens(new)
            raw = self.cams(new_early, new_last, new, both)
            return torch.cat([self.cams(early, last, images, both), raw]) if known else raw

        return multi_scale_cam(maps, images, SCALES, self.encoder.patch)

    def _patches(self, tokens: Tensor, early_cam: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        grid = self.encoder.grid(images)
        small = F.interpolate(early_cam, size=grid, mode="bilinear", align_corners=False)
        label = cam_to_label(small, labels, self.setting.levels)
        near = torch.ones(grid[0] * grid[1], grid[0] * grid[1], dtype=torch.bool, device=images.device)
        return patch_contrast(tokens, affinity_label(label, grid, near))

    def _classes(self, images: Tensor, token: Tensor, early_cam: Tensor, labels: Tensor) -> Tensor:
        """Class tokens of the image, of a part of it and of crops around uncertain and background pixels."""
        levels = object_levels(early_cam, labels, self.setting.levels)
        corners = draw_crops(levels, self.crop, CROPS)
        shows = cut_out(levels[:, None], corners, self.crop).mean((2, 3, 4)) > NEGATIVE
        source = images
        if self.cfg.compat == "official":
            source = torch.where(torch.rand(len(images), 1, 1, 1).to(images.device) < 0.5, images.flip(-1), images)
        parts, locals_ = zoomed(images, ZOOM), cut_out(source, corners, self.crop).flatten(0, 1)
        parts, locals_ = (recolour(each, self.cfg.jitter or COLOUR) for each in (parts, locals_))
        wholes = torch.stack([token, self.tokens(parts)[2]], 1)  # (B,2,D)
        crops = self.tokens(locals_)[2].unflatten(0, (len(images), CROPS))
        with torch.no_grad():
            teacher = self.slow(wholes.detach())
        student = self.head(torch.cat([wholes, crops], 1))
        positive = torch.cat([torch.ones_like(shows[:, :2]), shows], 1)
        return class_contrast(student, teacher, positive, self.setting.temperature)

    def _decoded(self, last: Tensor, images: Tensor) -> Tensor:
        logits: Tensor = self.decoder(last.transpose(1, 2).unflatten(2, self.encoder.grid(images)))
        return logits.float()

    def predict(
        self, images: Tensor, frozen_features: list[Tensor] | None = None, wanted: Collection[str] = BRANCHES
    ) -> dict[str, Tensor]:
        """Pixel probabilities (B,C,H,W) of each branch: `decoder`, and `patch`, the CAM's over scales and flips before
        any image label."""
        early, last, _ = self.tokens(images, frozen_features)
        decoded = self._decoded(last, images)
        logits = F.interpolate(decoded, size=images.shape[-2:], mode="bilinear", align_corners=False)
        branches = {"decoder": logits.softmax(1)} | ({LOGITS: decoded} if LOGITS in wanted else {})
        if "patch" in wanted:
            cam, _ = self.cams_over_scales(images, early, last).chunk(2, dim=1)
            branches["patch"] = cam_probabilities(cam, self.setting.background)
        return branches

    def begin(self, epoch: int, split: Split, at: Workplace) -> None:
        """Close the position embeddings, which are not trained."""
        if self.encoder.vit.pos_embed is not None:
            self.encoder.vit.pos_embed.requires_grad_(False)

    @torch.no_grad()
    def stepped(self) -> None:
        """Move the averaged head; the official code does so before the step and not after it."""
        for slow, fast in zip(self.slow.parameters(), self.head.parameters(), strict=True):
            slow.lerp_(fast, 1 - MOMENTUM)

    def groups(self) -> list[dict[str, Any]]:
        """The encoder's weights, and the heads' at ten times their learning rate."""
        encoder = [p for p in self.encoder.parameters() if p.requires_grad]
        own = {id(p) for p in self.encoder.parameters()}
        heads = [p for p in self.parameters() if p.requires_grad and id(p) not in own]
        return [{"params": p, "scale": s} for p, s in ((encoder, 1.0), (heads, HEADS)) if p]
