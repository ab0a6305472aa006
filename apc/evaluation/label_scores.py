"""Scores that open no mask: whether a model finds the classes that a photograph is labelled with, and whether it says
the same when it is asked in another way. A search without masks chooses by them (Issue 15).

Each of them can be fooled, agreement for one by a model that calls everything background. `label_rule` is the product
of three and catches that; a photograph filled with its largest class, or masks grown by some pixels, it does not.
`border_rule` is its product with `border_contrast`, which sees where a mask ends.

Shapes: n photographs, B of them at once, C classes (background is class 0), S side of the square a photograph is
squashed to, H,W its own pixels.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F

from apc.config import Config
from apc.data import Split
from apc.data.transforms import as_floats
from apc.devices import processes
from apc.evaluation.borders import border_contrast
from apc.evaluation.miou import confusion
from apc.evaluation.scoring import Keep, LabelMap, Scoring
from apc.methods.base import Method
from apc.methods.pixel_labels import among, uses_merge
from apc.models.build import autocast, images_at_once
from apc.models.feature_cache import VAL
from apc.runs.scores import HEADLINE, parse

PRESENT_ABOVE = 0.01
"""Share of a photograph's pixels above which a class counts as found; 0.002 to 0.02 choose alike (search notes)."""
BALLOT_SIDE = 64
"""Largest side in pixels of the label maps that a run keeps to vote with."""
OTHER_SCALE = 0.75
"""Size, beside a run's own, at which a photograph is shown again."""
ASKED_AGAIN = 4, 48
"""Every so many photographs one is shown again flipped, smaller and erased, but no fewer than this number of them."""
ERASED = 0.5
"""Grey (of 1) that is put where the decoder sees an object, before the photograph is classified again."""
RULES = {
    "label_rule": ("label_f1", "flip_agreement", "scale_agreement"),
    "border_rule": ("label_f1", "flip_agreement", "scale_agreement", "border_contrast"),
}
"""Products of scores."""
REFINED = parse("miou_crf")
"""Whose label maps are the decoder's after the CRF."""


@dataclass
class Evidence:
    """What is counted of the photographs of a split; every array is a sum over photographs or has a row for each, zero
    for those that another process looks at."""

    labels: np.ndarray
    """Image labels, (n,C-1), 0 or 1."""
    found: np.ndarray = field(init=False)
    """Share of the decoder's pixels, (n,C-1)."""
    pooled: np.ndarray = field(init=False)
    """The patch branch's highest probability of each class, (n,C-1)."""
    erased: np.ndarray = field(init=False)
    """The same after the decoder's objects were erased, of those asked again."""
    entropy: np.ndarray = field(init=False)
    """Of the decoder's pixels, of at most 1, (n,)."""
    border: np.ndarray = field(init=False)
    """How much more the colours change along the borders of the decoder's masks than elsewhere, 0 to 1, (n,)."""
    agreement: dict[str, np.ndarray] = field(init=False)
    """Pixels by what the decoder calls them and what `branch`, `flip` and `scale` call them, (C,C) each; the last two
    of those asked again."""

    ballots: dict[str, np.ndarray] = field(default_factory=dict)
    """Label maps (n,s,s) uint8 of at most BALLOT_SIDE: `decoder`, and `patch`, which the image labels restrict."""

    def __post_init__(self) -> None:
        n, objects = self.labels.shape
        self.found, self.pooled, self.erased = (np.zeros((n, objects)) for _ in range(3))
        self.entropy, self.border = np.zeros(n), np.zeros(n)
        self.agreement = {other: np.zeros((objects + 1,) * 2, np.int64) for other in ("branch", "flip", "scale")}

    @property
    def step(self) -> int:
        """Every so many photographs one is asked again."""
        step, least = ASKED_AGAIN
        return min(max(len(self.labels) // least, 1), step)

    def arrays(self) -> list[np.ndarray]:
        """What processes add up."""
        own = [self.found, self.pooled, self.erased, self.entropy, self.border]
        return [*own, *self.agreement.values(), *self.ballots.values()]

    def agree(self, other: str, decoder: Tensor, labels: Tensor) -> None:
        """Count the decoder's label maps (B,S,S) of some photographs against others of the same."""
        self.agreement[other] += confusion(decoder.cpu().numpy(), labels.cpu().numpy(), len(self.labels[0]) + 1)

    def vote(self, branch: str, numbers: list[int], labels: Tensor) -> None:
        """Keep label maps (B,S,S) of some photographs, smaller."""
        side = min(BALLOT_SIDE, labels.shape[-1])
        small = F.interpolate(labels[:, None].float(), size=(side, side), mode="nearest-exact")[:, 0]
        self.ballots.setdefault(branch, np.zeros((len(self.labels), side, side), np.uint8))
        self.ballots[branch][numbers] = small.cpu().numpy().astype(np.uint8)

    def scores(self) -> dict[str, float]:
        """The scores in percent, by the names of SCORES."""
        asked = slice(None, None, self.step)
        kept = (self.pooled - self.erased)[asked][self.labels[asked] > 0]
        scores = {f"{other}_agreement": class_agreement(matrix) for other, matrix in self.agreement.items()}
        scores |= {
            "label_f1": label_f1(self.found, self.labels),
            "pooled_ap": mean_average_precision(self.pooled, self.labels),
            "pooled_ce": cross_entropy(self.pooled, self.labels),
            "erasure": 100 * float(kept.mean()) if kept.size else 0.0,
            "entropy": 100 * float(self.entropy.mean()),
            "border_contrast": 100 * float(self.border.mean()),
        }
        for rule, parts in RULES.items():
            scores[rule] = 100 * float(np.prod([scores[part] / 100 for part in parts]))
        return scores


def label_f1(found: np.ndarray, labels: np.ndarray) -> float:
    """F1 in percent of the classes found against the image labels, over all pairs of photograph and class."""
    called, true = found > PRESENT_ABOVE, labels > 0
    return 100 * float(2 * (called & true).sum() / max(called.sum() + true.sum(), 1))


def class_agreement(matrix: np.ndarray) -> float:
    """Mean IoU in percent of two kinds of label maps over all classes, (C,C) -> one number. A class that neither has
    counts 0, so that a model which forgets classes is not praised for agreeing with itself."""
    both = np.diag(matrix)
    return 100 * float((both / np.maximum(matrix.sum(0) + matrix.sum(1) - both, 1)).mean())


def mean_average_precision(scores: np.ndarray, labels: np.ndarray) -> float:
    """Mean over classes of the average precision in percent of scores (n,C-1); classes in no photograph are left out.

    Photographs of one score are one step of the curve, whatever their order.
    """
    precisions = []
    for score, true in zip(scores.T, labels.T > 0, strict=True):
        if true.any():
            least = score[true][:, None]
            right, called = (score[true] >= least).sum(1), (score >= least).sum(1)
            precisions.append((right / called).mean())
    return 100 * float(np.mean(precisions)) if precisions else 0.0


def cross_entropy(scores: np.ndarray, labels: np.ndarray) -> float:
    """Mean binary cross-entropy in hundredths of scores in [0,1] with the labels, (n,C-1) both."""
    p = scores.clip(1e-7, 1 - 1e-7)
    return 100 * float(-np.where(labels > 0, np.log(p), np.log1p(-p)).mean())


class AfterCRF:
    """Listens to a scoring (`keep`) for what the CRF makes of the decoder's label maps."""

    def __init__(self, split: Split) -> None:
        self.labels = split.labels.cpu().numpy()
        self.found = np.zeros(self.labels.shape)
        """Share of a photograph's pixels after the CRF, (n,C-1)."""
        self.agreement = np.zeros((len(split.classes),) * 2, np.int64)
        """Pixels by their class before and after, (C,C)."""
        self.keep = Keep(self._take, (*HEADLINE, REFINED))
        self._other: dict[int, LabelMap] = {}

    def _take(self, labelled: LabelMap) -> None:
        """The two label maps of a photograph come one after the other, in either order."""
        if (other := self._other.pop(labelled.i, None)) is None:
            self._other[labelled.i] = labelled
            return
        before, after = (other, labelled) if labelled.protocol == REFINED else (labelled, other)
        classes = len(self.agreement)
        self.agreement += confusion(before.labels, after.labels, classes)
        self.found[labelled.i] = np.bincount(after.labels.ravel(), minlength=classes)[1:] / after.labels.size

    def scores(self) -> dict[str, float]:
        """`label_f1_crf` and `crf_agreement`, in percent."""
        assert not self._other
        _add_up([self.found, self.agreement], "cpu")
        return {
            "label_f1_crf": label_f1(self.found, self.labels),
            "crf_agreement": class_agreement(self.agreement),
        }


@torch.no_grad()
def gather(method: Method, split: Split, cfg: Config, scoring: Scoring) -> Evidence:
    """Evidence for every score of SCORES that needs no mask and no CRF. Each photograph is shown plain, and every
    fourth (ASKED_AGAIN) flipped, smaller and with its objects erased too; under torch.distributed every process looks
    at its share and all get the whole."""
    rank, world = processes()
    evidence = Evidence(split.labels.cpu().numpy())
    training = method.training
    method.eval()
    for numbers, images in _batches(split, range(rank, len(split), world), cfg):
        _look(method, numbers, images, evidence, cfg, scoring)
    method.train(training)
    _add_up(evidence.arrays(), scoring.device)
    return evidence


def label_scores(method: Method, split: Split, cfg: Config, scoring: Scoring) -> dict[str, float]:
    """The scores of `gather`'s evidence, by the names of SCORES."""
    return gather(method, split, cfg, scoring).scores()


def _add_up(arrays: list[np.ndarray], device: str) -> None:
    """Sum arrays over all processes, in place."""
    if processes()[1] > 1:
        for array in arrays:
            total = torch.from_numpy(array).to(device)
            dist.all_reduce(total)
            array[:] = total.cpu().numpy()


def _batches(split: Split, mine: range, cfg: Config) -> Iterator[tuple[list[int], Tensor]]:
    at_once = images_at_once(cfg.scored_size)
    for start in range(0, len(mine), at_once):
        numbers = list(mine[start : start + at_once])
        yield numbers, split.images[numbers]


def _look(
    method: Method, numbers: list[int], images: Tensor, evidence: Evidence, cfg: Config, scoring: Scoring
) -> None:
    """Count what the method says of some photographs, (B,3,S,S) uint8."""
    shown = as_floats(images, scoring.device)
    features = scoring.frozen_features and scoring.frozen_features(shown, [(VAL, i) for i in numbers])

    def says(images: Tensor, features: list[Tensor] | None = None) -> dict[str, Tensor]:
        with autocast(cfg, scoring.device):
            return {branch: p.float() for branch, p in method.predict(images, features).items()}

    plain = says(shown, features or None)
    decoder = plain["decoder"].argmax(1)
    classes = len(evidence.labels[0]) + 1
    share = F.one_hot(decoder.flatten(1), classes).float().mean(1)
    p = plain["decoder"].clip(1e-8)
    evidence.found[numbers] = share[:, 1:].cpu().numpy()
    evidence.pooled[numbers] = plain["patch"].flatten(2).amax(2)[:, 1:].cpu().numpy()
    evidence.entropy[numbers] = (-(p * p.log()).sum(1).flatten(1).mean(1) / np.log(classes)).cpu().numpy()
    evidence.border[numbers] = border_contrast(shown, decoder).cpu().numpy()
    evidence.agree("branch", decoder, plain["patch"].argmax(1))
    evidence.vote("decoder", numbers, decoder)
    allowed = [
        among(patch, labels, uses_merge(method, "patch"))
        for patch, labels in zip(plain["patch"], torch.from_numpy(evidence.labels[numbers]), strict=True)
    ]
    evidence.vote("patch", numbers, torch.stack(allowed).argmax(1))

    asked = [at for at, i in enumerate(numbers) if i % evidence.step == 0]
    if not asked:
        return
    shown, decoder = shown[asked], decoder[asked]
    side, patch = shown.shape[-1], method.encoder.patch
    smaller = max(round(OTHER_SCALE * side / patch), 1) * patch
    scaled = says(F.interpolate(shown, size=(smaller, smaller), mode="bilinear", antialias=True))["decoder"]
    evidence.agree("flip", decoder, says(shown.flip(-1))["decoder"].flip(-1).argmax(1))
    evidence.agree("scale", decoder, F.interpolate(scaled, size=(side, side), mode="bilinear").argmax(1))
    erased = says(torch.where((decoder > 0)[:, None], ERASED, shown))
    evidence.erased[[numbers[at] for at in asked]] = erased["patch"].flatten(2).amax(2)[:, 1:].cpu().numpy()
