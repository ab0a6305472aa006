"""Train, load, score and predict from Python.

Shapes: H,W a photograph's own pixels, S side of the image the network reads, C classes (background is class 0).
"""

import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from apc.config import PRESETS, Config, default_of, from_dict
from apc.runs.scores import CHOOSERS, EpochChooser

if TYPE_CHECKING:
    from pandas import DataFrame

    from apc.methods.base import Method
    from apc.runs.rows import Row

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Run:
    """A finished run."""

    folder: Path
    """Its folder, which `evaluate`, `predict` and `load_model` take: weights, config, classes, row.json."""
    row: "Row"
    """What it was and what it scored, with curve, IoU of each class and stamp."""

    @property
    def metrics(self) -> dict[str, float]:
        """Scores in percent by their names, such as `miou` and `patch_miou_crf` (apc/runs/scores.py)."""
        return self.row.metrics


@dataclass(frozen=True)
class Model:
    """A trained model, ready to score and to predict."""

    method: "Method"
    """The torch module, in evaluation mode: `method.predict(images)` takes (B,3,S,S) in [0,1] and gives class
    probabilities (B,C,S,S) by branch."""
    cfg: Config
    """The setting it was trained with."""
    classes: list[str]
    """C class names, background first."""
    folder: Path
    """Where it was read from."""
    device: str
    """Where it computes: cpu, cuda or cuda:N."""


def require_config(cfg: object, where: str) -> None:
    """TypeError with one sentence where something else than a Config is given as one."""
    if not isinstance(cfg, Config):
        makes = ", ".join(f"apc.{preset}()" for preset in PRESETS)
        raise TypeError(f"{where} takes a Config, as {makes} make one; {cfg!r} is a {type(cfg).__name__}")


def train(
    cfg: Config,
    *,
    runs: PathLike = "runs",
    device: str = "auto",
    threads: int = 1,
    crf_workers: int = 0,
    report: Callable[[dict[str, float]], None] | None = None,
    choose: EpochChooser | None = None,
    cache_gib: float = 0.0,
) -> Run:
    """Train one setting and score it on the validation images; a finished run is returned as it is stored.

    What was stopped goes on from its last epoch, and to the bit as if it had not been stopped. torch is left with
    `threads` threads on the CPU (0: one a core; another number changes last digits). `crf_workers` processes run the
    CRF of the final scoring; a script that has any needs `if __name__ == "__main__":`. `report` hears a flat dict
    after every epoch, and the final scores. `choose` is what the epoch in `best/` is chosen by, where `eval_every`
    scores epochs: all masks (`val`, if nothing is said), those of every second photograph (`half`) or image labels
    alone (`labels`); the first two are refused where no validation image has a mask.
    `cache_gib` GiB of the disk, below $APC_CACHE, keep what closed blocks of the encoder give, for all runs; 0 keeps it
    in memory, for this one.
    ValueError for what the data, the weights or the machine cannot have, before anything is trained;
    FloatingPointError with its terms for a loss that is not finite.

    >>> run = apc.train(apc.pocket(), runs="runs")
    >>> sorted(run.metrics)[:3]
    ['border_contrast', 'border_rule', 'branch_agreement']
    """
    from apc.devices import device_of, set_threads
    from apc.files import require_writable
    from apc.models import weights
    from apc.models.feature_store import require_room
    from apc.runs.copies import copied, require_usable
    from apc.training import run as training

    if choose not in (None, *(choices := get_args(EpochChooser))):
        raise ValueError(f"choose is {choose!r}; choose from {', '.join(choices)}")
    require_config(cfg, "train(cfg)")
    set_threads(threads)
    device, copy = device_of(device), copied(runs)
    below = copy.resolve()
    require_usable(below)
    weights.fingerprint(cfg)  # where there are none that is said before photographs are read, which may take long
    require_writable(below, make=False)
    require_room(cache_gib)
    how: dict[str, Any] = {"device": device, "report": report, "crf_workers": crf_workers, "cache_gib": cache_gib}
    row = training.run(cfg, runs=below, by=CHOOSERS[choose] if choose else None, **how)
    return Run(copy / row.run, row)


def load_model(folder: PathLike, *, device: str = "auto") -> Model:
    """Model of a run's folder, of its `best/`, or of what `apc export` wrote; ValueError where that is no such folder.

    >>> model = apc.load_model(run.folder)
    >>> model.classes[0]
    'background'
    """
    from apc.devices import device_of
    from apc.methods import checkpoint
    from apc.runs.mirror import model_folder

    where = device_of(device)
    home = model_folder(folder)
    method, cfg, classes = checkpoint.load_model(home, where)
    return Model(method, cfg, classes, home, where)


def evaluate(
    model: Model | Run | PathLike,
    protocols: str | Sequence[str] = (),
    *,
    root: PathLike = "",
    val_list: str = "",
    device: str = "auto",
    crf_workers: int = 0,
) -> "DataFrame":
    """Score a model on validation images in one pass: a line a protocol, by its name.

    `protocols` are names of scores, such as `miou`, `miou_960` (shown at 960 pixels), `miou_keep_ms` (aspect kept,
    mean over scales and flips) or `pseudo_miou_crf`; default: those of a row. Columns: `miou`, `pixel_accuracy` and
    `iou_<class>` in percent, NaN for a class without a pixel in the truth; `seconds` of the network and `crf_seconds`
    a photograph; `meaning` in words. `root` and `val_list` name other photographs of the same classes, `device` is for
    a model that is yet to be loaded. ValueError for a name that tells no protocol, for other classes, for other
    photographs than those that pocket draws, and where no photograph has a mask.

    >>> scores = apc.evaluate(run, ["miou", "miou_crf"])
    >>> list(scores.index)
    ['miou', 'miou_crf']
    """
    import pandas as pd

    from apc import data
    from apc.data import agreement
    from apc.data.split import require_other
    from apc.evaluation.forward import showings
    from apc.evaluation.miou import score
    from apc.evaluation.score_tables import outcome
    from apc.evaluation.scoring import Cost, Scoring
    from apc.runs.protocols import PROTOCOLS, RUNS_OWN, parse

    loaded = _loaded(model, device)
    require_other(loaded.cfg, str(root), val_list)
    changes = {"root": str(root), "val_list": val_list}
    cfg = from_dict({k: v for k, v in changes.items() if v}, loaded.cfg, "evaluate")
    names = [protocols] if isinstance(protocols, str) else protocols
    asked = [parse(name) for name in names] or [p for p in PROTOCOLS if not (p.crf and cfg.crf == "none")]
    if any(p.crf == RUNS_OWN for p in asked) and cfg.crf == "none":
        raise ValueError(
            "protocols has a _crf of the model's own, and its crf is none; name a set, as in miou_crf_toco"
        )
    encoder = loaded.method.encoder
    passes = {protocol: showings(protocol, cfg, encoder.patch, encoder.least) for protocol in asked}
    val = data.load(cfg, "val")
    if val.classes != loaded.classes:
        theirs, ours = ", ".join(val.classes[1:]), ", ".join(loaded.classes[1:])
        raise ValueError(f"{cfg.root or cfg.dataset}: the data set names {theirs}; the model knows {ours}")
    if not val.masked:
        raise ValueError(f"{cfg.root}: no validation image has a mask, so nothing can be scored")
    agreement.tell(agreement.require_scorable(val, cfg))
    cost = Cost()
    counts = score(loaded.method, val, cfg, asked, Scoring(loaded.device, crf_workers, cost=cost))
    found = outcome(counts, passes, cost, cfg, loaded.classes)
    kept = ("miou", "pixel_accuracy", "seconds", "crf_seconds", "meaning")
    lines = {name: {k: f[k] for k in kept} | {f"iou_{c}": v for c, v in f["iou"].items()} for name, f in found.items()}
    return pd.DataFrame.from_dict(lines, orient="index").astype({"crf_seconds": float})


def predict(
    model: Model | Run | PathLike,
    photographs: PathLike | Sequence[PathLike],
    *,
    out: PathLike,
    eval_size: int = 0,
    multi_scale: Sequence[float] = (),
    crf: str = "",
    branch: str = "decoder",
    labels: str = "",
    only: Sequence[str] = ("masks", "overlays", "heatmaps", "contact_sheet"),
    formats: Sequence[str] = ("masks",),
    shapes: str = "masks",
    image_url: str = "/data/local-files/?d=",
    tile: int = 0,
    overlap: int = 64,
    skip_broken: bool = False,
    max_pixels: int = default_of("max_pixels"),
    device: str = "auto",
    crf_workers: int = 0,
) -> "DataFrame":
    """Predict photographs, and folders of them, into the folder `out`; returns its summary, a line a photograph.

    `out/masks/NAME.png` holds class numbers (H,W) at the photograph's own size, in VOC's colours; apc/prediction says
    what else lies there, of which `only` names the kinds. Columns: `image`, `mask` (below `out`), `labels`, `classes`
    found, `confidence` from 0 to 1, `percent_<class>` of the pixels, `score_<class>`, the mean probability of those
    pixels, NaN where there are none. `eval_size` in pixels and `crf` default to the model's own. `multi_scale` are
    multiples of that size, such as 0.75, 1 and 1.25, at which photographs are shown plain and flipped, for the mean of
    what is said; none: they are shown once. `labels` are class names, such as "cat dog", or a CSV file with the columns
    image,labels (`background` or an empty cell: none of the classes): other classes are ruled out. `formats` are files
    for labelling tools beside the masks: coco, label-studio, cvat; `shapes` of them are masks or polygons, and
    `image_url` stands before a photograph's path in Label Studio. Photographs above `tile` pixels go through the
    network in tiles that overlap by `overlap`; 0 shows every one as a whole.
    The same call goes on where it was stopped. A photograph that is broken further on than its header is left out and
    named in a warning, and with `skip_broken` so is one that is no image or has more than `max_pixels`; without it that
    is a ValueError before anything is predicted, and so is a folder `out` of other settings or of anybody else.

    >>> summary = apc.predict(run, "photos", out="predictions", only=["masks"])
    >>> list(summary.columns)[:3]
    ['image', 'mask', 'labels']
    """
    import pandas as pd

    from apc.files import file_fingerprint
    from apc.prediction import predict as prediction
    from apc.prediction.annotations import asked_for, write_annotations
    from apc.prediction.output_folder import settings_of
    from apc.prediction.photographs import gather, image_labels
    from apc.prediction.tiles import require_tile
    from apc.runs.folder import ModelFolder

    only, formats = ([words] if isinstance(words, str) else words for words in (only, formats))
    where, asked = Path(out), asked_for(formats, shapes, image_url)
    settings_of(where)  # refuses a folder of anybody else's
    places = [photographs] if isinstance(photographs, str | os.PathLike) else photographs
    unreadable: list[str] | None = [] if skip_broken else None
    gathered = gather([Path(place) for place in places], where, max_pixels=max_pixels, skipped=unreadable)
    loaded = _loaded(model, device)
    changes: dict[str, Any] = {"eval_size": eval_size, "crf": crf, "max_pixels": max_pixels}
    cfg = from_dict({k: v for k, v in changes.items() if v}, loaded.cfg, "predict")
    require_tile(tile, overlap, cfg.scored_size)
    allowed = image_labels(labels, loaded.classes, gathered)
    fingerprint = file_fingerprint(str(ModelFolder(loaded.folder).weights))
    job = prediction.Job(
        loaded.method,
        cfg,
        loaded.classes,
        fingerprint,
        branch,
        only,
        loaded.device,
        crf_workers,
        tile,
        overlap,
        tuple(multi_scale),
    )
    rows, predicted, broken = prediction.predict(job, gathered, allowed, where)
    write_annotations(asked, predicted, rows, loaded.classes, fingerprint, where, max_pixels=cfg.max_pixels)
    for sentence in [*(unreadable or []), *broken]:
        warnings.warn(f"left out: {sentence}", stacklevel=2)
    frame = pd.DataFrame(rows, columns=None if rows else ["image", "mask", "labels", "classes", "confidence"])
    numbers = [name for name in frame.columns if name == "confidence" or name.startswith(("percent_", "score_"))]
    return frame.assign(**{name: pd.to_numeric(frame[name]).astype(float) for name in numbers})  # "" is no score, NaN


def _loaded(model: Model | Run | PathLike, device: str) -> Model:
    """The model itself, or that of a run or a folder."""
    if isinstance(model, Model):
        if device not in ("auto", model.device):
            raise ValueError(f"device is {device!r}; the model is on {model.device}: say it where it is loaded")
        return model
    return load_model(model.folder if isinstance(model, Run) else model, device=device)
