"""Label Studio: its exports JSON, JSON-MIN and CSV, with choices, polygons, brushes, ellipses and boxes."""

import csv
import functools
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from apc.data.headers import SUFFIXES
from apc.data.importing.found import Found, Photo, by_paths, class_name, foreground
from apc.data.importing.outlines import Outline, brush, ellipse, filled, paint, points_of
from apc.data.importing.safely import LARGEST, mentions, read_json, read_text
from apc.data.importing.source import Source
from apc.data.importing.wishes import Wishes
from apc.escaping import short
from apc.flags import choose_from

OF_THE_EXPORT = {"id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement", "sentiment"}
"""Columns of CSV and JSON-MIN that say how a photograph was labelled."""
OUTLINES = {"polygonlabels", "brushlabels", "ellipselabels"}
NOT_AS_EXPORTED = (KeyError, TypeError, AttributeError, ValueError, OverflowError)
"""What reading an export fails with whose parts are of other types."""
WHOLE = {"choices", "taxonomy"}
"""Answers that are about the whole photograph."""


class Result(NamedTuple):
    """One thing that somebody said of a photograph."""

    names: list[str]
    kind: str
    """The key of its names: polygonlabels, brushlabels, rectanglelabels, choices…"""
    value: dict[str, Any]
    size: tuple[int, int] | None
    """Height and width of the photograph that it was said of."""
    control: str = ""
    """Name of what was asked, or its column in JSON-MIN and CSV."""


class Task(NamedTuple):
    """A photograph in an export; `results` is None where nobody finished it."""

    where: str
    image: str
    results: list[Result] | None
    guessed: bool = False
    """Whether they are predictions, as `apc predict` writes them: where nobody has annotated any task of a file."""


def looks(source: Source, wishes: Wishes) -> str:
    files = [*_json_files(source), *_csv_files(source)]
    return f"Label Studio's export {source.place(files[0])}" if files else ""


def read(source: Source, wishes: Wishes) -> Found:
    wanted = {name.strip() for name in wishes.labels.split(",")} - {""}
    tasks, controls = _tasks(source, wanted)
    if not tasks:
        raise ValueError(f"{source.given}: holds no task of Label Studio; export as JSON, JSON-MIN or CSV")
    if absent := wanted - {*controls}:
        known = _tasks(source, set())[1]
        choices = choose_from(known, min(absent)) if known else "no control has an answer"
        raise ValueError(f"{source.given}: labels is {min(absent)!r}; {choices}")
    names = [name for task in tasks for result in task.results or [] for name in result.names]
    found = Found(foreground(wishes.classes or sorted({class_name(name) for name in names})))
    if not found.classes:
        raise ValueError(f"{source.given}: no task has a label or a choice, so there is no class")
    if unknown := set(foreground(names)) - set(found.classes):
        raise ValueError(f"{source.given}: the label {min(unknown)!r} is none of --classes {' '.join(found.classes)}")
    if controls:
        others = "; --labels names those that are meant" if controls[1:] and not wanted else ""
        found.notes.append(f"labels are from {' and '.join(controls)}{others}")
    outlined = any(_outlines(task.results or []) for task in tasks)
    if guesses := sum(task.guessed and task.results is not None for task in tasks):
        found.notes.append(f"no task has an annotation: the predictions of {guesses} are taken for what they show")
    boxes = sum(result.kind not in OUTLINES | WHOLE for task in tasks for result in task.results or [])
    if boxes:
        found.notes.append(
            f"{boxes} results are boxes or points, which are no masks: their photographs get labels alone"
        )
    spoken: dict[Path, str] = {}
    for task in tasks:
        try:
            file = source.find(task.image)
        except ValueError as error:
            found.problems.append(f"{task.where}: {error}; --images names their folder")
            continue
        if file in spoken:
            raise ValueError(f"{task.where}: photograph {task.image!r} is that of {spoken[file]} too")
        spoken[file] = task.where
        place = source.place(file)
        results = task.results if task.results is not None or not wishes.take_unlabelled else []
        if results is None:
            found.left_out["photographs that nobody has finished"].append(place)
            continue
        labels = frozenset(foreground(name for result in results for name in result.names))
        shapes = _outlines(results)
        painted = {name for result in shapes for name in foreground(result.names)}
        mask = None
        if outlined and painted == labels and all(result.kind in OUTLINES | WHOLE for result in results):
            mask = functools.partial(_mask, shapes, found.classes, file, task.where)
        found.photos.append(Photo(file, place, labels, mask))
    found.photos = by_paths(found.photos)
    return found


def _tasks(source: Source, wanted: set[str]) -> tuple[list[Task], list[str]]:
    """Tasks with what the controls that are wanted say, all of them if none is named; and those that say something."""
    tasks = [task for path in _json_files(source) for task in _of_json(path, wanted)]
    tasks += [task for path in _csv_files(source) for task in _of_csv(path, wanted)]
    controls = {result.control for task in tasks for result in task.results or []}
    return tasks, sorted(controls - {""})


def _outlines(results: list[Result]) -> list[Result]:
    return [result for result in results if result.kind in OUTLINES]


def _json_files(source: Source) -> list[Path]:
    keys = b'"annotations"', b'"annotation_id"', b'"data"'
    return [path for path in source.of_kind(".json") if mentions(path, b"[", *keys)]


def _csv_files(source: Source) -> list[Path]:
    return [p for p in source.of_kind(".csv") if {"annotation_id", "lead_time"} <= set(_headings(p))]


def _headings(path: Path) -> list[str]:
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        return [cell.strip() for cell in file.readline(1 << 16).split(",")]


def _of_json(path: Path, wanted: set[str]) -> Iterator[Task]:
    tasks = read_json(path)
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise ValueError(f"{path}: is no list of tasks, as Label Studio exports them")
    guessed = not any(task.get("annotations") for task in tasks)
    for number, task in enumerate(tasks, start=1):
        where = f"{path}, task {task.get('id', number)}"
        try:
            if isinstance(task.get("data"), dict):
                said = _guessed(task) if guessed else _finished(task)
                results = said and [result for result in said if not wanted or result.control in wanted]
                yield Task(where, _image_in(task["data"]), results, guessed)
            else:
                image = _image_in(task)
                answers = {key: value for key, value in task.items() if value != image}
                yield Task(where, image, list(_flat(answers, wanted)))
        except NOT_AS_EXPORTED as error:
            raise ValueError(f"{where}: is not as Label Studio exports it ({_told(error)})") from None


def _of_csv(path: Path, wanted: set[str]) -> Iterator[Task]:
    reader = csv.DictReader(io.StringIO(read_text(path)[0], newline=""), restval="", strict=True)
    before = csv.field_size_limit(LARGEST - 1)  # a brush is longer than csv takes by itself
    try:
        for row in reader:
            cells = {key: cell for key, cell in row.items() if key is not None}
            image = _image_in(cells)
            answers = {key: _cell(cell) for key, cell in cells.items() if cell != image}
            yield Task(f"{path}, line {reader.line_num}", image, list(_flat(answers, wanted)))
    except (*NOT_AS_EXPORTED, csv.Error) as error:
        raise ValueError(
            f"{path}, line {reader.line_num}: is not as Label Studio exports it ({_told(error)})"
        ) from None
    finally:
        csv.field_size_limit(before)


def _told(error: Exception) -> str:
    return f"there is no {error}" if isinstance(error, KeyError) else str(error)


def _cell(cell: str) -> Any:
    if cell.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(cell)
        except (ValueError, RecursionError):
            return cell
    return cell


def _image_in(data: dict[str, Any]) -> str:
    """The photograph of a task: the value called image, or else the one that looks like a file of a photograph."""
    values = [data.get("image"), *(value for key, value in data.items() if key != "image")]
    for value in values:
        if isinstance(value, str) and Path(value.partition("?")[0]).suffix.lower() in SUFFIXES:
            return value
        if isinstance(value, str) and value.startswith("/data/local-files/"):
            return value
    raise ValueError("it names no photograph")


def _finished(task: dict[str, Any]) -> list[Result] | None:
    """What the last annotation says that was not skipped, or the one called the truth; predictions are guesses."""
    done = [each for each in task.get("annotations") or [] if not each.get("was_cancelled")]
    true = [each for each in done if each.get("ground_truth")]
    return _last(true or done)


def _guessed(task: dict[str, Any]) -> list[Result] | None:
    """What the last prediction says; an export may name it by a number alone."""
    return _last([each for each in task.get("predictions") or [] if isinstance(each, dict)])


def _last(said: list[dict[str, Any]]) -> list[Result] | None:
    if not said:
        return None
    shown = [each for each in said[-1]["result"] if each.get("type") != "relation"]
    return [result for each in shown for result in _result(each["value"], each)]


def _flat(answers: dict[str, Any], wanted: set[str]) -> Iterator[Result]:
    """Results of JSON-MIN and CSV, in which each control has its answers under its name."""
    for key, value in answers.items():
        if key in OF_THE_EXPORT or value in ("", None) or (wanted and key not in wanted):
            continue
        if isinstance(value, str):
            yield Result([value], "choices", {}, None, key)
        elif isinstance(value, dict | list):
            for each in [value] if isinstance(value, dict) else value:
                yield from _result(each, {**each, "from_name": key})


def _result(value: dict[str, Any], around: dict[str, Any]) -> Iterator[Result]:
    """The result whose value this is; `around` has the photograph's size and the control's name."""
    for kind, names in value.items():
        if kind.endswith("labels") or kind in WHOLE:
            several = [names] if isinstance(names, str) else names
            flat = [name for each in several for name in (each if isinstance(each, list) else [each])]
            if strange := [name for name in flat if not isinstance(name, str | int | float)]:
                raise ValueError(f"a label is {short(strange[0])}")
            size = (
                (int(around["original_height"]), int(around["original_width"])) if "original_width" in around else None
            )
            yield Result([str(name) for name in flat], kind, value, size, str(around.get("from_name", "")))


def _mask(results: list[Result], classes: list[str], file: Path, where: str) -> np.ndarray:
    """Mask of a task's outlines, in their order; that of a photograph without any is all background."""
    from apc.data.images import size_of

    size = next((result.size for result in results if result.size), None) or size_of(file)
    outlines = []
    for number, result in enumerate(results, start=1):
        try:
            for name in foreground(result.names):
                outlines.append(_outline(result, classes.index(name) + 1, size))
        except NOT_AS_EXPORTED as error:
            raise ValueError(f"{where}: outline {number} cannot be painted: {_told(error)}") from None
    return paint(outlines, size)


def _outline(result: Result, number: int, size: tuple[int, int]) -> Outline:
    """An outline in pixels; Label Studio counts in hundredths of the photograph's sides."""
    height, width = size
    value = result.value
    if result.kind == "brushlabels":
        if value.get("format", "rle") != "rle":
            raise ValueError(f"its brush has the format {value['format']!r}, not rle")
        return Outline(number, bitmap=brush(value["rle"], size))
    if result.kind == "ellipselabels":
        [(x, y), (rx, ry)] = points_of([(value["x"], value["y"]), (value["radiusX"], value["radiusY"])])
        centre, turn = (x * width / 100, y * height / 100), float(value.get("rotation", 0))
        corners = ellipse(centre, rx * width / 100, ry * height / 100, turn)
    else:
        corners = [(x * width / 100, y * height / 100) for x, y in points_of(value["points"])]
    if len(corners) < 3:
        raise ValueError(f"it has {len(corners)} corners; a polygon needs 3")
    return Outline(number, bitmap=filled(corners, size))
