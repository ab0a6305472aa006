"""`apc predict`: masks and pictures of your photographs."""

import time
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from apc.config import default_of
from apc.devices import device_of, set_threads
from apc.escaping import counted, say
from apc.flags import POSITIONAL, parse

Format = Literal["masks", "coco", "label-studio", "cvat"]
Picture = Literal["masks", "overlays", "heatmaps", "contact_sheet"]


@dataclass(frozen=True, kw_only=True)
class PredictFlags:
    """Predict photographs: masks, overlays, heat maps of the patch branch, a contact sheet and summary.csv; and files
    for labelling tools. The same command goes on where it was stopped; a photograph that has changed is done again."""

    checkpoint: Annotated[Path, POSITIONAL]
    """Folder of a finished run, also in a store (s3://BUCKET/PREFIX/RUN), or one that `apc export` wrote."""
    images: Annotated[tuple[Path, ...], POSITIONAL] = ()
    """Photographs, and folders of them with their subfolders; names may be anything."""
    out: Path
    """Folder of the predictions: new, empty, or of the same model and settings."""
    eval_size: int = 0
    """Side in pixels to which photographs are resized; default: as scored."""
    multi_scale: tuple[float, ...] = ()
    """Show each photograph at these multiples of that size, such as 0.75 1 1.25, plain and mirrored, and take the mean:
    mostly better masks for several times the time; default: as it is, once."""
    crf: str = ""
    """Dense CRF: none, vit_pcm, afa, toco, toco_cam, irn, deeplab or pocket; default: the model's own. Photographs
    above a megapixel are refined at a megapixel, as many at once as there are cores."""
    branch: Literal["decoder", "patch"] = "decoder"
    """Branch whose masks are written."""
    labels: str = ""
    """What the photographs show, where you know it: class names such as "cat dog" for all of them, or a CSV file with
    the columns image,labels, as a data set's own; an empty cell or background is none of the classes. Other classes are
    then ruled out, in masks and in what is written for labelling tools."""
    only: tuple[Picture, ...] = ("masks", "overlays", "heatmaps", "contact_sheet")
    """What is written; the masks and summary.csv always are."""
    format: tuple[Format, ...] = ("masks",)
    """What labelling tools take, beside the masks: coco.json, label-studio.json with label-studio.xml for its labelling
    interface, cvat.xml with cvat-labels.json. It covers the photographs of this command, with scores."""
    shapes: Literal["masks", "polygons"] = "masks"
    """What outlines are in these files: masks (run-length codes, equal to the PNG) or polygons, within a pixel."""
    image_url: str = "/data/local-files/?d="
    """What stands before a photograph's path in label-studio.json; the default is for files that Label Studio serves
    from LOCAL_FILES_DOCUMENT_ROOT."""
    tile: int = 0
    """Side in pixels of tiles, for large photographs: above it, one goes through the network in tiles, each resized as
    a photograph is and with a CRF of its own, and blended where they overlap; 0 shows every photograph as a whole."""
    overlap: int = 64
    """Pixels by which tiles overlap at least."""
    skip_broken: bool = False
    """Only list photographs that cannot be decoded; otherwise none is predicted where one is no image, and the exit
    code is 2 where one is broken further on."""
    max_pixels: int = default_of("max_pixels")
    """Pixels a photograph may have; larger ones are refused by their header, before any memory is taken."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    threads: int = 0
    """Threads torch may use on the CPU; 0 is a thread a core."""


def command(words: list[str]) -> None:
    flags = parse(PredictFlags, words, "apc predict")
    out = flags.out
    from apc.prediction.output_folder import settings_of
    from apc.prediction.photographs import gather, image_labels
    from apc.prediction.tiles import require_tile

    settings_of(out)  # refuses a folder of anybody else's
    unreadable: list[str] = []
    skipped = unreadable if flags.skip_broken else None
    photographs = gather(flags.images, out, max_pixels=flags.max_pixels, skipped=skipped)
    from apc.config import from_dict
    from apc.data.preparing import left_out
    from apc.files import file_fingerprint
    from apc.methods.checkpoint import load_model
    from apc.parallel import cores
    from apc.prediction.annotations import asked_for, write_annotations
    from apc.prediction.predict import Job, classes_found
    from apc.prediction.predict import predict as predict_all
    from apc.runs.folder import ModelFolder
    from apc.runs.mirror import model_folder

    set_threads(flags.threads)
    device, folder = device_of(flags.device), model_folder(flags.checkpoint)
    method, trained, classes = load_model(folder, device)
    changes = {name: value for name in ("eval_size", "crf", "max_pixels") if (value := getattr(flags, name))}
    cfg = from_dict(changes, trained, "apc predict")
    require_tile(flags.tile, flags.overlap, cfg.scored_size)
    asked = asked_for(flags.format, flags.shapes, flags.image_url)
    labels = image_labels(flags.labels, classes, photographs)
    model = file_fingerprint(str(ModelFolder(folder).weights))
    several = len(photographs) > 1 or flags.tile > 0
    workers = cores() if cfg.crf != "none" and cores() > 1 and several else 0
    tiles = flags.tile, flags.overlap
    job = Job(method, cfg, classes, model, flags.branch, flags.only, device, workers, *tiles, flags.multi_scale)

    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

    start, console = time.perf_counter(), Console(stderr=True)
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("predicting", total=len(photographs))
        try:
            rows, predicted, broken = predict_all(job, photographs, labels, out, lambda share: bar.advance(task, share))
        except BrokenProcessPool:
            raise ValueError(f"crf is {cfg.crf}; a process that ran it was killed, perhaps for memory") from None
        task = bar.add_task("writing", total=len(predicted) * len(asked.files), visible=bool(asked.files))
        about = (asked, predicted, rows, classes, model, out)
        written = write_annotations(*about, lambda: bar.advance(task), cfg.max_pixels)
    seconds = time.perf_counter() - start
    if rows:
        counts = {name: count for name, count in classes_found(rows, classes).items() if count}
        classes_seen = ", ".join(f"{name} in {count}" for name, count in counts.items()) or "no class in any of them"
        say(f"{out}: {counted(len(rows), 'photograph')} in {seconds:.1f} s; {classes_seen}")
        if written:
            say(f"for labelling tools: {', '.join(map(str, written))}")
    if flags.skip_broken and rows:
        say("\n".join(left_out([*unreadable, *broken])))
    elif broken:
        more = f" and {len(broken) - 10} more" if len(broken) > 10 else ""
        kept = ", the others are written" if rows else ""
        raise ValueError(f"{len(broken)} of {len(photographs)} left out{kept}: {'; '.join(broken[:10])}{more}")
