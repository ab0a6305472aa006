"""The trainer against a loop in plain torch: the same losses step by step and the same weights at the end.

The loop sees the images that the trainer saw, at the trainer's random states, and shares nothing else with it: each
case below writes out the learning rate of every step, what learns, and the optimiser, beside the fields that ask for
them.
"""

import copy
import re
from dataclasses import dataclass, field, replace
from math import cos, inf, pi
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from apc import data
from apc.config import Config
from apc.methods.base import Method
from apc.methods.registry import build
from apc.methods.toco import ToCo
from apc.models.encoder import Encoder
from apc.training.loop import Prepared, train

NEW = r"(?!encoder|deeplab)"
"""Names of the parameters outside the encoder, as a regular expression."""
LAST_TWO = NEW + r"|encoder\.vit\.(blocks\.[12]|norm)\."
"""And those of the last two of the encoder's three blocks and of its norm."""
AFA = r"(?!encoder\..*norm)"
"""The published training leaves the encoder's norms alone (method-spec 2)."""
TOCO = r"(?!slow|encoder\.vit\.pos_embed|.*original0)"
"""Nor learn ToCo's averaged head, its position embeddings and the length of its prototypes (method-spec 3)."""


@dataclass
class Stage:
    """Steps that share an optimiser, by their learning rates; `fast` learns at ten times these."""

    rates: list[float]
    learns: str = LAST_TWO
    fast: str = "nothing"


@dataclass
class Case:
    """Fields of a config, and what they mean in plain torch. A step has 4 images, and `shares` are those of its parts;
    there are 2 steps an epoch and 3 epochs."""

    changes: dict[str, Any]
    stages: list[Stage]
    adam: type[torch.optim.Adam] = torch.optim.Adam
    beta2: float = 0.999
    weight_decay: float = 0.0
    clip: float = inf
    shares: list[float] = field(default_factory=lambda: [1.0])


PEER = {"optimizer": "adamw", "unfreeze_blocks": 3, "schedule": "poly", "warmup_steps": 2, "lr": 6e-4}
CASES = {
    "constant": Case({}, [Stage([2e-3] * 6)]),
    "warm-up": Case({"warmup_steps": 4}, [Stage([5e-4, 1e-3, 1.5e-3, 2e-3, 2e-3, 2e-3])]),
    "weight decay in adam": Case({"weight_decay": 0.3}, [Stage([2e-3] * 6)], weight_decay=0.3),
    "weight decay in adamw": Case(
        {"weight_decay": 0.3, "optimizer": "adamw"}, [Stage([2e-3] * 6)], adam=torch.optim.AdamW, weight_decay=0.3
    ),
    "beta2": Case({"beta2": 0.9}, [Stage([2e-3] * 6)], beta2=0.9),
    "cosine to 3 %": Case(
        {"schedule": "cosine"}, [Stage([2e-3 * (0.03 + 0.97 * (1 + cos(pi * t / 6)) / 2) for t in range(6)])]
    ),
    "cosine after a warm-up": Case(
        {"schedule": "cosine", "warmup_steps": 2},
        [Stage([1e-3, *(2e-3 * (0.03 + 0.485 * (1 + cos(pi * t / 6))) for t in range(1, 6))])],
    ),
    "poly": Case({"schedule": "poly", "poly_power": 2.0}, [Stage([2e-3 * p / 36 for p in (36, 25, 16, 9, 4, 1)])]),
    "poly after a warm-up": Case(
        {"schedule": "poly", "poly_power": 2.0, "warmup_steps": 3},
        [Stage([2e-9, 2e-3 * (1 + 2e-6) / 3, 2e-3 * (2 + 1e-6) / 3, 2e-3 / 4, 2e-3 / 9, 2e-3 / 36])],
    ),
    "a frozen epoch": Case({"frozen_epochs": 1}, [Stage([5e-3] * 2, NEW), Stage([2e-3] * 4)]),
    "a frozen epoch in a course of two stages": Case(
        {"frozen_epochs": 1, "schedule": "poly", "poly_power": 1.0},
        [Stage([5e-3, 5e-3 * 5 / 6], NEW), Stage([2e-3 * t / 6 for t in (4, 3, 2, 1)])],
    ),
    "all open": Case({"unfreeze_blocks": 3}, [Stage([2e-3] * 6, "")]),
    "clipped": Case({"grad_clip": 0.3}, [Stage([2e-3] * 6)], clip=0.3),
    "in parts": Case({"micro_batch": 2}, [Stage([2e-3] * 6)], shares=[1 / 2, 1 / 2]),
    "in parts of two sizes, clipped": Case(
        {"micro_batch": 3, "grad_clip": 0.3}, [Stage([2e-3] * 6)], clip=0.3, shares=[3 / 4, 1 / 4]
    ),
    "afa": Case(
        PEER | {"method": "afa", "weight_decay": 0.3, "poly_power": 1.0},
        [Stage([6e-10, 3e-4 * (1 + 1e-6), 4e-4, 3e-4, 2e-4, 1e-4], AFA, fast="classifier|affinity|decoder")],
        adam=torch.optim.AdamW,
        weight_decay=0.3,
    ),
    "toco": Case(
        PEER | {"method": "toco", "weight_decay": 0.3, "poly_power": 0.9},
        [
            Stage(
                [6e-10, 3e-4 * (1 + 1e-6), *(6e-4 * (t / 6) ** 0.9 for t in (4, 3, 2, 1))],
                TOCO,
                fast="classifier|early|head|decoder",
            )
        ],
        adam=torch.optim.AdamW,
        weight_decay=0.3,
    ),
    "vit_pcm and then its DeepLab": Case(
        {
            "method": "vit_pcm",
            "mce": "clamped",
            "frozen_epochs": 1,
            "stage2_epochs": 1,
            "schedule": "poly",
            "poly_power": 1.0,
            "deeplab": "vit",
            "grad_clip": 4.0,
            "lr_frozen": 2e-2,
        },
        [
            Stage([2e-2, 1.5e-2], NEW),
            Stage([1e-3, 5e-4]),
            Stage([2e-3, 1e-3], r"deeplab\.(head|features\.vit\.(blocks\.[12]|norm)\.)", fast=r"deeplab\.head"),
        ],
        clip=4.0,  # the last norms are 6.5 of the first stage, and 8.5 and 1.5 of the second
    ),
}


Seen = tuple[dict[str, Tensor], Tensor, list[bytes]]  # a batch, torch's random state before its loss, pseudo masks


def trained(method: Method, cfg: Config, folder: Path) -> tuple[list[Seen], list[float], list[float]]:
    """What the trainer shows the method, and the weighted loss of each part of a step and of each epoch."""
    seen: list[Seen] = []
    losses: list[float] = []
    loss_terms = method.loss_terms

    def recorded(batch: dict[str, Tensor], *rest: Any) -> dict[str, Tensor]:
        seen.append((batch, torch.get_rng_state(), getattr(method, "masks", [])))
        terms = loss_terms(batch, *rest)
        losses.append(sum(method.weights[name] * term.item() for name, term in terms.items()))
        return terms

    method.loss_terms = recorded  # type: ignore[method-assign]
    prepared = Prepared(method, data.load(cfg, "train"), data.load(cfg, "val"))
    curve = train(prepared, cfg, folder=folder).curve
    return seen, losses, [epoch["loss"] for epoch in curve]


def begun(method: Method, case: Case, stage: Stage) -> torch.optim.Adam:
    """A fresh optimiser of what learns in the stage: a group at the rate and one at ten times the rate."""
    for name, p in method.named_parameters():
        p.requires_grad_(re.match(stage.learns, name) is not None)
    named = [(name, p) for name, p in method.named_parameters() if p.requires_grad]
    groups = [{"params": [p for name, p in named if bool(re.match(stage.fast, name)) == fast]} for fast in (0, 1)]
    # fused only so that gradients which are 0 but for rounding, as keys' biases have, are rounded alike
    return case.adam(groups, betas=(0.9, case.beta2), weight_decay=case.weight_decay, fused=True)


def reference(method: Method, case: Case, seen: list[Seen]) -> tuple[list[float], list[float]]:
    """The loss of each part and of each step of `case`, by the book; `method` ends with the weights."""
    parts, losses, steps = iter(seen), [], []
    for stage in case.stages:
        adam = begun(method, case, stage)
        for rate in stage.rates:
            adam.param_groups[0]["lr"], adam.param_groups[1]["lr"] = rate, 10 * rate
            method.zero_grad()
            for share in case.shares:
                batch, random, method.masks = next(parts)  # type: ignore[assignment]
                torch.set_rng_state(random)
                terms = method.loss_terms(batch, len(steps) / 6)
                loss = sum(method.weights[name] * term for name, term in terms.items())
                (share * loss).backward()
                losses.append(loss.item())
            steps.append(sum(s * loss for s, loss in zip(case.shares, losses[-len(case.shares) :], strict=True)))
            gradients = [p.grad for p in method.parameters() if p.grad is not None]
            norm = sum(g.square().sum().item() for g in gradients) ** 0.5
            for g in gradients:
                g *= min(1.0, case.clip / norm)
            adam.step()
            if isinstance(method, ToCo):
                for averaged, learnt in zip(method.slow.parameters(), method.head.parameters(), strict=True):
                    averaged.data = 0.9 * averaged.data + 0.1 * learnt.data
    assert next(parts, None) is None, "the trainer took more steps"
    return losses, steps


@pytest.mark.parametrize("name", CASES)
def test_the_trainer_takes_the_steps_of_a_loop_in_plain_torch(tiny: Config, tmp_path: Path, name: str) -> None:
    case = CASES[name]
    base = replace(
        tiny,
        image_size=48,
        num_train=8,
        num_val=4,
        batch_size=4,
        epochs=3,
        dropout=0.2,
        decoder_dropout=0.1,
        lr_frozen=5e-3,
        lr=2e-3,
        beta2=0.999,
        schedule="constant",
        grad_clip=0.0,
        crf="none",
    )
    cfg = replace(base, **case.changes)
    torch.manual_seed(0)
    method = build(cfg, 9)
    if cfg.stage2_epochs:
        method.deeplab.pretrained = True  # so its features learn at `lr`, and its head at `lr_frozen`
    plain = copy.deepcopy(method).train()
    for encoder in (m for m in plain.modules() if isinstance(m, Encoder)):
        encoder.open_last(encoder.depth)  # no block hides its gradient; the case says what learns
    seen, losses, epochs = trained(method, cfg, tmp_path)
    by_part, by_step = reference(plain, case, seen)
    assert losses == pytest.approx(by_part, rel=1e-5)
    assert epochs == pytest.approx([(by_step[i] + by_step[i + 1]) / 2 for i in (0, 2, 4)], rel=1e-5)
    for (key, weight), expected in zip(method.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(weight, expected, rtol=1e-4, atol=1e-4, msg=key)
