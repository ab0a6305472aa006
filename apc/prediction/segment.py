"""One photograph through the network and, where wanted, the CRF, by the steps of the scores; memory grows with its
pixels, not with its classes.

Shapes: H,W the photograph's own pixels, S side of the image the network reads, C classes (background is class 0).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from apc.config import Config
from apc.data.transforms import as_floats, squash
from apc.methods.base import Method
from apc.methods.pixel_labels import AT_ONCE, among, at_size, contested, uses_merge, winner
from apc.models.build import autocast
from apc.models.crf import CRF, CRFPool, dense_crf

CRF_PIXELS = 1 << 20
"""The CRF sees photographs above a megapixel at a megapixel: its spreads are in pixels of photographs as VOC's, and
its time and memory grow with them. Smaller ones it sees as they are."""


@dataclass(frozen=True)
class Prediction:
    """What the network says of one photograph."""

    labels: np.ndarray
    """Class of each pixel, (H,W) uint8."""
    confidence: float
    """Probability of each pixel's class before the CRF, mean over the pixels, 0 to 1."""
    heat: Tensor
    """Pixel probabilities of the patch branch before any image label, (C,S,S); (0,S,S) where they are not wanted or
    there is no such branch."""


@dataclass(frozen=True)
class Segmenter:
    """A trained method that labels photographs as `apc eval` scores them: squashed to cfg.scored_size, with cfg.crf.

    Two things differ where a photograph is large: the CRF sees it at CRF_PIXELS, and image labels rule classes out at
    the network's size where all classes at the photograph's own size would be too many numbers (AT_ONCE).
    """

    method: Method
    cfg: Config
    branch: str = "decoder"
    """Branch whose labels are wanted."""
    device: str = "cpu"
    heat: bool = True
    """Whether the patch branch's probabilities are wanted too."""

    def __call__(self, photo: np.ndarray, present: list[int] | None = None) -> Prediction:
        """Label a photograph (H,W,3) uint8; `present` are the only classes allowed beside the background."""
        return self.begin(photo, present, CRFPool(0))()

    @torch.no_grad()
    def begin(self, photo: np.ndarray, present: list[int] | None, pool: CRFPool) -> Callable[[], Prediction]:
        """Label a photograph up to the CRF, which goes to the pool; to call what is returned is to wait for it."""
        branches = self._branches(photo)
        if self.branch not in branches:
            raise ValueError(f"branch is {self.branch!r}; this model has {', '.join(branches)}")
        p = branches[self.branch]
        heat = branches["patch"].float().cpu() if self.heat and "patch" in branches else torch.zeros(0, *p.shape[1:])
        size = photo.shape[0], photo.shape[1]
        refines = self.cfg.crf != "none"
        seen = _at_most(photo, CRF_PIXELS) if refines else photo
        if present is not None:
            p = self._among(p, present, (seen.shape[0], seen.shape[1]))
        if refines:
            labels = _refined(p, seen, size, self.cfg.crf, pool)
            return lambda: Prediction(*labels(), heat)
        won = winner(p, size)
        return lambda: Prediction(_bytes(won.labels), won.probability.double().mean().item(), heat)

    def _branches(self, photo: np.ndarray) -> dict[str, Tensor]:
        """Probabilities (C,S,S) by branch."""
        image = as_floats(squash(photo, self.cfg.scored_size)[None], self.device)
        wanted = {self.branch, "patch"} if self.heat else {self.branch}
        with autocast(self.cfg, self.device):
            return {name: p[0] for name, p in self.method.predict(image, None, wanted).items()}

    def _among(self, p: Tensor, present: list[int], size: tuple[int, int]) -> Tensor:
        """Probabilities (C,S,S) among the classes `present`, (C,H,W), or (C,S,S) where that were too many numbers."""
        image_labels = torch.zeros(len(p) - 1).index_fill(0, torch.tensor(present) - 1, 1)
        fits = len(p) * size[0] * size[1] <= AT_ONCE
        return among(at_size(p, size if fits else p.shape[-2:]), image_labels, uses_merge(self.method, self.branch))


def _at_most(photo: np.ndarray, pixels: int) -> np.ndarray:
    """A photograph (H,W,3) uint8, made smaller where it has more than so many pixels."""
    height, width = photo.shape[:2]
    shrink = (pixels / (height * width)) ** 0.5
    if shrink >= 1:
        return photo
    size = max(1, round(width * shrink)), max(1, round(height * shrink))
    return np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.BOX))


def _refined(
    p: Tensor, photo: np.ndarray, size: tuple[int, int], crf: str, pool: CRFPool
) -> Callable[[], tuple[np.ndarray, float]]:
    """Labels of `size` and confidence after a dense CRF on a photograph, perhaps a smaller one, when the pool is
    through; p are probabilities (C,h,w)."""
    classes, contest = contested(p, winner(p, photo.shape[:2]).labels, CRF[crf])

    def confidence(chosen: np.ndarray) -> float:
        return float(np.take_along_axis(contest.probabilities, chosen[None].astype(np.int64), 0).mean(dtype=np.float64))

    if photo.shape[:2] == size:
        done = pool.submit(photo, [contest], CRF[crf])

        def finished() -> tuple[np.ndarray, float]:
            chosen = done.result()[0].labels
            return classes[chosen], confidence(chosen)

        return finished
    shares = contest.probabilities / contest.probabilities.sum(0).clip(1e-8)
    refined = pool.call(dense_crf, photo, shares, CRF[crf], contest.others, here=len(classes) == 1)

    def enlarged() -> tuple[np.ndarray, float]:
        p = refined.result()
        return classes[_bytes(winner(torch.from_numpy(p), size).labels)], confidence(p.argmax(0))

    return enlarged


def _bytes(labels: Tensor) -> np.ndarray:
    return labels.cpu().numpy().astype(np.uint8)
