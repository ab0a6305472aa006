"""The loop over the photographs: predict, write, remember."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from apc.config import Config
from apc.data.images import decode
from apc.data.masks import mask_image
from apc.methods.base import Method
from apc.models.crf import CRFPool
from apc.prediction import pictures
from apc.prediction.output_folder import FOLDERS, Summary, claim, file_of, is_finished, mask_name
from apc.prediction.photographs import Photograph
from apc.prediction.segment import Prediction, begin


@dataclass(frozen=True)
class Job:
    """What is asked of every photograph."""

    method: Method
    cfg: Config
    """The model's config with the size and the CRF to be used."""
    classes: list[str]
    model: str
    """Fingerprint of the weights."""
    branch: str = "decoder"
    """Branch whose masks are written: decoder or patch."""
    kinds: Sequence[str] = ("masks", "overlays", "heatmaps", "contact_sheet")
    """What is written; the masks always are."""
    device: str = "cpu"


def predict(
    job: Job,
    photographs: Sequence[Photograph],
    labels: dict[str, list[str]],
    out: Path,
    tick: Callable[[], object] = lambda: None,
    crf_workers: int = 0,
) -> tuple[list[dict[str, Any]], list[str]]:
    """Predict photographs into `out`; returns the rows of its summary, and a sentence for each that cannot be decoded.

    `labels` are the classes a photograph may show, by its name; `tick` is called after each photograph. Every file
    appears whole or not at all. `crf_workers` processes run the CRF while the network goes on, up to two photographs
    ahead for each; 0 runs it here, and one photograph at a time is held in memory.
    """
    settings = {"model": job.model, "eval_size": job.cfg.scored_size, "crf": job.cfg.crf, "branch": job.branch}
    known = claim(out, settings, photographs)
    columns = ["image", "mask", "labels", "classes", "confidence", *(f"percent_{c}" for c in job.classes)]
    summary = Summary(out / "summary.csv", columns, known.values())
    rows: list[dict[str, Any]] = []
    seen: list[Photograph] = []
    broken: list[str] = []

    def started(photograph: Photograph, pool: CRFPool) -> Callable[[], dict[str, Any] | None]:
        """A photograph up to its CRF; what is returned waits for that, writes its files and gives its row."""
        allowed = labels.get(photograph.name)
        told = " ".join(allowed or [])
        row = known.pop(mask_name(photograph), None)
        if is_finished(row, photograph, told, out, [k for k in FOLDERS if k in job.kinds or k == "masks"]):
            return lambda: row
        try:
            photo = decode(photograph.path)
        except ValueError as error:
            broken.append(str(error))
            return lambda: None
        present = [job.classes.index(c) for c in allowed] if allowed else None
        predicted = begin(job.method, photo, job.cfg, job.branch, present, job.device, pool)

        def finished() -> dict[str, Any]:
            made = predicted()
            _draw(job, photograph, photo, made, present, out)
            row = _row(job, photograph, made, told)
            summary.add(row)
            return row

        return finished

    with CRFPool(crf_workers) as pool:
        waiting: deque[tuple[Photograph, Callable[[], dict[str, Any] | None]]] = deque()
        for number, photograph in enumerate(photographs, start=1):
            waiting.append((photograph, started(photograph, pool)))
            while waiting and (len(waiting) > 2 * crf_workers or number == len(photographs)):
                first, finished = waiting.popleft()
                if row := finished():
                    rows.append(row)
                    seen.append(first)
                tick()
    summary.write([*rows, *known.values()])  # those of earlier commands last
    if "contact_sheet" in job.kinds:
        _contact_sheets(seen, job.classes, out)
    return rows, broken


def _row(job: Job, photograph: Photograph, made: Prediction, labels: str) -> dict[str, Any]:
    shares = pictures.percent(made.labels, len(job.classes))
    found = [job.classes[c] for c in np.argsort(-shares, kind="stable") if c and shares[c] > 0]
    row = {"image": str(photograph.path), "mask": mask_name(photograph), "labels": labels, "classes": " ".join(found)}
    row |= {"confidence": f"{made.confidence:.4f}"}
    return row | {f"percent_{name}": f"{share:.2f}" for name, share in zip(job.classes, shares, strict=True)}


def _draw(
    job: Job, photograph: Photograph, photo: np.ndarray, made: Prediction, present: list[int] | None, out: Path
) -> None:
    """Write the outputs of one photograph, its mask last."""
    if "overlays" in job.kinds:
        picture = pictures.overlay(photo, made.labels, job.classes)
        _save(picture, file_of(out, "overlays", photograph), quality=92, subsampling=0)
    if "heatmaps" in job.kinds and len(made.heat):
        shares = pictures.percent(made.labels, len(job.classes))
        highest = made.heat.flatten(1).amax(1).tolist()
        found = [c for c in sorted(range(1, len(shares)), key=lambda c: -shares[c]) if shares[c] > 0][:7]
        shown = present or found or [max(range(1, len(shares)), key=lambda c: highest[c])]
        picture = pictures.heat_maps(photo, made.heat, shown, job.classes)
        _save(picture, file_of(out, "heatmaps", photograph))
    _save(mask_image(made.labels), file_of(out, "masks", photograph))


def _contact_sheets(photographs: Sequence[Photograph], classes: list[str], out: Path) -> None:
    """Pages of photographs and overlays; the masks are read back, so that finished photographs are on them too."""
    for old in out.glob("contact_sheet*.png"):
        old.unlink()
    a_page = pictures.SHEET[0] * pictures.SHEET[1]
    starts = range(0, len(photographs), a_page)
    for number, start in enumerate(starts, start=1):
        cells = [_cell(p, classes, out) for p in photographs[start : start + a_page]]
        name = f"contact_sheet_{number:0{len(str(len(starts)))}}.png" if len(starts) > 1 else "contact_sheet.png"
        _save(pictures.contact_sheet(cells), out / name)


def _cell(photograph: Photograph, classes: list[str], out: Path) -> Image.Image:
    with Image.open(file_of(out, "masks", photograph)) as mask:
        return pictures.sheet_cell(decode(photograph.path), np.asarray(mask), classes, photograph.relative)


def _save(picture: Image.Image, path: Path, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{os.getpid()}.part")
    try:
        picture.save(part, format="JPEG" if path.suffix == ".jpg" else "PNG", **options)
        os.replace(part, path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        part.unlink(missing_ok=True)


def classes_found(rows: Iterable[dict[str, Any]], classes: list[str]) -> dict[str, int]:
    """In how many photographs each class has a pixel, background left out."""
    rows = list(rows)
    return {name: sum(float(row[f"percent_{name}"]) > 0 for row in rows) for name in classes[1:]}
