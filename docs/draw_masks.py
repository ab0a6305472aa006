"""Draw the README's picture of masks from a finished run of the embedded data: `python docs/draw_masks.py runs/RUN`.

A column is one validation picture: of those that show a class, the one of median IoU after the CRF (mean over classes
of its truth), so that nothing is picked by eye. Rows: picture, truth, decoder without image labels, the same after
the dense CRF.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from apc import data
from apc.data import pocket
from apc.evaluation.miou import confusion, miou
from apc.methods.checkpoint import load_model
from apc.models.crf import CRF, crf_labels
from apc.prediction.pictures import painted

SIDE, GAP, MARGIN = 128, 8, 92  # pixels of a picture, between pictures, and of the names on the left
ROWS = ("picture", "truth", "decoder", "with CRF")


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the README's picture of masks.")
    parser.add_argument("run", type=Path, help="folder of a finished run of the embedded data")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "pictures" / "masks.png")
    asked = parser.parse_args()
    model, cfg, classes = load_model(asked.run)
    val = data.load(cfg, "val")
    truths = [val.mask(i) for i in range(len(val))]
    plain, refined = [], []
    for i in range(len(val)):
        with torch.no_grad():
            scores = model.predict(val.images[i : i + 1].float() / 255)["decoder"][0].numpy()
        plain.append(scores.argmax(0).astype(np.uint8))
        refined.append(crf_labels(val.photo(i), scores, CRF[cfg.crf]).astype(np.uint8))
    counts = [confusion(t, labels, len(classes)) for t, labels in zip(truths, refined, strict=True)]
    print(f"mIoU after the CRF {miou(np.sum(counts, axis=0)):.2f}")
    ious = np.array([miou(count) for count in counts])
    columns: list[int] = []
    for c in range(1, len(classes)):
        showing = [i for i in range(len(val)) if val.labels[i, c - 1] and i not in columns]
        columns.append(sorted(showing, key=lambda i: ious[i])[len(showing) // 2])
    print("median IoU by class:", ", ".join(f"{n} {ious[i]:.0f}" for n, i in zip(classes[1:], columns, strict=True)))
    draw(asked.out, [[val.photo(i), truths[i], plain[i], refined[i]] for i in columns])


def draw(path: Path, columns: list[list[np.ndarray]]) -> None:
    """Columns of picture (H,W,3) and masks (H,W), each mask painted over its picture."""
    width, height = MARGIN + len(columns) * (SIDE + GAP), len(ROWS) * (SIDE + GAP) - GAP
    sheet = Image.new("RGB", (width, height), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(17)
    for row, name in enumerate(ROWS):
        top = row * (SIDE + GAP)
        pen.text((MARGIN - 10, top + SIDE // 2), name, (60, 60, 60), font, anchor="rm")
        for column, (photo, *masks) in enumerate(columns):
            labels = masks[row - 1] if row else np.zeros(photo.shape[:2], np.uint8)
            sheet.paste(painted(photo, labels, (SIDE, SIDE), pocket.colours()), (MARGIN + column * (SIDE + GAP), top))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main()
