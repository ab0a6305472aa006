"""One step: the gradients of a batch, over its parts and over processes, and what the loop makes of its loss terms."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from apc.config import Config
from apc.methods.base import Method
from apc.models.build import autocast
from apc.models.feature_cache import FrozenFeatures, Key, SharedFeatures
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


class _Look(NamedTuple):
    """What a first look at a part tells before it is learnt from."""

    weights: Terms = {}
    """What its terms that are means over pixels are to be multiplied by, so that the mean over all parts and processes,
    weighted with their images, is the mean over all pixels."""
    seed: int | None = None
    """Of its random numbers, the same at both looks; None where one is enough."""


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

    @property
    def needs_no_pixels(self) -> Callable[[Key], bool] | None:
        """Which images a step need not be given the pixels of, since their features are kept; None where it reads all
        pixels."""
        shared = isinstance(self.frozen_features, SharedFeatures) and not self.method.reads_pixels
        return cast(SharedFeatures, self.frozen_features).has if shared else None

    def gradients(self, parts: list[Part], progress: float) -> Terms:
        """Add the gradients of a step's parts up; the step's loss terms and `loss`, means over its images.

        `progress` runs from 0 to 1 over the training.
        """
        images = sum(len(part.keys) for part in parts)
        sums: Terms = {}
        for part, look in zip(parts, self._first_looks(parts), strict=True):
            # processes exchange their gradients once a step
            waits = isinstance(self.module, DistributedDataParallel) and part is not parts[-1]
            with cast(DistributedDataParallel, self.module).no_sync() if waits else nullcontext(), self._drawn(look):
                terms = self._terms(part, progress)
                terms |= {name: weight * terms[name] for name, weight in look.weights.items()}
                share = len(part.keys) / images
                loss = share * torch.stack([self.method.weights[name] * term for name, term in terms.items()]).sum()
                loss.backward()
            for name, term in (terms | {"loss": loss / share}).items():
                sums[name] = sums.get(name, 0.0) + share * term.detach()
        return sums

    def _terms(self, part: Part, progress: float) -> Terms:
        with autocast(self.cfg, self.device):
            terms: Terms = self.module(part.batch, progress, self._features(part))
        return terms

    def _features(self, part: Part) -> list[Tensor] | None:
        images = part.batch.get("plain", part.batch["image"])
        return self.frozen_features(images, part.keys) if self.frozen_features else None

    def _first_looks(self, parts: list[Part]) -> list["_Look"]:
        """What has to be known of all parts and processes before any of them is learnt from, where terms are means over
        pixels: else every part would have a mean of its own, whatever its share of the pixels."""
        world = dist.get_world_size() if dist.is_initialized() else 1
        if not self.method.counts_pixels or len(parts) * world == 1:
            return [_Look()] * len(parts)
        looks = [self._first_look(part) for part in parts]
        of_all = {name: torch.stack([look.weights[name] for look in looks]).sum() for name in looks[0].weights}
        images = torch.tensor(sum(len(part.keys) for part in parts), device=self.device)
        for total in (*of_all.values(), images) if world > 1 else ():
            dist.all_reduce(total)
        weighted = []
        for part, look in zip(parts, looks, strict=True):
            shares = {name: known / of_all[name].clamp(min=1) for name, known in look.weights.items()}
            weighted.append(_Look({name: share * images / len(part.keys) for name, share in shares.items()}, look.seed))
        return weighted

    def _first_look(self, part: Part) -> "_Look":
        """The pixels that a part's terms are means over."""
        look = _Look(seed=int(torch.randint(2**31, ())))
        with self._drawn(look), autocast(self.cfg, self.device):
            return look._replace(weights=self.method.known_pixels(part.batch, self._features(part)))

    @contextmanager
    def _drawn(self, look: "_Look") -> Iterator[None]:
        """Random numbers from the look's seed, where it has one, and none taken from the run's own."""
        if look.seed is None:
            yield
            return
        with torch.random.fork_rng([torch.device(self.device)] if self.device.startswith("cuda") else []):
            torch.manual_seed(look.seed)
            yield


def means(sums: Terms, steps: int) -> dict[str, float]:
    """Mean of each term over an epoch's steps and over all processes, each of which saw its share of every batch."""
    values = torch.stack(list(sums.values())) / steps
    if dist.is_initialized():
        dist.all_reduce(values)
        values = values / dist.get_world_size()
    return dict(zip(sums, values.tolist(), strict=True))


def over_processes(cpu: float, gib: float, device: str) -> tuple[float, float]:
    """CPU seconds of all processes together, and the most memory that one of them held, from those of this one."""
    if not dist.is_initialized():
        return cpu, gib
    spent, held = (torch.tensor(number, dtype=torch.float64, device=device) for number in (cpu, gib))
    dist.all_reduce(spent)
    dist.all_reduce(held, dist.ReduceOp.MAX)
    return spent.item(), held.item()


def require_together(first: int, device: str) -> None:
    """ValueError where processes would begin at different epochs (from 0), and so learn from different batches: from a
    store each has what is told by the curve, which one that was killed may have left an epoch behind its state."""
    if dist.is_initialized():
        ends = torch.tensor([first, -first], device=device)
        dist.all_reduce(ends, dist.ReduceOp.MAX)
        last, earliest = ends[0].item() + 1, 1 - ends[1].item()
        if last != earliest:
            raise ValueError(f"processes would begin at the epochs {earliest} to {last}; give the command again")


def require_finite(terms: Terms, epoch: int, step: int, compat: str = "fixed") -> None:
    """Stop every process at once where any process's loss is not finite, and say what helps."""
    finite = torch.isfinite(terms["loss"]).float()
    if dist.is_initialized():
        dist.all_reduce(finite, dist.ReduceOp.MIN)
    if not finite:
        named = ", ".join(f"{name} {float(term):g}" for name, term in terms.items() if name != "loss")
        remedy = "try a lower learning rate or smaller lambdas"
        if compat == "official" and torch.isfinite(terms["cls"]):
            remedy = "compat is 'official', by which a batch without background or object pixels has 0/0: try 'fixed'"
        raise FloatingPointError(f"the loss is not finite in epoch {epoch + 1}, step {step + 1}: {named}; {remedy}")
