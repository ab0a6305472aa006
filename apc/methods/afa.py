"""Affinity from Attention (Ru et al., CVPR 2022): class activation maps, refined along the affinity of patches that the
encoder's attention learns, teach a decoder in the same training (method-spec, section 2).

Shapes: B images, H,W pixels, h,w patch grid, N = h*w patches, D features, C classes (background is class 0).
"""

from collections.abc import Collection
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from apc.config import Config
from apc.data import Split
from apc.methods import affinity as pairs
from apc.methods import losses
from apc.methods.base import BRANCHES, LOGITS, Method, Workplace
from apc.methods.cam import cam_probabilities, multi_scale_cam, shares
from apc.methods.dense_energy import dense_energy
from apc.models.build import build_encoder
from apc.models.decoder import Decoder
from apc.models.mit import WIDTHS, MiTEncoder, SegFormerHead
from apc.models.par import PAR

SCALES = (1.0, 0.5, 1.5)
"""Multiples of the image's size at which its CAM is taken; the affinity that propagates it is the largest one's."""
LEVELS = pairs.Levels(high=0.55, low=0.35)
BACKGROUND = 0.45
"""Background level of the `patch` branch, which leaves no pixel unknown: halfway between the two."""
HEADS = 10.0
"""Learning rate of classifier, affinity head and decoder over the encoder's."""
DILATIONS = (1, 2, 4, 8, 12, 24)
"""PAR's, for crops of 512 pixels; smaller images leave out what lies beyond a twentieth of their side."""


class Timing(NamedTuple):
    """When what begins, as shares of the training: the paper's iterations over their total; and PAR's steps."""

    start: float
    """Decoder and affinity begin to learn; before, the classifier learns alone."""
    decoder: float
    """The decoder's labels come from CAMs propagated along the affinity."""
    affinity: float
    """The affinity's labels do so too; 1 is never."""
    par_steps: int


VOC = Timing(2_000 / 20_000, 6_000 / 20_000, 1.0, 10)
COCO = Timing(5_000 / 80_000, 15_000 / 80_000, 15_000 / 80_000, 15)


class AFA(Method):
    """AFA on MiT-B1, as published, or on a plain ViT, whose last two blocks' attention gives the affinity."""

    averages_flips = True

    def __init__(self, cfg: Config, num_classes: int) -> None:
        super().__init__()
        if cfg.unfreeze_blocks < pairs.BLOCKS:
            needed = f"afa teaches the attention of the last blocks, so it must be {pairs.BLOCKS} or more"
            raise ValueError(f"unfreeze_blocks is {cfg.unfreeze_blocks}; {needed}")
        self.cfg = cfg
        self.encoder = encoder = build_encoder(cfg)
        if cfg.image_size % (2 * encoder.patch):
            needed = f"afa sees images at half their size too, so it must be a multiple of {2 * encoder.patch}"
            raise ValueError(f"image_size is {cfg.image_size}; {needed}")
        self.classifier = nn.Linear(encoder.width, num_classes - 1, bias=False)
        blocks = self._blocks()
        # Unscaled, as in MiT, a small plain ViT's logits start the sigmoid flat, and it learns slowly or not at all.
        scale = 1.0 if isinstance(encoder, MiTEncoder) else blocks[-1].attn.scale
        self.affinity = pairs.AffinityHead(blocks[-1].attn.num_heads, scale)
        if isinstance(encoder, MiTEncoder):
            widths = [WIDTHS[stage - 1] for stage in (*encoder.taps, len(WIDTHS))]
            self.decoder: nn.Module = SegFormerHead(widths, num_classes, cfg)
        else:
            self.decoder = Decoder(len(encoder.taps) + 1, encoder.width, num_classes, cfg)
        self.timing = COCO if cfg.dataset == "coco" else VOC
        self.par = PAR(tuple(d for d in DILATIONS if d == 1 or 20 * d <= cfg.image_size), self.timing.par_steps)
        self.radius = max(round(cfg.image_size / encoder.patch / 4), 1)  # 8 patches of the 32 of a 512-pixel crop
        self.weights = {"cls": 1.0, "seg": 0.1, "aff": 0.1}
        if cfg.energy_weight:
            self.weights["energy"] = cfg.energy_weight

    def _blocks(self) -> Any:
        vit: Any = self.encoder.vit
        return vit.stages[-1].blocks if isinstance(self.encoder, MiTEncoder) else vit.blocks

    def cam(self, tokens: Tensor, images: Tensor) -> Tensor:
        """The encoder's output (B,N,D) for images (B,3,H,W) -> raw class activation maps (B,C-1,h,w)."""
        maps: Tensor = self.classifier(tokens).transpose(1, 2).unflatten(2, self.encoder.grid(images)).float()
        return maps

    def decode(self, outputs: list[Tensor], images: Tensor) -> Tensor:
        """What the encoder gave for images (B,3,H,W) -> class logits (B,C,h,w), h,w the finest grid that it reads."""
        encoder = self.encoder
        grids = encoder.grids(images) if isinstance(encoder, MiTEncoder) else [encoder.grid(images)] * len(outputs)
        logits: Tensor = self.decoder([t.unflatten(1, grid) for t, grid in zip(outputs, grids, strict=True)])
        return logits.float()

    def loss_terms(
        self, batch: dict[str, Tensor], progress: float, frozen_features: list[Tensor] | None = None
    ) -> dict[str, Tensor]:
        """`cls` of the classifier on max-pooled tokens; `seg` of the decoder and `aff` of the attention against labels
        made from the CAMs, and `energy` where it is wanted, which are 0 in the first share of the training."""
        cfg, images, labels = self.cfg, batch["image"], batch["labels"]
        with pairs.listening(self._blocks()) as attention:
            outputs = self.encoder(images, frozen_features)
        image_scores = self.classifier(outputs[-1].amax(1)).float()
        terms = {"cls": F.multilabel_soft_margin_loss(image_scores, labels.float())}
        segments = progress > self.timing.start
        if not segments and cfg.compat == "fixed":
            return terms | {name: image_scores.new_zeros(()) for name in self.weights if name not in terms}
        affinity = self.affinity(attention, self.encoder.vit.num_prefix_tokens)
        size = (images.shape[-2] // cfg.seg_stride, images.shape[-1] // cfg.seg_stride)
        # The official decoder reads the images before all passes of the CAM; its norm remembers which came last.
        decoded = self.decode(outputs, images) if cfg.compat == "official" else None
        for_decoder, for_affinity = self.targets(images, labels, self.cam(outputs[-1].detach(), images), progress)
        decoded = self.decode(outputs, images) if decoded is None else decoded
        logits = F.interpolate(decoded, size=size, mode="bilinear", align_corners=False)
        target = F.interpolate(for_decoder[:, None].float(), size=size, mode="nearest-exact")[:, 0].long()
        segment = {"seg": losses.balanced_segmentation(logits, target, cfg.compat)}
        grid = self.encoder.grid(images)
        label = pairs.affinity_label(for_affinity, grid, pairs.window(grid, self.radius, images.device))
        segment["aff"] = pairs.affinity_loss(affinity, label)
        if cfg.energy_weight:
            segment["energy"] = dense_energy(images, logits.softmax(1), for_decoder)
        return terms | (segment if segments else {name: 0.0 * term for name, term in segment.items()})  # NaN stays NaN

    @torch.no_grad()
    def targets(self, images: Tensor, labels: Tensor, cam: Tensor, progress: float) -> tuple[Tensor, Tensor]:
        """Labels of pixels (B,H,W), 255 where unknown, for the decoder and for the affinity.

        `cam` (B,C-1,h,w) is the one of this step's own forward pass, which is not computed again. Only the plain
        images at the largest scale give their attention for propagation.
        """
        count, propagates = len(images), progress > self.timing.decoder
        all_through_decoder = self.cfg.compat == "official" and self.cfg.decoder_norm == "batch"
        flows: list[tuple[tuple[int, int], Tensor]] = []

        def maps(shown: Tensor) -> Tensor:
            """CAMs of images and behind them their mirror images, all at one scale."""
            if all_through_decoder:  # whose norm takes its running statistics from these passes too
                with pairs.listening(self._blocks()) as attention:
                    outputs = self.encoder(shown)
                self.decode(outputs, shown)
                raw = self.cam(outputs[-1], shown)
            elif shown.shape[-2:] == images.shape[-2:]:
                return torch.cat([cam.detach(), self.cam(self.encoder(shown[count:])[-1], shown)])
            else:
                with pairs.listening(self._blocks()) as attention:
                    raw = self.cam(self.encoder(shown)[-1], shown)
            if propagates and shown.shape[-1] > images.shape[-1]:
                grid = self.encoder.grid(shown)
                affinity = self.affinity([t[:count] for t in attention], self.encoder.vit.num_prefix_tokens)
                flows.append((grid, pairs.transition(affinity, pairs.window(grid, self.radius, images.device))))
            return raw

        cams = multi_scale_cam(maps, images, SCALES)
        with torch.autocast(images.device.type, enabled=False):
            classes, stacks = pairs.own_classes(labels), []
            if not propagates or progress <= self.timing.affinity:
                stacks.append(shares(cams, classes, LEVELS))
            if propagates:
                ((grid, flow),) = flows
                small = F.interpolate(cams.float(), size=grid, mode="bilinear", align_corners=False)
                size = (images.shape[-2], images.shape[-1])
                along = pairs.shares_along(small, labels, flow, LEVELS, size)
                half = (size[0] // 2, size[1] // 2)  # PAR itself would shrink it so; now it refines both stacks at once
                stacks.append(F.interpolate(along, size=half, mode="bilinear", align_corners=True))
            refined = pairs.refine_scores(self.par, images, torch.cat(stacks, 1)).chunk(len(stacks), 1)
        labelled = [pairs.strict_and_lax(scores, classes) for scores in refined]
        return labelled[-1], labelled[
            0
        ]  # where there are both, propagated ones for the decoder, plain for the affinity

    def predict(
        self, images: Tensor, frozen_features: list[Tensor] | None = None, wanted: Collection[str] = BRANCHES
    ) -> dict[str, Tensor]:
        """Pixel probabilities (B,C,H,W) of each branch: `decoder`, and `patch`, the CAM's over scales and flips before
        any image label, without propagation and PAR."""
        outputs = self.encoder(images, frozen_features)
        decoded = self.decode(outputs, images)
        logits = F.interpolate(decoded, size=images.shape[-2:], mode="bilinear", align_corners=False)
        branches = {"decoder": logits.softmax(1)} | ({LOGITS: decoded} if LOGITS in wanted else {})
        if "patch" in wanted:
            cam = self.cam(outputs[-1], images)

            def maps(shown: Tensor) -> Tensor:
                known = shown.shape[-2:] == images.shape[-2:]
                raw = self.cam(self.encoder(shown[len(images) :] if known else shown)[-1], shown)
                return torch.cat([cam, raw]) if known else raw

            scored = multi_scale_cam(maps, images, SCALES, self.encoder.patch, self.encoder.least)
            branches["patch"] = cam_probabilities(scored, BACKGROUND)
        return branches

    def begin(self, epoch: int, split: Split, at: Workplace) -> None:
        """Close the encoder's norms: they have learning rate 0 in the published training."""
        for module in self.encoder.modules():
            if isinstance(module, nn.LayerNorm):
                module.requires_grad_(False)

    def groups(self) -> list[dict[str, Any]]:
        """The encoder's weights, and the heads' at ten times their learning rate."""
        heads = [*self.classifier.parameters(), *self.affinity.parameters(), *self.decoder.parameters()]
        encoder = [p for p in self.encoder.parameters() if p.requires_grad]
        return [{"params": p, "scale": s} for p, s in ((encoder, 1.0), (heads, HEADS)) if p]
