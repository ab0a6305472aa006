"""ViT-PCM, the paper's direct ancestor, with its second stage (method-spec 1; method "vit_pcm").

One run holds both stages. First the encoder, HV-BiLSTM and patch classifier learn from image labels by max-pooled
scores (MCE), by agreement between two views of an image (ET) and with a penalty on the classifier. Then pseudo masks of
all training images are made, and a DeepLab learns from nothing but them for the last `stage2_epochs`.

Image labels are the same that all methods get, never taken from masks, as the official code takes them. Other
differences: a flip is drawn where the loader draws it, so view 1 is never transposed, only the tiles of view 2 are;
colours change in brightness, contrast and saturation, not in hue and to grey, and in view 1 only where `jitter` says
so; the encoder has no dropout of its own; maps are brought to pixels with align_corners off, as for all methods; and
DeepLab learns with the first stage's optimiser and rate and not with SGD.

Shapes: B images, T tiles of view 2 (apc/methods/vit_pcm_views.py), S side of square training images, h,w patch grid,
N = h*w patches, D features, C classes (background is class 0).
"""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from apc.config import Config
from apc.data import Split
from apc.data.transforms import as_floats, squash, stack
from apc.devices import processes
from apc.methods import losses
from apc.methods.base import BRANCHES, LOGITS, Method, Workplace
from apc.methods.pseudo_labels import merge, read, with_background
from apc.methods.pseudo_masks import Making, evaluating, gathered, packed, shown
from apc.methods.vit_pcm_views import View, cut, draw_view, mosaic, recolour, seen
from apc.models.bilstm import HVBiLSTM
from apc.models.build import autocast, build_encoder, images_at_once
from apc.models.crf import CRF
from apc.models.deeplab import DeepLab
from apc.parallel import progress

REGULARISATION = 0.01
"""Weight of the classifier's squared weights (method-spec 1.2.3)."""
COLOUR = 0.6
"""Change of colour between the two views where the loader changes none: they must differ, as published."""


def cce(target: Tensor, scores: Tensor) -> Tensor:
    """Categorical cross-entropy as Keras has it, mean over patches: both (...,C), each row a distribution."""
    p = (scores / scores.sum(-1, keepdim=True)).clamp(1e-7, 1 - 1e-7)
    return -(target * p.log()).sum(-1).mean()


class ViTPCM(Method):
    """Patch classes by max pooling, then a DeepLab; `stage` 0 has the encoder frozen, 1 has it open, 2 is DeepLab's."""

    merges = True

    def __init__(self, cfg: Config, num_classes: int) -> None:
        super().__init__()
        if cfg.stage2_epochs and cfg.frozen_epochs + cfg.stage2_epochs >= cfg.epochs:
            left = f"epochs is {cfg.epochs}, of both stages together, and {cfg.frozen_epochs} of them frozen"
            raise ValueError(f"stage2_epochs is {cfg.stage2_epochs}; {left}, so give fewer, or more epochs")
        self.cfg = cfg
        self.encoder = build_encoder(replace(cfg, decoder_blocks=cfg.decoder_blocks[-1:]))  # no decoder, so no taps
        width, side = self.encoder.width, 2 * self.encoder.patch
        if cfg.image_size % side:
            needed = f"vit_pcm puts four images into one, so give a multiple of {side}"
            raise ValueError(f"image_size is {cfg.image_size}; {needed}")
        bilstm = HVBiLSTM(width, dropout=cfg.dropout, residual=cfg.bilstm_residual) if cfg.bilstm else nn.Identity()
        self.bilstm: nn.Module = bilstm
        self.dropout = nn.Dropout(cfg.dropout)
        self.classifier = nn.Linear(width, num_classes, bias=False)
        nn.init.normal_(self.classifier.weight, std=0.05)
        self.deeplab = DeepLab(cfg, self.encoder, num_classes) if cfg.stage2_epochs else None
        self.taught: Tensor
        self.register_buffer("taught", torch.zeros(()))  # whether DeepLab has begun to learn: then it predicts
        self.weights = {"mce": 1.0, "et": 1.0, "reg": 1.0, "seg": 1.0}

    def patch_scores(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """Encoder output (B,N,D) -> class probabilities (B,C,h,w)."""
        f_out = self.bilstm(tokens.unflatten(1, grid))
        scores: Tensor = self.classifier(self.dropout(f_out)).float().softmax(-1)
        return scores.permute(0, 3, 1, 2)

    def loss_terms(
        self, batch: dict[str, Tensor], progress: float, frozen_features: list[Tensor] | None = None
    ) -> dict[str, Tensor]:
        """MCE, ET and the penalty (method-spec 1.2), or DeepLab's cross-entropy with the pseudo masks."""
        if self.masks:
            return {"seg": self._second(batch, frozen_features)}
        images, labels = batch["image"], batch["labels"]
        grid = self.encoder.grid(images)
        tokens = self.encoder(images, frozen_features)[-1]
        scores = self.patch_scores(tokens, grid)
        pooled = scores.flatten(2).max(2).values
        view = draw_view(len(images), grid[0])
        target = self.equivariance_target(tokens.detach(), scores.detach(), labels, view)
        tiles = seen(images, view, images.shape[-1] // 2)
        mosaics = mosaic(recolour(tiles, self.cfg.jitter or COLOUR))
        view_2 = cut(self.patch_scores(self.encoder(mosaics)[-1], grid))
        return {
            "mce": losses.mce_clamped(pooled, labels, self.cfg.background_label),
            "et": cce(target.movedim(1, -1), view_2.movedim(1, -1)),
            "reg": REGULARISATION * self.classifier.weight.square().sum(),
        }

    @torch.no_grad()
    def equivariance_target(self, tokens: Tensor, scores: Tensor, labels: Tensor, view: View) -> Tensor:
        """What view 2 must say, (T,C,h/2,w/2): view 1's prediction without dropout, seen alike, then label-merged."""
        if self.cfg.dropout:  # the encoder has none, so only the heads run again
            self.bilstm.eval()
            self.dropout.eval()
            scores = self.patch_scores(tokens, scores.shape[-2:])  # type: ignore[arg-type]
            self.bilstm.train(self.training)
            self.dropout.train(self.training)
        present = with_background(labels)[view.image.to(labels.device)]
        return merge(seen(scores, view, scores.shape[-1] // 2), present)

    def _second(self, batch: dict[str, Tensor], frozen_features: list[Tensor] | None) -> Tensor:
        assert self.deeplab
        images, side = batch["image"], self.cfg.image_size
        target = shown(self.masks, batch["index"], side).to(images.device)
        logits = self.deeplab(images, frozen_features).float()
        logits = F.interpolate(logits, size=(side, side), mode="bilinear", align_corners=False)
        return losses.segmentation(read(logits, self.cfg.seg_stride), read(target, self.cfg.seg_stride).long())

    def predict(
        self, images: Tensor, frozen_features: list[Tensor] | None = None, wanted: Collection[str] = BRANCHES
    ) -> dict[str, Tensor]:
        """Pixel probabilities (B,C,H,W): `patch` before any image label, and as `decoder` DeepLab's, or the same ones
        as long as no DeepLab has learnt. DeepLab is shown images of the run's own scored size at the size it learns
        at, and images of another size, such as one of `apc eval --sizes`, smaller or larger in the same ratio."""
        size = images.shape[-2:]
        scores = self.patch_scores(self.encoder(images, frozen_features)[-1], self.encoder.grid(images))
        patch = F.interpolate(scores, size=size, mode="bilinear", align_corners=False)
        if self.deeplab is None or not self.taught.item():
            log_scores = scores.clamp(min=torch.finfo(scores.dtype).tiny).log()
            return {"decoder": patch, "patch": patch} | ({LOGITS: log_scores} if LOGITS in wanted else {})
        scale, unit = self.cfg.image_size / self.cfg.scored_size, self.encoder.patch
        if scale != 1:
            height, width = (max(round(n * scale / unit), 1) * unit for n in size)
            images = F.interpolate(images, size=(height, width), mode="bilinear", antialias=True)
            frozen_features = None
        decoded = self.deeplab(images, frozen_features).float()
        logits = F.interpolate(decoded, size=size, mode="bilinear", align_corners=False)
        return {"decoder": logits.softmax(1), "patch": patch} | ({LOGITS: decoded} if LOGITS in wanted else {})

    def stage(self, epoch: int) -> int:
        return 2 if epoch >= self.cfg.epochs - self.cfg.stage2_epochs else super().stage(epoch)

    def course(self, epoch: int) -> tuple[int, int]:
        middle = self.cfg.epochs - self.cfg.stage2_epochs
        return (middle, self.cfg.epochs) if self.stage(epoch) == 2 else (0, middle)

    def begin(self, epoch: int, split: Split, at: Workplace) -> None:
        """In the second stage, freeze ViT-PCM and have its pseudo masks."""
        if self.stage(epoch) < 2:
            return
        assert self.deeplab
        self.requires_grad_(False)
        self.zero_grad()  # the first stage's last gradients would count where the loop clips their norm
        self.deeplab.learn()
        self.masks = self.masks or pseudo_masks(self, split, at)
        self.taught.fill_(1)

    def groups(self) -> list[dict[str, Any]]:
        if self.deeplab and self.masks:
            return self.deeplab.groups()
        return super().groups()


@torch.no_grad()
def pseudo_masks(method: ViTPCM, split: Split, at: Workplace) -> list[bytes]:
    """Packed masks (S,S) of all images of a split, from its image labels: patch scores of images at the scored size,
    label merge, bilinear to S, dense CRF, argmax (method-spec 1.5). No pixel is ignored, no mask is opened."""
    cfg = method.cfg
    rank, world = processes()
    mine = list(range(rank, len(split), world))
    group = images_at_once(cfg.scored_size)
    making = Making(
        split=split,
        probabilities=lambda numbers: _merged(method, split, numbers, at.device),
        side=cfg.image_size,
        crf=CRF[cfg.crf] if cfg.crf != "none" else None,
    )
    groups = [mine[start : start + group] for start in range(0, len(mine), group)]
    with evaluating(method), progress("pseudo masks", len(mine)) as tick:
        made = {}
        for mask in making.masks(groups, at):
            made[mask.number] = packed(mask.labels)
            tick(len(made))
    return gathered(made)


def _merged(method: ViTPCM, split: Split, numbers: list[int], device: str) -> Tensor:
    """Label-merged scores (B,C,h,w) of the images `numbers`."""
    cfg = method.cfg
    if cfg.scored_size == cfg.image_size:
        pixels = split.images[torch.tensor(numbers)]
    else:
        pixels = stack([squash(split.photo(i), cfg.scored_size) for i in numbers])
    images = as_floats(pixels, device)
    with autocast(cfg, device):
        scores = method.patch_scores(method.encoder(images)[-1], method.encoder.grid(images))
    return merge(scores, with_background(split.labels[numbers]).to(scores))
