"""`apc predict` with an untrained model, and what it has written, read back."""

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from apc.cli.main import main

CLASSES = ["background", "red", "blue"]


def predict(model: Path, out: Path, *words: str | Path) -> int:
    return main(["predict", str(model), *map(str, words), "--out", str(out), "--device", "cpu"])


def summary(out: Path) -> list[dict[str, str]]:
    with open(out / "summary.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def picture(height: int, width: int, seed: int = 0) -> Image.Image:
    blocks = np.random.default_rng(seed).integers(0, 255, (4, 5, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize((width, height), Image.Resampling.BICUBIC)
