"""Figure 6: heat maps of the patch scores of a trained network, shown photographs larger than it was trained on.

    python experiments/figure6_heatmaps.py
    python experiments/figure6_heatmaps.py folder --root PHOTOGRAPHS --weights deit_tiny_patch16_224.safetensors

Nothing is trained: the run is of the paper's setting, as Table 7's adaptive-K and Table 8's last row, and where it is
missing the command is named that makes it. Each row is one validation image, the first of its class. The paper trains
at 384 pixels and draws 60 x 60 patches of 960; here stand the scores at the size of the training, at the size that is
scored, at 2.5 times the training, as 960 is of 384, and of 60 x 60 patches. Half a minute. Expect finer outlines where
the size is a little larger than in training, and scores that fade, class by class, where it is much larger.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from apc.experiment.pictures import Picture, main
from apc.reporting.figures.qualitative import WEAK, Panel, draw
from search_spaces.components import APC

if TYPE_CHECKING:
    import torch

    from apc.config import Config
    from apc.methods.apc import APC as Network

GRID = 60
"""Patches of a side (paper, Figure 6)."""


def show(runs: dict[str, Path], base: "Config", chosen: dict[str, int], path: Path) -> dict[str, Any]:
    """Draw the rows; tells the sizes and the highest score of each class at each."""
    from apc import data
    from apc.devices import device_of
    from apc.methods.apc import APC as Network
    from apc.methods.checkpoint import load_model

    device = device_of("auto")
    method, _, classes = load_model(runs["APC"], device)
    assert isinstance(method, Network)
    split = data.load(base, "val")
    sides = sizes(base, method.encoder.patch)
    rows: dict[str, list[Panel]] = {}
    highest: dict[str, dict[int, float]] = {}
    for name, i in chosen.items():
        photo, truth, c = split.photo(i), split.mask(i), classes.index(name)
        assert truth is not None
        rows[name], highest[name] = [Panel("", photo, outline=truth == c)], {}
        for size in sides:
            scores = patch_scores(method, photo, size, device)[c]
            highest[name][size] = round(float(scores.max()), 4)
            title = f"{size} px: {scores.shape[0]} × {scores.shape[1]}"
            rows[name].append(Panel(title, photo, scores.numpy(), truth == c))
    draw(rows, path)
    caption = (
        f"Scores of the patches for the class of each row, at {', '.join(map(str, sides))} pixels; it was trained "
    )
    caption += f"at {base.image_size} and is scored at {base.scored_size}. White line: outline of the class's truth."
    caption += f" Pale: a panel whose highest score is below {WEAK:g}."
    return {"shown": caption, "sizes": sides, "highest": highest}


def sizes(base: "Config", patch: int) -> list[int]:
    """Sides in pixels that are shown, rising: trained, scored, 2.5 times the training, 60 patches."""
    return sorted({base.image_size, base.scored_size, int(2.5 * base.image_size / patch + 0.5) * patch, GRID * patch})


def patch_scores(method: "Network", photo: Any, size: int, device: str) -> "torch.Tensor":
    """Softmax over the classes of each patch of a photograph (H,W,3) shown at `size` pixels: (C,h,w)."""
    import torch

    from apc.data.transforms import as_floats, squash

    image = as_floats(squash(photo, size)[None], device)
    with torch.no_grad():
        _, log_scores, _ = method.branches(image)
    scores: torch.Tensor = log_scores[0].exp().T.cpu()
    return scores.reshape(len(scores), *method.encoder.grid(image))


PICTURE = Picture(
    name="figure6_heatmaps",
    title="Figure 6: heat maps of the patch scores",
    about="Scores of the patches for one class, of a network of the paper's setting, that of Table 8's last row, shown "
    "images at several sizes. The paper trains at 384 pixels and shows 60 × 60 patches of 960; it says that "
    "scores are high in key areas of a thing and fall towards its edges.",
    place=200,
    settings={"APC": APC},
    script="table7_pooling",
    show=show,
)

if __name__ == "__main__":
    raise SystemExit(main(PICTURE))
