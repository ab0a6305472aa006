"""What a method is to the training loop and the evaluators.

Shapes: B images, H,W pixels, C classes (background is class 0), T tokens, D features.
"""

from torch import Tensor, nn

from apc.model.encoder import Encoder


class Method(nn.Module):
    """A module that names its loss terms and predicts pixels; the loop and all evaluators use nothing else.

    `closed` is what `encoder.closed(images)` gave, tensors (B,T,D), where the caller has kept it; see apc/features.py.
    """

    encoder: Encoder
    weights: dict[str, float]
    """Weight of each named term in the total loss."""

    def loss_terms(
        self, batch: dict[str, Tensor], progress: float, closed: list[Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Named, unweighted scalars of a batch {"image": (B,3,H,W) in [0,1], "labels": (B,C-1)}; `progress` runs from
        0 to 1 over the training."""
        raise AssertionError("a method defines loss_terms")

    def predict(self, images: Tensor, closed: list[Tensor] | None = None) -> dict[str, Tensor]:
        """Class probabilities of every pixel (B,C,H,W) by branch; `decoder` at least."""
        raise AssertionError("a method defines predict")

    def choices(self, batch: dict[str, Tensor]) -> dict[str, float]:
        """What the method selects by itself on a batch, as numbers for the report; nothing by default."""
        return {}
