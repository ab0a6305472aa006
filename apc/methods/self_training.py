"""Rounds of self-training: a finished model makes masks of the training images, with the help of their labels, and goes
on learning from them too; then its masks are better, and another round may follow.

This project's own; teachers that make their students' masks are CoSA's and DuPL's, whose code is not used.

Shapes: B images, C classes (background is class 0), S side of square training images.
"""

import hashlib
import time
from contextlib import closing
from itertools import islice

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from apc.config import Config
from apc.data import Split
from apc.data.transforms import as_floats
from apc.devices import processes
from apc.methods.base import BRANCHES, Method, Workplace
from apc.methods.pixel_labels import among
from apc.methods.pseudo_masks import Making, evaluating, gathered, packed
from apc.models.build import autocast, images_at_once
from apc.models.crf import CRF
from apc.models.feature_cache import TRAIN
from apc.models.par import PAR
from apc.parallel import progress
from apc.runs.mask_parts import MaskParts, Part

PART = 64
"""Images whose masks are kept in a file: what a run that is killed has to make again at most."""


def round_of(cfg: Config, epoch: int) -> int:
    """Round that an epoch (from 0) belongs to, from 1; 0 before the first."""
    beyond = epoch - cfg.first_stage_epochs
    return beyond // cfg.round_epochs + 1 if cfg.rounds and beyond >= 0 else 0


def bounds_of(cfg: Config, number: int) -> tuple[int, int]:
    """First epoch of a round, or of what comes before the first (0), and the first behind it."""
    if not number:
        return 0, cfg.first_stage_epochs
    start = cfg.first_stage_epochs + (number - 1) * cfg.round_epochs
    return start, start + cfg.round_epochs


def masks_of_round(method: Method, split: Split, number: int, at: Workplace) -> list[bytes]:
    """Packed masks (S,S) of all training images, 255 unknown, by the model as it stands.

    Probabilities of decoder and patch branch, mean over both, over scales and over the image and its mirror image,
    times the image labels, normalised, refined. They are kept part by part in the run's folder, so a run that is killed
    goes on where it was; a part that is damaged, or of another model, is made again. Under torch.distributed every
    process makes its share of the parts.
    """
    cfg = method.cfg
    rank, world = processes()
    kept = MaskParts(at.folder.masks_of(number), len(split), cfg.image_size, fingerprint(method)) if at.folder else None
    masks: dict[int, bytes] = {}
    missing: list[range] = []
    for part in _cut(range(len(split)), PART)[rank::world]:
        if kept and (stored := kept.load(part)):
            at.elsewhere += stored.cpu_seconds
            masks |= {i: packed(labels) for i, labels in zip(part, stored.masks, strict=True)}
        else:
            missing.append(part)
    making = Making(
        split=split,
        probabilities=lambda numbers: _probabilities(method, split, numbers, at),
        side=cfg.image_size,
        crf=CRF[cfg.crf] if cfg.round_refine == "crf" else None,
        least=cfg.round_threshold,
    )
    # cut in the part, whatever parts are there already: last digits depend on which images the network sees together
    at_once = images_at_once(max(cfg.image_size, *_sides(method)))
    groups = [list(few) for part in missing for few in _cut(part, at_once)]
    total = len(masks) + sum(map(len, missing))
    label, made = f"masks of round {number}", making.masks(groups, at)
    with evaluating(method), progress(label, total) as tick, closing(made):
        spent = time.process_time() + at.elsewhere
        for part in missing:
            labels = []
            for mask in islice(made, len(part)):
                labels.append(mask.labels)
                masks[mask.number] = packed(mask.labels)
                tick(len(masks))
            before, spent = spent, time.process_time() + at.elsewhere
            if kept:
                kept.save(part, Part(np.stack(labels), spent - before))
    return gathered(masks)


def fingerprint(method: Method) -> str:
    """Hash of a model's tensors."""
    digest = hashlib.sha256()
    for name, tensor in method.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def _cut(numbers: range, size: int) -> list[range]:
    return [numbers[start : start + size] for start in range(0, len(numbers), size)]


def _sides(method: Method) -> list[int]:
    """Sides in pixels at which the network is shown images, whole patches."""
    cfg, patch = method.cfg, method.encoder.patch
    return [max(round(scale * cfg.image_size / patch), 1) * patch for scale in cfg.round_scales]


@torch.no_grad()
def _probabilities(method: Method, split: Split, numbers: list[int], at: Workplace) -> list[Tensor]:
    """Probabilities (C,S,S) of the images `numbers`, among the classes that their labels allow."""
    cfg = method.cfg
    images = as_floats(split.images[torch.tensor(numbers)], at.device)
    said: list[Tensor] = []
    for side in _sides(method):
        own = side == cfg.image_size
        scaled = images if own else F.interpolate(images, size=(side, side), mode="bilinear", antialias=True)
        for mirrored in (0, 1) if cfg.flip != "none" else (0,):
            seen, features = scaled.flip(-1) if mirrored else scaled, None
            with autocast(cfg, at.device):  # features too: a round's are those of its epochs
                if at.frozen_features and own:
                    features = at.frozen_features(seen, [(TRAIN, i, mirrored, 0) for i in numbers])
                branches = method.predict(seen, features)
            for p in (branches[name].float() for name in BRANCHES):
                p = p.flip(-1) if mirrored else p
                size = images.shape[-2:]
                said.append(p if own else F.interpolate(p, size=size, mode="bilinear", align_corners=False))
    mean = torch.stack(said).mean(0)
    every = [among(p, split.labels[i], merges=False) for i, p in zip(numbers, mean, strict=True)]
    if cfg.round_refine == "par":
        par = PAR.for_size(cfg.image_size).to(at.device)
        every = [_normalised(par(image[None], p[None])[0]) for image, p in zip(images, every, strict=True)]
    return every


def _normalised(p: Tensor) -> Tensor:
    return p / p.sum(0).clip(1e-8)
