"""From class probabilities to labels of pixels: the photograph's own size, its image labels, the winning class, the
dense CRF. Scores, predictions and ViT-PCM's pseudo masks are all made of these steps.

Shapes: C classes (background is class 0), h,w the map a network gives, H,W a photograph's own pixels, k classes that
take part in a CRF.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from apc.methods.base import Method
from apc.methods.pseudo_labels import merge, with_background
from apc.models.crf import UNKNOWN, Contest, CRFParameters, contenders

AT_ONCE = 2**26
"""Probabilities held at once, a quarter of a GiB: 21 classes of a photograph of three megapixels."""


class Winner(NamedTuple):
    """The best class of each pixel, the first of equals."""

    labels: Tensor
    """Its number, (H,W)."""
    probability: Tensor
    """Its probability, (H,W)."""


class Contested(NamedTuple):
    """The classes that take part in a CRF, which answers with numbers into `classes`."""

    classes: np.ndarray
    """Their numbers, (k,) uint8."""
    contest: Contest
    """What the CRF is given of them."""

    def named(self, labels: np.ndarray) -> np.ndarray:
        """The CRF's answer (H,W) as numbers of classes, uint8; what is UNKNOWN stays so."""
        numbers = np.append(self.classes, np.full(UNKNOWN + 1 - len(self.classes), UNKNOWN, np.uint8))
        named: np.ndarray = numbers[labels]
        return named


def at_size(p: Tensor, size: tuple[int, ...]) -> Tensor:
    """Probabilities (C,h,w) -> (C,H,W) float32, bilinear."""
    if tuple(p.shape[-2:]) == tuple(size):
        return p.float()
    return F.interpolate(p[None].float(), size=size, mode="bilinear", align_corners=False)[0]


def uses_merge(method: Method, branch: str) -> bool:
    """Whether image labels go into a branch's probabilities by the label merge."""
    return method.merges and branch == "patch"


def among(p: Tensor, image_labels: Tensor, merges: bool) -> Tensor:
    """Probabilities (C,H,W) of the classes that image labels (C-1,) allow, 0 for others, summing to 1 in each pixel.

    With `merges` by ViT-PCM's label merge, which takes each class's maximum over the map it is given.
    """
    present = with_background(image_labels[None]).to(p)
    p = merge(p[None], present)[0] if merges else p * present[0, :, None, None]
    return p / p.sum(0).clip(1e-8)


def winner(p: Tensor, size: tuple[int, ...]) -> Winner:
    """The best class of each pixel of a photograph of `size` (H,W), from probabilities (C,h,w). ValueError where some
    are no numbers: no mask is made and no score taken of them.

    A photograph too large for all classes at once is gone through a few at a time.
    """
    few = max(AT_ONCE // (size[0] * size[1]), 1)
    best, labels = at_size(p[:few], size).max(0)  # the first of equals, and four times faster than argmax
    for start in range(few, len(p), few):
        value, label = at_size(p[start : start + few], size).max(0)
        better = value > best
        best, labels = torch.where(better, value, best), torch.where(better, label + start, labels)
    require_numbers(best)
    return Winner(labels, best)


def require_numbers(probability: Tensor) -> None:
    """ValueError where the probability of a class (H,W) is no number in some pixel."""
    if wrong := int(probability.isnan().sum()):
        lost = f"the model's probabilities are no numbers (NaN) at {wrong} of {probability.numel()} pixels"
        raise ValueError(f"{lost}: its weights are too large for it, or for its precision (amp); train it again")


def contested(p: Tensor, labels: Tensor, parameters: CRFParameters, least: float = 0.0) -> Contested:
    """Probabilities (C,h,w) and the winners (H,W) they gave -> what a CRF with these parameters is given. `least` as in
    Contest."""
    classes, others = contenders(p.float().mean((1, 2)).cpu().numpy(), labels.unique().cpu().numpy(), parameters)
    probabilities = at_size(p[torch.from_numpy(classes).to(p.device)], labels.shape).cpu().numpy()
    return Contested(classes.astype(np.uint8), Contest(probabilities, others, least))
