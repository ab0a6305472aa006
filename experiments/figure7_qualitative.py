"""Figure 7: masks beside each other: truth, max pooling, adaptive-K pooling and the whole method.

    python experiments/figure7_qualitative.py
    python experiments/figure7_qualitative.py folder --root PHOTOGRAPHS --weights deit_tiny_patch16_224.safetensors

Nothing is trained: the settings are those of Table 8's rows 2, 4 and 5, one seed of each, and where one is missing the
command is named that makes it. Each row is one validation image, the first of its class; the masks are the decoder's,
without image labels and without CRF (`miou`), and above each stands the IoU of the thing alone. Half a minute. Expect
max pooling to miss most of a thing, and to see little of a difference between the other two.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from apc.experiment.pictures import Picture, main
from apc.reporting.figures.qualitative import Panel, draw
from search_spaces.components import AKP, APC, BASELINE

if TYPE_CHECKING:
    import numpy as np

    from apc.config import Config


def show(runs: dict[str, Path], base: "Config", chosen: dict[str, int], path: Path) -> dict[str, Any]:
    """Draw the rows; tells each image's IoU under each run."""
    import numpy as np

    from apc import data
    from apc.data import pocket
    from apc.data.masks import palette
    from apc.evaluation.miou import confusion, iou, miou
    from apc.prediction.pictures import painted

    split = data.load(base, "val")
    predicted = {label: masks(folder, base, list(chosen.values())) for label, folder in runs.items()}
    rows, scores, seen = {}, {}, set()
    paint = pocket.colours() if base.dataset == "pocket" else palette()
    for name, i in chosen.items():
        photo, truth = split.photo(i), split.mask(i)
        assert truth is not None
        size = photo.shape[1], photo.shape[0]
        kind = "picture" if base.dataset == "pocket" else "photograph"
        panels = [Panel(kind, photo), Panel("truth", np.asarray(painted(photo, truth, size, paint)))]
        counts = {label: confusion(truth, found[i], len(split.classes)) for label, found in predicted.items()}
        scores[name] = {label: miou(matrix) for label, matrix in counts.items()}
        for label, found in predicted.items():
            own = iou(counts[label])[split.classes.index(name)]  # of the thing: with the background a miss has 49
            title = f"{label}: IoU {own:.0f}"
            panels.append(Panel(title, np.asarray(painted(photo, found[i], size, paint))))
            seen |= set(np.unique(found[i]).tolist())
        rows[name], seen = panels, seen | set(np.unique(truth).tolist())
    names = [c for c in sorted(seen) if 0 < c < len(split.classes)]
    colours = {split.classes[c]: tuple((paint[c] / 255).tolist()) for c in names}
    draw(rows, path, colours | ({"not scored": tuple((paint[255] / 255).tolist())} if 255 in seen else {}))
    caption = "Masks of the decoder without image labels and without CRF; above each the IoU of the thing alone, in "
    caption += "percent."
    return {"shown": caption, "miou": {name: {k: round(v, 2) for k, v in by.items()} for name, by in scores.items()}}


def masks(folder: Path, base: "Config", numbers: list[int]) -> "dict[int, np.ndarray]":
    """Label maps (H,W) of validation images by their number, as the headline scores them."""
    from contextlib import closing

    from apc import data
    from apc.devices import device_of
    from apc.evaluation.forward import Network
    from apc.evaluation.inference import label_maps
    from apc.evaluation.scoring import Scoring
    from apc.methods.checkpoint import load_model
    from apc.runs.protocols import HEADLINE

    device = device_of("auto")
    method, _, _ = load_model(folder, device)
    split = data.load(base, "val")
    photographs = ((i, split.photo(i).shape[:2]) for i in numbers)
    images = label_maps(Network(method, split, base, Scoring(device)), HEADLINE, photographs)
    with closing(images):
        return {each.i: each.labels for each in images}


PICTURE = Picture(
    name="figure7_qualitative",
    title="Figure 7: masks of three settings beside the truth",
    about="Image, truth, and the masks of max pooling, adaptive-K pooling and the whole method, the settings "
    "of Table 8's rows 2, 4 and 5, one seed of each. The paper says that max pooling marks small parts of a thing, "
    "adaptive-K all of it, and that the patch contrastive error mends the edges.",
    place=210,
    settings={"max pooling": BASELINE, "adaptive-K": AKP, "APC": APC},
    script="table8_components",
    show=show,
)

if __name__ == "__main__":
    raise SystemExit(main(PICTURE))
