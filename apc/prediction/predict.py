"""The loop over the photographs: predict, write, remember."""

import io
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from apc.config import Config
from apc.data.images import Reading, decode
from apc.data.masks import mask_image, read_mask
from apc.evaluation.forward import showings
from apc.files import write_encoded
from apc.flags import choose_from
from apc.methods.base import BRANCHES, Method
from apc.models.crf import CRFPool
from apc.prediction import pictures
from apc.prediction.output_folder import FOLDERS, Summary, claim, file_of, is_finished, mask_name
from apc.prediction.photographs import Photograph
from apc.prediction.segment import Prediction, Segmenter
from apc.runs.protocols import Protocol

HELD = 3 * 2**26
"""Bytes of photographs and heat maps whose CRFs are waited for, together; one of more is finished before the next is
begun."""
KINDS = (*FOLDERS, "contact_sheet")
"""What can be written."""


@dataclass(frozen=True)
class Job:
    """What is asked of every photograph; ValueError where the network cannot read images of the size."""

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
    crf_workers: int = 0
    """Processes that run the CRF while the network goes on, up to two photographs (or tiles) ahead for each, but no
    more than HELD; 0 runs it here, and one photograph at a time is held in memory."""
    tile: int = 0
    """Side in pixels of the tiles that a larger photograph goes through in; 0 for whole photographs."""
    overlap: int = 64
    """Pixels by which tiles overlap at least."""
    multi_scale: tuple[float, ...] = ()
    """Scales over which what the network says is averaged, of the plain and the flipped photograph; empty: neither."""

    def __post_init__(self) -> None:
        size, patch, least = self.cfg.scored_size, self.method.encoder.patch, self.method.encoder.least
        if size % patch or size < least:
            wanted = f"a multiple of the encoder's patch, {patch}{f', from {least} up' if least > patch else ''}"
            raise ValueError(f"eval_size is {size}; it must be {wanted}")
        showings(Protocol(scales=self.multi_scale), self.cfg, patch, least)

    @property
    def reading(self) -> Reading:
        """How photographs are read."""
        return Reading(max_pixels=self.cfg.max_pixels)

    @property
    def heat_bytes(self) -> int:
        """Of the heat maps of a photograph, while its CRF is waited for."""
        return 4 * len(self.classes) * self.cfg.scored_size**2 if "heatmaps" in self.kinds else 0

    def settings(self) -> dict[str, Any]:
        """What the masks depend on, as the folder keeps it; a folder of an earlier version says nothing of tiles and
        scales."""
        said = {"model": self.model, "eval_size": self.cfg.scored_size, "crf": self.cfg.crf, "branch": self.branch}
        said |= {"tile": self.tile, "overlap": self.overlap} if self.tile else {}
        return said | ({"multi_scale": list(self.multi_scale)} if self.multi_scale else {})


class Predicted(NamedTuple):
    """What became of the photographs."""

    rows: list[dict[str, Any]]
    """Of each one that is predicted its row of summary.csv."""
    photographs: list[Photograph]
    """Those that are predicted."""
    broken: list[str]
    """A sentence for each one that cannot be decoded."""


class _Begun(NamedTuple):
    """A photograph that the network has seen."""

    photograph: Photograph
    finish: Callable[[], dict[str, Any] | None]
    """Waits for its CRF, writes its files and gives its row; None for one that cannot be decoded."""
    bytes: int = 0
    """Of the photograph and its heat maps, as long as they are held in memory."""
    share: float = 0.0
    """Of it that was told as done."""


def predict(
    job: Job,
    photographs: Sequence[Photograph],
    labels: dict[str, list[str]],
    out: Path,
    tick: Callable[[float], object] = lambda share: None,
) -> Predicted:
    """Predict photographs into `out`.

    `labels` are the classes a photograph may show beside the background, by its name; of one without an entry nothing
    is known, and its cell of the summary is empty. `tick` hears of the share of a photograph that is done,
    1 where it is predicted as a whole. Every file appears whole or not at all. ValueError before the folder is claimed
    where the job names a branch or a kind that there is not.
    """
    _require_known(job)
    earlier = claim(out, job.settings(), photographs)
    columns = _Columns([f"percent_{c}" for c in job.classes], [f"score_{c}" for c in job.classes])
    summary = Summary(out / "summary.csv", [*_FIRST, *columns.percent, *columns.score], earlier.values())
    heat = "heatmaps" in job.kinds
    segmenter = Segmenter(job.method, job.cfg, job.branch, job.device, heat, job.tile, job.overlap, job.multi_scale)
    rows: list[dict[str, Any]] = []
    predicted: list[Photograph] = []
    broken: list[str] = []

    def begin(photograph: Photograph, pool: CRFPool) -> _Begun:
        """Predict a photograph up to its CRF."""
        allowed = labels.get(photograph.name)
        label_words = "" if allowed is None else " ".join(allowed) or job.classes[0]
        row = earlier.pop(mask_name(photograph), None)
        if is_finished(row, photograph, label_words, out, [k for k in FOLDERS if k in job.kinds or k == "masks"]):
            return _Begun(photograph, lambda: row)
        for (
            kind
        ) in FOLDERS:  # what shows it as it was before, or under other labels; a kind that is asked for later stays
            if not is_finished(row, photograph, label_words, out, [kind]):
                file_of(out, kind, photograph).unlink(missing_ok=True)
        try:
            photo = decode(photograph.path, job.reading)
        except ValueError as error:
            broken.append(str(error))
            return _Begun(photograph, lambda: None)
        present = [job.classes.index(c) for c in allowed] if allowed is not None else None
        told = 0.0

        def tell(share: float) -> None:
            nonlocal told
            told += share
            tick(share)

        prediction = segmenter.begin(photo, present, pool, tell)

        def finish() -> dict[str, Any]:
            done = prediction()
            _Pictures(job, photograph, photo, done).save(present, out)
            row = _row(job, photograph, done, label_words, columns)
            summary.add(row)
            return row

        return _Begun(photograph, finish, photo.nbytes + job.heat_bytes, told)

    with CRFPool(job.crf_workers) as pool:
        waiting: deque[_Begun] = deque()

        def must_wait() -> bool:
            return len(waiting) > 2 * job.crf_workers or sum(each.bytes for each in waiting) > HELD

        for number, photograph in enumerate(photographs, start=1):
            waiting.append(begin(photograph, pool))
            while waiting and (must_wait() or number == len(photographs)):
                first = waiting.popleft()
                if row := first.finish():
                    rows.append(row)
                    predicted.append(first.photograph)
                tick(1 - first.share)
    summary.write([*rows, *earlier.values()])  # those of earlier commands last
    if "contact_sheet" in job.kinds:
        _contact_sheets(predicted, job, out)
    return Predicted(rows, predicted, broken)


def _require_known(job: Job) -> None:
    for name, words, known in (("branch", [job.branch], BRANCHES), ("only", job.kinds, KINDS)):
        for word in words:
            if word not in known:
                raise ValueError(f"{name} is {word!r}; {choose_from(known, word)}")


_FIRST = ("image", "mask", "labels", "classes", "confidence")
"""Columns of the summary before those of each class."""


class _Columns(NamedTuple):
    """Columns of the summary, one a class; all rows share these texts."""

    percent: list[str]
    score: list[str]


def _row(job: Job, photograph: Photograph, prediction: Prediction, labels: str, columns: _Columns) -> dict[str, Any]:
    shares = pictures.percent(prediction.labels, len(job.classes))
    shown = [job.classes[c] for c in np.argsort(-shares, kind="stable") if c and shares[c] > 0]
    place = os.path.abspath(photograph.path)  # as any later command may find it, from whatever folder
    row = {"image": place, "mask": mask_name(photograph), "labels": labels, "classes": " ".join(shown)}
    row |= {"confidence": f"{prediction.confidence:.4f}"}
    row |= {name: f"{share:.2f}" for name, share in zip(columns.percent, shares, strict=True)}
    scores = zip(columns.score, prediction.scores, strict=True)
    return row | {name: "" if np.isnan(score) else f"{score:.4f}" for name, score in scores}


@dataclass(frozen=True)
class _Pictures:
    """What is drawn of one photograph (H,W,3)."""

    job: Job
    photograph: Photograph
    photo: np.ndarray
    prediction: Prediction

    def save(self, present: list[int] | None, out: Path) -> None:
        """Write the outputs that are asked for, the mask last."""
        labels, heat, classes = self.prediction.labels, self.prediction.heat, self.job.classes
        if "overlays" in self.job.kinds:
            overlay = pictures.overlay(self.photo, labels, classes)
            _save(overlay, file_of(out, "overlays", self.photograph), quality=92, subsampling=0)
        if "heatmaps" in self.job.kinds and len(heat):
            shown = present or self._shown()
            _save(pictures.heat_maps(self.photo, heat, shown, classes), file_of(out, "heatmaps", self.photograph))
        _save(mask_image(labels), file_of(out, "masks", self.photograph))

    def _shown(self) -> list[int]:
        """The classes of the mask, the largest seven; or the likeliest one where it is all background."""
        shares = pictures.percent(self.prediction.labels, len(self.job.classes))
        in_mask = [c for c in sorted(range(1, len(shares)), key=lambda c: -shares[c]) if shares[c] > 0][:7]
        highest = self.prediction.heat.flatten(1).amax(1).tolist()
        return in_mask or [max(range(1, len(shares)), key=lambda c: highest[c])]


def _contact_sheets(photographs: Sequence[Photograph], job: Job, out: Path) -> None:
    """Pages of photographs and overlays; the masks are read back, so that finished photographs are on them too."""
    for old in out.glob("contact_sheet*.png"):
        old.unlink()
    a_page = pictures.SHEET[0] * pictures.SHEET[1]
    starts = range(0, len(photographs), a_page)
    for number, start in enumerate(starts, start=1):
        cells = [_cell(p, job, out) for p in photographs[start : start + a_page]]
        name = f"contact_sheet_{number:0{len(str(len(starts)))}}.png" if len(starts) > 1 else "contact_sheet.png"
        _save(pictures.contact_sheet(cells), out / name)


def _cell(photograph: Photograph, job: Job, out: Path) -> Image.Image:
    photo = decode(photograph.path, job.reading)
    mask = read_mask(file_of(out, "masks", photograph), photo.shape[:2], len(job.classes), job.reading.max_pixels)
    return pictures.sheet_cell(photo, mask, job.classes, photograph.relative)


def _save(picture: Image.Image, path: Path, **options: Any) -> None:
    encoded = io.BytesIO()
    picture.save(encoded, format="JPEG" if path.suffix == ".jpg" else "PNG", **options)
    write_encoded(path, encoded.getvalue())


def classes_found(rows: Iterable[dict[str, Any]], classes: list[str]) -> dict[str, int]:
    """In how many photographs each class has a pixel, background left out; its percent may be rounded to none."""
    counts = Counter(name for row in rows for name in row["classes"].split())
    return {name: counts[name] for name in classes[1:]}
