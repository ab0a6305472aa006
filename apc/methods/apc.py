"""Adaptive Patch Contrast: encoder, HV-BiLSTM, patch classifier with adaptive-K pooling, decoder (paper, Figure 3).

Shapes: B images, H,W pixels, h,w patch grid, N = h*w patches, D features, C classes (background is class 0).
"""

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from apc.config import Config
from apc.data import Split
from apc.data.transforms import recolours
from apc.methods import losses
from apc.methods.affinity import Levels
from apc.methods.base import BRANCHES, LOGITS, Method, Workplace
from apc.methods.pseudo_labels import level_labels, patches_to_pixels, pseudo_labels, read, with_background
from apc.methods.pseudo_masks import shown
from apc.methods.self_training import bounds_of, masks_of_round, round_of
from apc.methods.teacher import Teacher
from apc.models.bilstm import HVBiLSTM
from apc.models.build import build_encoder
from apc.models.decoder import Decoder
from apc.models.pooling import adaptive_count, most_patches, pool


class _Said(NamedTuple):
    """What a network says of a batch."""

    scores: Tensor
    """Patch scores (B,N,C)."""
    decoded: Tensor
    """The decoder's logits (B,C,h,w), where they are wanted."""


KINDS = ("seg_background", "seg_objects")
"""The two terms of a balanced segmentation loss, a mean over pixels each."""


class APC(Method):
    """The paper's method, and rounds of self-training after it where `rounds` asks for them: then the decoder learns
    from masks that the model made before, and no longer from the patch branch of the moment."""

    def __init__(self, cfg: Config, num_classes: int) -> None:
        super().__init__()
        self.cfg = cfg
        self.encoder = build_encoder(cfg)
        width = self.encoder.width
        bilstm = HVBiLSTM(width, dropout=cfg.dropout, residual=cfg.bilstm_residual) if cfg.bilstm else nn.Identity()
        self.bilstm: nn.Module = bilstm
        self.dropout = nn.Dropout(cfg.dropout)
        self.classifier = nn.Linear(width, num_classes, bias=False)  # W of Eq. 1
        nn.init.normal_(self.classifier.weight, std=0.05)
        self.decoder = Decoder(len(cfg.decoder_blocks), width, num_classes, cfg)

    @property
    def weights(self) -> dict[str, float]:  # type: ignore[override]
        """In a round of self-training its own weight stands in for lambda1."""
        weights, seg = {"mce": 1.0, "pce": self.cfg.lambda2}, self.cfg.round_weight if self.masks else self.cfg.lambda1
        weights |= dict.fromkeys(KINDS, seg / 2) if self._balanced else {"seg": seg}
        return weights | ({"swap": self.cfg.swap} if self.cfg.swap else {})

    @property
    def _balanced(self) -> bool:
        """Whether background and objects have a half of the segmentation loss each."""
        return bool(self.masks) or self.cfg.seg_loss == "balanced"

    @property
    def counts_pixels(self) -> bool:  # type: ignore[override]
        """Where background and objects have a mean each, and where `pseudo_threshold` or `levels` leaves pixels out."""
        leaves_out = self.cfg.pseudo_threshold > 0 or self.cfg.pseudo_label == "levels"
        return bool(self.masks) or (self.cfg.lambda1 > 0 and (self._balanced or leaves_out))

    @property
    def reads_pixels(self) -> bool:  # type: ignore[override]
        """Where a teacher is shown other colours than the method, whose features cannot be kept then."""
        return bool(self.cfg.teacher and recolours(self.cfg))

    def branches(
        self, images: Tensor, frozen_features: list[Tensor] | None = None
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Images (B,3,H,W) -> F_out (B,N,D), patch log scores (B,N,C) and the decoder's inputs, each (B,h,w,D)."""
        grid = self.encoder.grid(images)
        blocks = [t.unflatten(1, grid) for t in self.encoder(images, frozen_features)]
        out = self.bilstm(blocks[-1])
        f_out = out.flatten(1, 2)
        log_scores = self.classifier(self.dropout(f_out)).float().log_softmax(-1)  # Eq. 1
        return f_out, log_scores, [*blocks[:-1], out]

    def loss_terms(
        self, batch: dict[str, Tensor], progress: float, frozen_features: list[Tensor] | None = None
    ) -> dict[str, Tensor]:
        """The terms of Eq. 7, of which a balanced segmentation loss is two, and `swap`; those of weight 0 are left
        out."""
        cfg, images, labels = self.cfg, batch["image"], batch["labels"]
        f_out, log_scores, blocks = self.branches(images, None if "plain" in batch else frozen_features)
        most = most_patches(log_scores.shape[1], cfg.k, cfg.k_share)
        log_y, log_rest = pool(log_scores, cfg.pooling, most, cfg.theta)
        if cfg.mce == "clamped":
            terms = {"mce": losses.mce_clamped(log_y.exp(), labels, cfg.background_label)}
        else:
            terms = {"mce": losses.mce(log_y, log_rest, labels, cfg.background_label)}
        scores = log_scores.detach().exp()
        if cfg.lambda2 > 0:
            present = with_background(labels) if cfg.pce_classes == "present" else None
            terms["pce"] = losses.pce(f_out, scores, cfg.epsilon, present)
        if self.masks or cfg.lambda1 > 0:
            decoded = self.decoder(blocks).float()
            asks_teacher = cfg.teacher and (cfg.swap or not self.masks)
            said = self._taught(batch, frozen_features) if asks_teacher else _Said(scores, decoded)
            target = self._own_masks(batch) if self.masks else self._target(said.scores, batch)
            size = images.shape[-2:] if self.masks else target.shape[-2:]
            logits = F.interpolate(decoded, size=size, mode="bilinear", align_corners=False)
            logits = read(logits, cfg.seg_stride) if self.masks else logits
            if self._balanced:
                terms |= zip(KINDS, losses.by_kind(logits, target), strict=True)
            else:
                terms["seg"] = losses.segmentation(logits, target)
            if asks_teacher:  # whose NaN stops the run, which labels do not tell of
                seg = KINDS[0] if self._balanced else "seg"
                terms[seg] = terms[seg] + 0 * said.scores.sum()
            if cfg.swap:
                terms["swap"] = losses.swapped(log_scores, said.decoded, with_background(labels))
        return terms

    @torch.no_grad()
    def _taught(self, batch: dict[str, Tensor], frozen_features: list[Tensor] | None) -> "_Said":
        """What is learnt from: the teacher's words of the plain images, or where there is none the method's own."""
        method = cast(APC, self.teacher.method) if self.teacher else self
        assert (method is self) == (not self.cfg.teacher), "a teacher stands ready when the first epoch begins"
        _, log_scores, blocks = method.branches(batch.get("plain", batch["image"]), frozen_features)
        decoded = method.decoder(blocks).float() if self.cfg.swap and self.teacher else log_scores.new_zeros(())
        return _Said(log_scores.exp(), decoded)

    def _own_masks(self, batch: dict[str, Tensor]) -> Tensor:
        """The pixels (B,H,W) of the model's masks of the training images that a round's loss reads, 255 ignored."""
        masks = shown(self.masks, batch["index"], self.cfg.image_size, batch.get("box")).to(batch["image"].device)
        return read(masks, self.cfg.seg_stride).long()

    def _size(self, images: Tensor) -> tuple[int, int]:
        """Pixels that the segmentation loss reads."""
        return images.shape[-2] // self.cfg.seg_stride, images.shape[-1] // self.cfg.seg_stride

    def _target(self, scores: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Patch scores (B,N,C) -> the pseudo labels (B,H,W) that the segmentation loss reads, 255 ignored."""
        cfg, images = self.cfg, batch["image"]
        patch_scores = scores.transpose(1, 2).unflatten(2, self.encoder.grid(images))
        if cfg.pseudo_label == "levels":
            return level_labels(
                patch_scores, batch["labels"], Levels(cfg.level_high, cfg.level_low), self._size(images)
            )
        label = pseudo_labels(patch_scores, batch["labels"], cfg.pseudo_label, cfg.pseudo_threshold)
        return patches_to_pixels(label, self._size(images))

    @torch.no_grad()
    def known_pixels(self, batch: dict[str, Tensor], frozen_features: list[Tensor] | None = None) -> dict[str, Tensor]:
        """Those of the segmentation loss."""
        if self.masks:
            target = self._own_masks(batch)
        else:
            target = self._target(self._taught(batch, frozen_features).scores, batch)
        if self._balanced:
            return {name: kind.sum() for name, kind in zip(KINDS, losses.kinds_of(target), strict=True)}
        return {"seg": (target != 255).sum()}

    def stage(self, epoch: int) -> int:
        return super().stage(epoch) + round_of(self.cfg, epoch)

    def course(self, epoch: int) -> tuple[int, int]:
        return bounds_of(self.cfg, round_of(self.cfg, epoch))

    def rates(self, epoch: int) -> Config:
        """In a round the rate is its own, falls by a cosine and is not warmed up."""
        own = replace(self.cfg, lr=self.cfg.round_lr, schedule="cosine", warmup_steps=0)
        return own if round_of(self.cfg, epoch) else self.cfg

    def notes(self, epoch: int) -> dict[str, float]:
        """The number of the round, in one."""
        return {"round": float(number)} if (number := round_of(self.cfg, epoch)) else {}

    def begin(self, epoch: int, split: Split, at: Workplace) -> None:
        """Have a teacher, where one is asked for, before the first step; at the beginning of a round, make the masks
        that it learns from."""
        if self.cfg.teacher and not self.teacher:
            steps = self.cfg.epochs * max(len(split) // self.cfg.batch_size, 1)
            self.teacher = Teacher(self, self.cfg.teacher * steps)
        number = round_of(self.cfg, epoch)
        if number and epoch == bounds_of(self.cfg, number)[0]:
            self.masks = masks_of_round(self, split, number, at)

    def stepped(self) -> None:
        if self.teacher:
            self.teacher.follow(self)

    def predict(
        self, images: Tensor, frozen_features: list[Tensor] | None = None, wanted: Collection[str] = BRANCHES
    ) -> dict[str, Tensor]:
        """Pixel probabilities (B,C,H,W) of each branch: `decoder`, and `patch` before any image label."""
        grid, size = self.encoder.grid(images), images.shape[-2:]
        _, log_scores, blocks = self.branches(images, frozen_features)
        patch = log_scores.exp().transpose(1, 2).unflatten(2, grid)
        decoded = self.decoder(blocks).float()
        logits = F.interpolate(decoded, size=size, mode="bilinear", align_corners=False)
        branches = {
            "decoder": logits.softmax(1),
            "patch": F.interpolate(patch, size=size, mode="bilinear", align_corners=False),
        }
        return branches | ({LOGITS: decoded} if LOGITS in wanted else {})

    @torch.no_grad()
    def choices(self, parts: Iterable[dict[str, Tensor]]) -> dict[str, float]:
        """What pooling and PCE select on the image's own classes, background left out: `mean_k` patches a class by
        Algorithm 1, and `high_share`, the share of (image, class) pairs with two patches above epsilon. Nothing where
        no image shows a class."""
        parted = [(self.branches(part["image"])[1].exp(), part["labels"] > 0) for part in parts]
        scores, present = (torch.cat(tensors) for tensors in zip(*parted, strict=True))
        if not present.any():
            return {}
        most = most_patches(scores.shape[1], self.cfg.k, self.cfg.k_share)
        count = adaptive_count(scores, most, self.cfg.theta)[:, 1:]
        pairs = ((scores > self.cfg.epsilon).sum(1) >= 2)[:, 1:]
        return {"mean_k": count[present].float().mean().item(), "high_share": pairs[present].float().mean().item()}
