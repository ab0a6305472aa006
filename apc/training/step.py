"""One step: the gradients of a batch, over its parts and over processes, and what the loop makes of its loss terms."""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from apc.config import Config
from apc.methods.base import Method
from apc.models.build import autocast
from apc.models.feature_cache import FrozenFeatures
from apc.training.batches import Part

Terms = dict[str, Tensor]
"""Loss terms by name, scalars."""


class _LossTerms(nn.Module):
    """The method's loss terms as a forward pass, which is what DistributedDataParallel wraps."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, batch: Terms, progress: float, frozen_features: list[Tensor] | None) -> Terms:
        return self.method.loss_terms(batch, progress, frozen_features)


@dataclass(frozen=True)
class Step:
    """What is the same for every step of a stage."""

    method: Method
    cfg: Config
    device: str
    frozen_features: FrozenFeatures | None
    module: nn.Module
    """Gives the method's loss terms; under torch.distributed it exchanges their gradients."""

    @classmethod
    def of(cls, method: Method, cfg: Config, device: str, frozen_features: FrozenFeatures | None = None) -> "Step":
        """The step of a method whose parameters that learn are those that learn now."""
        module: nn.Module = _LossTerms(method)
        if dist.is_initialized() and dist.get_world_size() > 1:
            # lambda1 = 0 leaves the decoder without a gradient, which DDP must be told to expect
            module = DistributedDataParallel(module, find_unused_parameters=True)
        return cls(method, cfg, device, frozen_features, module)

    def gradients(self, parts: list[Part], progress: float) -> Terms:
        """Add the gradients of a step's parts up; the step's loss terms and `loss`, means over its images.

        `progress` runs from 0 to 1 over the training.
        """
        images = sum(len(part.keys) for part in parts)
        sums: Terms = {}
        for part in parts:
            # processes exchange their gradients once a step
            waits = isinstance(self.module, DistributedDataParallel) and part is not parts[-1]
            with cast(DistributedDataParallel, self.module).no_sync() if waits else nullcontext():
                terms = self._terms(part, progress)
                share = len(part.keys) / images
                loss = share * torch.stack([self.method.weights[name] * term for name, term in terms.items()]).sum()
                loss.backward()
            for name, term in (terms | {"loss": loss / share}).items():
                sums[name] = sums.get(name, 0.0) + share * term.detach()
        return sums

    def _terms(self, part: Part, progress: float) -> Terms:
        with autocast(self.cfg, self.device):
            features = self.frozen_features(part.batch["image"], part.keys) if self.frozen_features else None
            terms: Terms = self.module(part.batch, progress, features)
        return terms


def means(sums: Terms, steps: int) -> dict[str, float]:
    """Mean of each term over an epoch's steps and over all processes, each of which saw its share of every batch."""
    values = torch.stack(list(sums.values())) / steps
    if dist.is_initialized():
        dist.all_reduce(values)
        values = values / dist.get_world_size()
    return dict(zip(sums, values.tolist(), strict=True))


def require_finite(terms: Terms, epoch: int, step: int) -> None:
    """Stop every process at once where any process's loss is not finite."""
    finite = torch.isfinite(terms["loss"]).float()
    if dist.is_initialized():
        dist.all_reduce(finite, dist.ReduceOp.MIN)
    if not finite:
        named = ", ".join(f"{name} {float(term):g}" for name, term in terms.items() if name != "loss")
        raise FloatingPointError(f"the loss is not finite in epoch {epoch + 1}, step {step + 1}: {named}")
