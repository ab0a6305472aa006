"""A teacher: the moving average of a method's weights while it learns, which makes the labels that it learns from.

It is no part of the method's own weights: a finished model is the student of the last epoch and has none.
"""

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class Teacher:
    """Weights that follow a student's: after its first step they are the student's own, and what they then are has half
    its weight left `half_life` steps later. Running statistics of norms are the student's."""

    def __init__(self, student: nn.Module, half_life: float) -> None:
        self.average = AveragedModel(student, multi_avg_fn=get_ema_multi_avg_fn(0.5 ** (1 / half_life)))
        self.average.requires_grad_(False).eval()

    @property
    def method(self) -> nn.Module:
        """The student with the averaged weights, without dropout."""
        return self.average.module

    def follow(self, student: nn.Module) -> None:
        """Take a step towards the student."""
        self.average.update_parameters(student)
