"""What a method is to the training loop and the evaluators.

Shapes: B images, H,W pixels, C classes (background is class 0), T tokens, D features.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from apc.config import Config
from apc.data import Split
from apc.methods.teacher import Teacher
from apc.models.encoder import Encoder
from apc.models.feature_cache import FrozenFeatures
from apc.runs.folder import RunFolder

BRANCHES = ("decoder", "patch")
"""What a method may predict from: its decoder, and its patch scores or class activation maps."""
LOGITS = "logits"
"""What `predict` gives beside the branches where it is wanted: the decoder's logits (B,C,h,w) on its own grid."""


@dataclass
class Workplace:
    """Where a run is trained, for what a method makes beside the steps."""

    device: str = "cpu"
    folder: RunFolder | None = None
    """Where it is kept until the run is finished, so that one that is killed goes on with it."""
    frozen_features: FrozenFeatures | None = None
    """Outputs of closed blocks, where they are kept."""
    elsewhere: float = 0.0
    """Seconds of processors that other processes spent on it so far, or that earlier starts of this run did."""


class Method(nn.Module):
    """A module that names its loss terms and predicts pixels; the loop and all evaluators use nothing else.

    `frozen_features` is what `encoder.frozen_features(images)` gave, tensors (B,T,D), where the caller has kept it; see
    apc/models/feature_cache.py.
    """

    cfg: Config
    encoder: Encoder
    weights: dict[str, float]
    """Weight of each named term in the total loss."""
    counts_pixels = False
    """Whether a loss term is a mean over known pixels, of which images have different numbers; see `known_pixels`."""
    averages_flips = False
    """Whether its published test over scales averages the logits of a photograph and its mirror image, not sums."""
    reads_pixels = True
    """Whether its loss terms read images whose features are kept, and not only how large they are."""
    teacher: Teacher | None = None
    """What averages its weights while it learns, where one was asked for; a resumed run is given it back."""
    merges = False
    """Whether its pseudo masks are made with the label merge: `patch` with image labels given (method-spec 1.3)."""
    masks: Sequence[bytes] = ()
    """Pseudo mask (S,S) of each training image, packed, of the stage that learns from them; else none."""

    def loss_terms(
        self, batch: dict[str, Tensor], progress: float, frozen_features: list[Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Named, unweighted scalars of a batch {"image": (B,3,H,W) in [0,1], "labels": (B,C-1), "index": (B,3)}.

        A row of `index` is the image's number in the training split and whether it was flipped left to right and
        upside down; of images that were cropped "box" (B,4) has the part: pixels from above and from the left, height
        and width. Where a teacher is shown other colours than the method, "plain" has the images with their own, and
        `frozen_features` are of these. `progress` runs from 0 to 1 over the training.
        """
        raise AssertionError("a method defines loss_terms")

    def known_pixels(self, batch: dict[str, Tensor], frozen_features: list[Tensor] | None = None) -> dict[str, Tensor]:
        """Of each loss term that is a mean over the known pixels of a batch, their number, if `counts_pixels`. A step
        whose batch comes in parts asks it before `loss_terms`, under the same random numbers."""
        raise AssertionError("a method that counts pixels tells them")

    def predict(
        self, images: Tensor, frozen_features: list[Tensor] | None = None, wanted: Collection[str] = BRANCHES
    ) -> dict[str, Tensor]:
        """Class probabilities of every pixel (B,C,H,W) by branch; those `wanted` at least, of the branches it has, and
        LOGITS where they are."""
        raise AssertionError("a method defines predict")

    def stage(self, epoch: int) -> int:
        """Number of the stage an epoch (from 0) belongs to; the optimiser starts afresh with each."""
        return int(epoch >= self.cfg.frozen_epochs)

    def course(self, epoch: int) -> tuple[int, int]:
        """First epoch of the learning rate's course that an epoch belongs to, and the first behind it."""
        return 0, self.cfg.epochs

    def rates(self, epoch: int) -> Config:
        """The config whose learning rate and schedule hold in an epoch."""
        return self.cfg

    def notes(self, epoch: int) -> dict[str, float]:
        """What the curve says of an epoch beside the loss."""
        return {}

    def begin(self, epoch: int, split: Split, at: Workplace) -> None:
        """Called before every epoch, in a resumed run too: what a method makes from all training images at once, or
        opens and closes to learning. `masks` are those of the epoch before."""

    def groups(self) -> list[dict[str, Any]]:
        """What learns now, in the optimiser's groups; `scale` multiplies a group's learning rate."""
        return [{"params": [p for p in self.parameters() if p.requires_grad], "scale": 1.0}]

    def stepped(self) -> None:
        """Called after every step of the optimiser: moving averages of weights."""

    def choices(self, parts: Iterable[dict[str, Tensor]]) -> dict[str, float]:
        """What the method selects by itself on a batch, as numbers for the report; nothing by default. The batch comes
        in parts, as many images as memory is for."""
        return {}
