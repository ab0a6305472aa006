"""Images that show no class at all: every method trains on them, in a batch of others and alone."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from refusal import flags

from apc.cli.main import main
from apc.config import Config
from apc.methods.published import PROPORTIONS
from apc.methods.registry import METHODS, build

VARIANTS: dict[str, dict[str, Any]] = {name: {"method": name} for name in METHODS} | {
    "apc, average pooling": {"pooling": "average"},
    "apc, a clamped loss": {"mce": "clamped", "pce_classes": "all"},
    "apc, no background": {"background_label": "ignore", "pseudo_label": "merge"},
}


@pytest.mark.parametrize("alone", [False, True], ids=["among others", "alone"])
@pytest.mark.parametrize("name", VARIANTS)
def test_losses_and_gradients_are_finite(tiny: Config, name: str, alone: bool) -> None:
    cfg = replace(tiny, **VARIANTS[name])
    cfg = replace(cfg, **PROPORTIONS[cfg.method](cfg)) if cfg.method in PROPORTIONS else cfg
    torch.manual_seed(0)
    method, labels = build(cfg, 4), torch.tensor([[0.0, 0, 0], [1, 0, 1], [0, 1, 0], [0, 0, 0]])
    batch = {
        "image": torch.rand(4, 3, cfg.image_size, cfg.image_size),
        "labels": torch.zeros(4, 3) if alone else labels,
        "index": torch.zeros(4, 3, dtype=torch.long),
    }
    terms = method.loss_terms(batch, 0.5)
    loss = torch.stack([method.weights[term] * value for term, value in terms.items()]).sum()
    loss.backward()
    gradients = [p.grad for p in method.parameters() if p.grad is not None]
    assert torch.isfinite(loss) and gradients and all(torch.isfinite(g).all() for g in gradients)
    assert all(torch.isfinite(torch.tensor(value)) for value in method.choices([batch]).values())


def test_a_folder_with_images_of_nothing_is_trained_and_scored(
    photographs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("train.csv", "val.csv"):
        text = (photographs / name).read_text()
        text = text.replace("photo 0.png,red\n", "photo 0.png,\n").replace(
            "photo 1.png,blue\n", "photo 1.png,background\n"
        )
        (photographs / name).write_text(text)
    assert main(flags(photographs, "--crf", "none")) == 0
    assert "miou" in capsys.readouterr().out
