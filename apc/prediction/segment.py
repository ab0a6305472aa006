"""One photograph through the network and, where wanted, the CRF, by the steps of the scores; memory grows with its
pixels, not with its classes. A large one goes through in tiles, where that is wanted.

Shapes: H,W the photograph's own pixels, S side of the image the network reads, C classes (background is class 0).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from apc.config import Config
from apc.data.transforms import as_floats
from apc.evaluation.forward import showings, shown
from apc.evaluation.scoring import Showing
from apc.methods.base import Method
from apc.methods.pixel_labels import AT_ONCE, among, at_size, contested, require_numbers, uses_merge, winner
from apc.models.build import autocast
from apc.models.crf import CRF, CRFPool, dense_crf
from apc.prediction.tiles import Shrunk, ahead, blended, spans
from apc.runs.protocols import Protocol

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
    scores: np.ndarray
    """Mean probability of the pixels of each class, (C,), likewise; NaN for a class without a pixel."""
    heat: Tensor
    """Pixel probabilities of the patch branch before any image label, (C,S,S), of tiles made as small; (0,S,S) where
    they are not wanted or there is no such branch."""


@dataclass(frozen=True)
class Segmenter:
    """A trained method that labels photographs as `apc eval` scores them: squashed to cfg.scored_size, with cfg.crf.

    Two things differ where a photograph is large: the CRF sees it at CRF_PIXELS, and image labels rule classes out, and
    scales are averaged, at the network's size where all classes at the photograph's own size would be too many numbers
    (AT_ONCE).
    """

    method: Method
    cfg: Config
    branch: str = "decoder"
    """Branch whose labels are wanted."""
    device: str = "cpu"
    heat: bool = True
    """Whether the patch branch's probabilities are wanted too."""
    tile: int = 0
    """Side in pixels of the tiles that a larger photograph goes through in, each squashed as a photograph is; 0 for
    whole photographs. A tile has its own CRF; what tiles say is blended where they overlap, after the CRF."""
    overlap: int = 64
    """Pixels by which tiles overlap at least."""
    scales: tuple[float, ...] = ()
    """Multiples of the size at which a photograph, or a tile, is shown, plain and flipped each; the mean of what is
    said then labels it (`miou_ms`). Empty: it is shown once, as it is."""

    def __call__(self, photo: np.ndarray, present: list[int] | None = None) -> Prediction:
        """Label a photograph (H,W,3) uint8; `present` are the only classes allowed beside the background."""
        return self.begin(photo, present, CRFPool(0))()

    @torch.no_grad()
    def begin(
        self,
        photo: np.ndarray,
        present: list[int] | None,
        pool: CRFPool,
        tick: Callable[[float], object] = lambda share: None,
    ) -> Callable[[], Prediction]:
        """Label a photograph up to the CRF, which goes to the pool; to call what is returned is to wait for it.

        `tick` hears of the share of the photograph that a finished tile is.
        """
        if self.tile and max(photo.shape[:2]) > self.tile:
            labelled = self._in_tiles(photo, present, pool, tick)
            return lambda: labelled
        branches = self._branches(photo)
        p = branches[self.branch]
        heat = branches["patch"].float().cpu() if self.heat and "patch" in branches else torch.zeros(0, *p.shape[1:])
        if self.scales and len(heat):  # as small as that of one showing
            heat = at_size(heat, (self.cfg.scored_size, self.cfg.scored_size))
        size = photo.shape[0], photo.shape[1]
        refines = self.cfg.crf != "none"
        seen = _at_most(photo, CRF_PIXELS) if refines else photo
        if present is not None:
            p = self._among(p, present, (seen.shape[0], seen.shape[1]))
        if refines:
            labels = _refined(p, seen, size, self.cfg.crf, pool)
            return lambda: Prediction(*labels(), heat)
        won = winner(p, size)
        won_labels = _bytes(won.labels)
        scores = class_scores(won_labels, won.probability.cpu().numpy(), len(p))
        return lambda: Prediction(won_labels, won.probability.double().mean().item(), scores, heat)

    def _in_tiles(
        self, photo: np.ndarray, present: list[int] | None, pool: CRFPool, tick: Callable[[float], object]
    ) -> Prediction:
        """Label a photograph tile by tile; all that is kept of its classes' probabilities is where tiles overlap."""
        height, width = photo.shape[:2]
        rows, columns = (spans(n, self.tile, self.overlap) for n in (height, width))
        heat: Shrunk | None = None

        def begun() -> Iterator[Callable[[], Tensor]]:
            nonlocal heat
            for row in rows:
                for column in columns:
                    part = np.ascontiguousarray(photo[row.pixels, column.pixels])
                    branches = self._branches(part)
                    if self.heat and "patch" in branches:
                        patch = at_size(branches["patch"].cpu(), part.shape[:2])
                        heat = heat or Shrunk(len(patch), height, width, self.cfg.scored_size)
                        heat.add(row, column, patch)
                    yield self._tile(part, branches[self.branch].cpu(), present, pool)

        def heard() -> Iterator[Tensor]:
            for values in ahead(begun(), 2 * pool.workers):
                tick(1 / (len(rows) * len(columns)))
                yield values

        labels = np.empty((height, width), np.uint8)
        sums, counts = np.zeros(0), np.zeros(0, np.int64)
        for block in blended(rows, columns, heard()):
            classes = len(block.values) // (1 if self.cfg.crf == "none" else 2)
            decided, before = block.values[:classes], block.values[-classes:]
            won = decided.max(0).indices
            labels[block.rows, block.columns] = _bytes(won)
            probability = before.gather(0, won[None])[0].numpy()
            more = class_sums(labels[block.rows, block.columns], probability, classes)
            sums, counts = (sums + more[0], counts + more[1]) if len(sums) else more
        scores = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
        none = torch.zeros(0, self.cfg.scored_size, self.cfg.scored_size)
        return Prediction(labels, float(sums.sum() / counts.sum()), scores, heat.mean() if heat else none)

    def _tile(self, part: np.ndarray, p: Tensor, present: list[int] | None, pool: CRFPool) -> Callable[[], Tensor]:
        """Probabilities of a tile's pixels after the CRF, and before it, (2C,h,w); without one (C,h,w)."""
        size = part.shape[0], part.shape[1]
        p = at_size(p if present is None else self._among(p, present, size), size)
        require_numbers(p[0])
        if self.cfg.crf == "none":
            return lambda: p
        seen = _at_most(part, CRF_PIXELS)
        parameters = CRF[self.cfg.crf]
        classes, contest = contested(p, winner(p, seen.shape[:2]).labels, parameters)
        shares = contest.probabilities / contest.probabilities.sum(0).clip(1e-8)
        refined = pool.call(dense_crf, seen, shares, parameters, contest.others, here=len(classes) == 1)

        def both() -> Tensor:
            after = torch.zeros_like(p)
            after[torch.from_numpy(classes.astype(np.int64))] = at_size(torch.from_numpy(refined.result()), size)
            return torch.cat([after, p])

        return both

    def _branches(self, photo: np.ndarray) -> dict[str, Tensor]:
        """Probabilities by branch, (C,S,S); over scales their means, (C,H,W), or of the largest side where that were
        too many numbers."""
        encoder = self.method.encoder
        passes = showings(Protocol(scales=self.scales), self.cfg, encoder.patch, encoder.least).showings
        if len(passes) == 1:
            return self._says(photo, passes[0])
        side, own = max(showing.side for showing in passes), photo.shape[:2]
        sums: dict[str, Tensor] = {}
        for showing in dict.fromkeys(passes):
            times = passes.count(showing)  # two scales may round to one side
            for name, p in self._says(photo, showing).items():
                size = own if len(p) * own[0] * own[1] <= AT_ONCE else (side, side)
                p = times * at_size(p.flip(-1) if showing.flipped else p, size)
                sums[name] = sums[name] + p if name in sums else p
        return {name: p / len(passes) for name, p in sums.items()}

    def _says(self, photo: np.ndarray, showing: Showing) -> dict[str, Tensor]:
        """Probabilities (C,h,w) by branch of a photograph as it is shown."""
        encoder = self.method.encoder
        image = as_floats(shown(photo, showing, encoder.patch, encoder.least)[None], self.device)
        wanted = {self.branch, "patch"} if self.heat else {self.branch}
        with autocast(self.cfg, self.device):
            branches = {name: p[0] for name, p in self.method.predict(image, None, wanted).items()}
        if self.branch not in branches:
            raise ValueError(f"branch is {self.branch!r}; this model has {', '.join(branches)}")
        return branches

    def _among(self, p: Tensor, present: list[int], size: tuple[int, int]) -> Tensor:
        """Probabilities (C,S,S) among the classes `present`, (C,H,W), or (C,S,S) where that were too many numbers."""
        image_labels = torch.zeros(len(p) - 1).index_fill(0, torch.tensor(present, dtype=torch.int64) - 1, 1)
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
) -> Callable[[], tuple[np.ndarray, float, np.ndarray]]:
    """Labels of `size`, confidence and scores after a dense CRF on a photograph, perhaps a smaller one, when the pool
    is through; p are probabilities (C,h,w)."""
    classes, contest = contested(p, winner(p, photo.shape[:2]).labels, CRF[crf])

    def confidence(chosen: np.ndarray) -> tuple[float, np.ndarray]:
        probability = np.take_along_axis(contest.probabilities, chosen[None].astype(np.int64), 0)[0]
        return float(probability.mean(dtype=np.float64)), class_scores(classes[chosen], probability, len(p))

    if photo.shape[:2] == size:
        done = pool.submit(photo, [contest], CRF[crf])

        def finished() -> tuple[np.ndarray, float, np.ndarray]:
            chosen = done.result()[0].labels
            return classes[chosen], *confidence(chosen)

        return finished
    shares = contest.probabilities / contest.probabilities.sum(0).clip(1e-8)
    refined = pool.call(dense_crf, photo, shares, CRF[crf], contest.others, here=len(classes) == 1)

    def enlarged() -> tuple[np.ndarray, float, np.ndarray]:
        q = refined.result()
        return classes[_bytes(winner(torch.from_numpy(q), size).labels)], *confidence(q.argmax(0))

    return enlarged


def class_sums(labels: np.ndarray, probability: np.ndarray, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Sums of probabilities and numbers of pixels by class, each (C,): labels and probability (H,W).

    Some rows at a time, since numpy counts bytes as numbers of eight bytes.
    """
    sums, counts = np.zeros(num_classes), np.zeros(num_classes, np.int64)
    few = max(AT_ONCE // 64 // labels.shape[1], 1)
    for top in range(0, len(labels), few):
        some = labels[top : top + few].ravel()
        sums += np.bincount(some, probability[top : top + few].ravel(), num_classes)
        counts += np.bincount(some, minlength=num_classes)
    return sums, counts


def class_scores(labels: np.ndarray, probability: np.ndarray, num_classes: int) -> np.ndarray:
    """Mean probability of the pixels of each class, (C,), NaN for a class without a pixel."""
    sums, counts = class_sums(labels, probability, num_classes)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _bytes(labels: Tensor) -> np.ndarray:
    return labels.cpu().numpy().astype(np.uint8)
