"""Numbers that lie in tests/golden/: what the official code returned, and what ours gave when it was last recorded.

`official/` holds random inputs, drawn from seeds, and what functions of the official ViT-PCM, AFA and ToCo code
returned for them: numbers, no code. The official `denormalize` is not among them: our images are in [0,1] until the
encoder normalises them, so none is ever turned back.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

GOLDEN = Path(__file__).parent / "golden"


def golden(name: str) -> dict[str, np.ndarray]:
    """Arrays of one official function."""
    with np.load(GOLDEN / "official" / f"{name}.npz", allow_pickle=False) as file:
        return {key: file[key] for key in file}


def tensors(name: str) -> dict[str, Tensor]:
    """The same as tensors."""
    return {key: torch.from_numpy(np.asarray(value)) for key, value in golden(name).items()}


def recorded(name: str) -> list[dict[str, Any]]:
    """Lines of runs.jsonl, studies.jsonl or journal.jsonl; see record_golden.py."""
    return [json.loads(line) for line in (GOLDEN / name).read_text().splitlines()]


def boxed(label: Tensor, boxes: Tensor) -> Tensor:
    """255 outside each image's box, which only padded images have."""
    made = torch.full_like(label, 255)
    for i, (top, bottom, left, right) in enumerate(boxes.tolist()):
        made[i, top:bottom, left:right] = label[i, top:bottom, left:right]
    return made
