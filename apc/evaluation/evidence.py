"""Evidence that opens no mask: whether a model finds the classes that a photograph is labelled with, and whether it
says the same when it is asked in another way. label_scores.py makes scores of it, and a search without masks chooses by
them (Issue 15).

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
from apc.evaluation.label_scores import class_agreement, cross_entropy, label_f1, mean_average_precision
from apc.evaluation.miou import confusion
from apc.evaluation.scoring import Keep, LabelMap, Scoring
from apc.methods.base import Method
from apc.methods.pixel_labels import among, uses_merge
from apc.models.build import autocast, images_at_once
from apc.models.feature_cache import VAL
from apc.runs.protocols import HEADLINE, parse
from apc.runs.scores import with_rules

BALLOT_SIDE = 64
"""Largest side in pixels of the label maps that a run keeps to vote with."""
OTHER_SCALE = 0.75
"""Size, beside a run's own, at which a photograph is shown again."""
ASKED_AGAIN = 4, 48
"""Every so many photographs one is shown again flipped, smaller and erased, but no fewer than this number of them."""
ERASED = 0.5
"""Grey (of 1) that is put where the decoder sees an object, before the photograph is classified again."""
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

    seen: set[int] = field(default_factory=set)
    """Photographs that this process has looked at."""
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
        return with_rules(scores)


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

    def scores(self, device: str) -> dict[str, float]:
        """`label_f1_crf` and `crf_agreement`, in percent; added up on `device`, since not every process group adds up
        what lies on the CPU."""
        assert not self._other
        _add_up([self.found, self.agreement], device)
        return {
            "label_f1_crf": label_f1(self.found, self.labels),
            "crf_agreement": class_agreement(self.agreement),
        }


@torch.no_grad()
def gather(method: Method, split: Split, cfg: Config, scoring: Scoring, begun: Evidence | None = None) -> Evidence:
    """Evidence for every score of SCORES that needs no mask and no CRF. Each photograph is shown plain, and every
    fourth, of few more (ASKED_AGAIN), flipped, smaller and with its objects erased too; what a scoring has shown plain
    before (`Looking`) is not shown again. Under torch.distributed every process looks at its share and all get the
    whole."""
    rank, world = processes()
    evidence = begun or Evidence(split.labels.cpu().numpy())
    look = Looking(method, evidence, cfg, scoring.device)
    training = method.training
    method.eval()
    mine = [i for i in range(rank, len(split), world) if i not in evidence.seen]
    for numbers, images in _batches(split, mine, cfg):
        shown = as_floats(images, scoring.device)
        with autocast(cfg, scoring.device):
            features = scoring.frozen_features and scoring.frozen_features(shown, [(VAL, i) for i in numbers])
            plain = method.predict(shown, features or None)
        look(numbers, shown, plain)
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


def _batches(split: Split, mine: list[int], cfg: Config) -> Iterator[tuple[list[int], Tensor]]:
    at_once = images_at_once(cfg.scored_size)
    for start in range(0, len(mine), at_once):
        numbers = mine[start : start + at_once]
        yield numbers, split.images[numbers]


@dataclass(frozen=True)
class Looking:
    """Takes what a method says of photographs shown plain into the evidence, once for each, where both branches are
    there; every Evidence.step-th is shown again."""

    method: Method
    evidence: Evidence
    cfg: Config
    device: str

    def __call__(self, numbers: list[int], shown: Tensor, plain: dict[str, Tensor]) -> None:
        """Photographs (B,3,S,S) in [0,1] with the probabilities (B,C,S,S) of the method's branches."""
        if not {"decoder", "patch"} <= plain.keys() or self.evidence.seen & {*numbers}:
            return
        evidence, p, patch = self.evidence, plain["decoder"].float(), plain["patch"].float()
        evidence.seen.update(numbers)
        decoder, classes = _best(p), p.shape[1]
        share = F.one_hot(decoder.flatten(1), classes).float().mean(1)
        evidence.found[numbers] = share[:, 1:].cpu().numpy()
        evidence.pooled[numbers] = patch.flatten(2).amax(2)[:, 1:].cpu().numpy()
        p = p.clip(1e-8)
        evidence.entropy[numbers] = (-(p * p.log()).sum(1).flatten(1).mean(1) / np.log(classes)).cpu().numpy()
        evidence.border[numbers] = border_contrast(shown, decoder).cpu().numpy()
        evidence.agree("branch", decoder, _best(patch))
        evidence.vote("decoder", numbers, decoder)
        labels = torch.from_numpy(evidence.labels[numbers])
        merges = uses_merge(self.method, "patch")
        allowed = torch.stack([among(one, own, merges) for one, own in zip(patch, labels, strict=True)])
        evidence.vote("patch", numbers, _best(allowed))
        if asked := [at for at, i in enumerate(numbers) if i % evidence.step == 0]:
            self._again([numbers[at] for at in asked], shown[asked], decoder[asked])

    def _again(self, numbers: list[int], shown: Tensor, decoder: Tensor) -> None:
        """Show photographs flipped, smaller and erased, of which the decoder has said before what they are."""
        evidence, side, encoder = self.evidence, shown.shape[-1], self.method.encoder
        smaller = max(round(OTHER_SCALE * side / encoder.patch) * encoder.patch, encoder.least)
        scaled = self._says(F.interpolate(shown, size=(smaller, smaller), mode="bilinear", antialias=True))["decoder"]
        evidence.agree("flip", decoder, _best(self._says(shown.flip(-1))["decoder"].flip(-1)))
        evidence.agree("scale", decoder, _best(F.interpolate(scaled, size=(side, side), mode="bilinear")))
        erased = self._says(torch.where((decoder > 0)[:, None], ERASED, shown))
        evidence.erased[numbers] = erased["patch"].flatten(2).amax(2)[:, 1:].cpu().numpy()

    def _says(self, images: Tensor) -> dict[str, Tensor]:
        with autocast(self.cfg, self.device):
            return {branch: p.float() for branch, p in self.method.predict(images).items()}


def _best(p: Tensor) -> Tensor:
    """The best class of each pixel, (B,C,S,S) -> (B,S,S): the first of equals, and four times faster than argmax."""
    return p.max(1).indices
