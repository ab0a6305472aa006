"""Predictions as files that labelling tools take, for hands to correct: COCO, Label Studio, CVAT.

They are made of the masks and the rows of the summary, one photograph at a time, so that their memory is a photograph's
and what was stopped goes on. Every file appears whole or not at all. Coordinates are of the photograph as it is seen,
turned as its EXIF says: as these tools show it.

OUT/coco.json            COCO's instances, an annotation a class of a photograph, with its score
OUT/label-studio.json    Label Studio's tasks with predictions; OUT/label-studio.xml is the labelling interface for them
OUT/cvat.xml             CVAT 1.1 for images; OUT/cvat-labels.json are the labels of a task for them
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TextIO, get_args
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from apc.data.coco_outlines import UPRIGHT
from apc.data.headers import LIMIT, opened
from apc.data.masks import IGNORE, palette, read_mask, values_in
from apc.files import whole
from apc.flags import choose_from
from apc.prediction import run_lengths
from apc.prediction.outlines import polygons
from apc.prediction.output_folder import file_of
from apc.prediction.photographs import Photograph, tool_names

Format = Literal["masks", "coco", "label-studio", "cvat"]
Shapes = Literal["masks", "polygons"]
LOCAL_FILES = "/data/local-files/?d="
"""Where Label Studio serves the files below its LOCAL_FILES_DOCUMENT_ROOT."""


@dataclass(frozen=True)
class Asked:
    """What is written beside the masks."""

    formats: tuple[Format, ...] = ("masks",)
    shapes: Shapes = "masks"
    """Run-length codes, equal to the mask pixel for pixel, or polygons."""
    image_url: str = LOCAL_FILES
    """What stands before a photograph's path in Label Studio."""

    @property
    def files(self) -> list[Format]:
        """The formats that are more than the masks, each once."""
        return [name for name in dict.fromkeys(self.formats) if name != "masks"]


def asked_for(formats: Sequence[str], shapes: str, image_url: str) -> Asked:
    """ValueError where one of these words is none that is known, or is of a format that is not asked for."""
    for name, words, kind in (("format", formats, Format), ("shapes", [shapes], Shapes)):
        for word in words:
            if word not in get_args(kind):
                raise ValueError(f"{name} is {word!r}; {choose_from(get_args(kind), word)}")
    asked = Asked(tuple(formats), shapes, image_url)  # type: ignore[arg-type]
    if shapes != "masks" and not asked.files:
        raise ValueError(f"shapes is {shapes!r}; outlines are of coco, label-studio and cvat: name one with --format")
    if image_url != LOCAL_FILES and "label-studio" not in formats:
        raise ValueError(f"image_url is {image_url!r}; it is of label-studio: name that with --format")
    return asked


class Region(NamedTuple):
    """All pixels of a class in a photograph."""

    number: int
    """Of the class."""
    pixels: np.ndarray
    """(H,W) bool."""
    score: float
    """Mean probability of the class over its pixels, before a CRF."""


@dataclass(frozen=True)
class Labelled:
    """A photograph as a tool is told of it."""

    number: int
    """From 1."""
    name: str
    """Its path as the tool knows it."""
    mask: Path
    row: Mapping[str, Any]
    """Its row of the summary."""
    classes: Sequence[str]
    max_pixels: int
    """Pixels that a mask may have."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, from the mask's header."""
        with opened(self.mask, self.max_pixels) as image:
            return image.height, image.width

    @property
    def score(self) -> float:
        """Mean probability of all its pixels' classes."""
        return float(self.row["confidence"])

    def regions(self) -> Iterator[Region]:
        """The classes that have a pixel, background left out, rising."""
        labels = read_mask(self.mask, self.size, len(self.classes), self.size[0] * self.size[1])
        for number in values_in(labels):
            if 0 < number < IGNORE:
                score = self.row.get(f"score_{self.classes[number]}") or self.score
                yield Region(number, labels == number, float(score))


Made = Callable[[], object]
"""Called after each photograph that is written to a file."""


def write_annotations(
    asked: Asked,
    photographs: Sequence[Photograph],
    rows: Sequence[Mapping[str, Any]],
    classes: Sequence[str],
    model: str,
    out: Path,
    tick: Made = lambda: None,
    max_pixels: int = LIMIT,
) -> list[Path]:
    """Write the files of each format into `out`, of photographs whose masks lie there; returns those to upload, none
    where there is no photograph."""
    written: list[Path] = []
    names = tool_names(photographs)
    for name in asked.files if photographs else []:
        labelled = [
            Labelled(number, known_as, file_of(out, "masks", photograph), row, classes, max_pixels)
            for number, (photograph, known_as, row) in enumerate(zip(photographs, names, rows, strict=True), start=1)
        ]
        writer = {"coco": _coco, "label-studio": _label_studio, "cvat": _cvat}[name]
        path = out / f"{name}.{'xml' if name == 'cvat' else 'json'}"
        with whole(path) as part, open(part, "w", encoding="utf-8") as file:
            writer(file, labelled, asked, model, tick)
        written.append(path)
        for beside, text in _beside(name, classes, asked).items():
            with whole(out / beside) as part:
                part.write_text(text, encoding="utf-8")
    return written


def _coco(file: TextIO, photographs: Sequence[Labelled], asked: Asked, model: str, tick: Made) -> None:
    """COCO's instances; `images` goes before `annotations`, so each photograph is looked at twice, and none is kept."""
    classes = photographs[0].classes
    categories = [
        {"id": number, "name": readable(name), "supercategory": ""} for number, name in enumerate(classes) if number
    ]
    info = {"description": f"predictions of the model {model}", "version": "1.0", UPRIGHT: True}
    file.write(f'{{"info": {json.dumps(info)}, "licenses": [],\n"categories": {json.dumps(categories)},\n"images": ')
    _array(file, (_coco_image(photograph) for photograph in photographs))
    file.write(',\n"annotations": ')

    def annotations() -> Iterator[dict[str, Any]]:
        number = 0
        for photograph in photographs:
            for region in photograph.regions():
                number += 1
                yield {"id": number, "image_id": photograph.number, **_coco_region(region, asked)}
            tick()

    _array(file, annotations())
    file.write("}\n")


def _coco_image(photograph: Labelled) -> dict[str, Any]:
    height, width = photograph.size
    return {"id": photograph.number, "file_name": readable(photograph.name), "width": width, "height": height}


def _coco_region(region: Region, asked: Asked) -> dict[str, Any]:
    from pycocotools import mask as codes

    code = codes.encode(np.asfortranarray(region.pixels, dtype=np.uint8))
    outline: Any = {"size": list(map(int, code["size"])), "counts": code["counts"].decode("ascii")}
    if asked.shapes == "polygons":
        outline = [[float(x) for x in polygon.ravel()] for polygon in polygons(region.pixels)]
    return {
        "category_id": region.number,
        "segmentation": outline,
        "area": int(codes.area(code)),
        "bbox": [float(side) for side in codes.toBbox(code)],
        "iscrowd": 0,
        "score": round(region.score, 4),
    }


def _label_studio(file: TextIO, photographs: Sequence[Labelled], asked: Asked, model: str, tick: Made) -> None:
    def tasks() -> Iterator[dict[str, Any]]:
        for photograph in photographs:
            height, width = photograph.size
            about: dict[str, Any] = {"from_name": "label", "to_name": "image"}
            about |= {"original_width": width, "original_height": height, "image_rotation": 0}
            result = [
                {"id": f"region{number}", **about, **shape}
                for number, shape in enumerate(_label_studio_shapes(photograph, asked), start=1)
            ]
            said = {"model_version": model, "score": round(photograph.score, 4), "result": result}
            # quoted as bytes, whatever they are: a URL has no other way
            yield {
                "data": {"image": asked.image_url + quote(photograph.name, errors="surrogateescape")},
                "predictions": [said],
            }
            tick()

    _array(file, tasks())
    file.write("\n")


def _label_studio_shapes(photograph: Labelled, asked: Asked) -> Iterator[dict[str, Any]]:
    for region in photograph.regions():
        score, name = round(region.score, 4), [readable(photograph.classes[region.number])]
        if asked.shapes == "masks":
            value = {"format": "rle", "rle": run_lengths.label_studio(region.pixels), "brushlabels": name}
            yield {"type": "brushlabels", "score": score, "value": value}
            continue
        percent = 100 / np.array(region.pixels.shape[::-1])
        for polygon in polygons(region.pixels):
            points = (polygon * percent).round(6).tolist()
            yield {
                "type": "polygonlabels",
                "score": score,
                "value": {"points": points, "closed": True, "polygonlabels": name},
            }


def _cvat(file: TextIO, photographs: Sequence[Labelled], asked: Asked, model: str, tick: Made) -> None:
    classes = photographs[0].classes
    labels = "".join(
        f"<label><name>{_text(name)}</name><color>{_colour(number)}</color><type>any</type><attributes>"
        "<attribute><name>score</name><mutable>False</mutable><input_type>text</input_type><default_value></default_value>"
        "<values></values></attribute></attributes></label>\n"
        for number, name in enumerate(classes)
        if number
    )
    file.write(
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n<meta><task>'
        f"<name>{_text(f'predictions of the model {model}')}</name><size>{len(photographs)}</size>"
        f"<mode>annotation</mode><overlap>0</overlap><flipped>False</flipped>\n<labels>\n{labels}</labels>\n"
        "</task></meta>\n"
    )
    for photograph in photographs:
        height, width = photograph.size
        name = quoteattr(readable(photograph.name))
        file.write(f'<image id="{photograph.number - 1}" name={name} width="{width}" height="{height}">\n')
        for region in photograph.regions():
            label = quoteattr(readable(photograph.classes[region.number]))
            common = f'label={label} source="auto" occluded="0"'
            score = f'<attribute name="score">{region.score:.4f}</attribute>'
            for tag, shape in _cvat_shapes(region, asked):
                file.write(f'<{tag} {common} {shape} z_order="0">{score}</{tag}>\n')
        file.write("</image>\n")
        tick()
    file.write("</annotations>\n")


def _cvat_shapes(region: Region, asked: Asked) -> Iterator[tuple[str, str]]:
    if asked.shapes == "masks":
        code, (left, top, width, height) = run_lengths.cvat(region.pixels)
        yield "mask", f'rle="{code}" left="{left}" top="{top}" width="{width}" height="{height}"'
        return
    for polygon in polygons(region.pixels):
        yield "polygon", f'points="{";".join(f"{x:.2f},{y:.2f}" for x, y in polygon)}"'


def _beside(name: str, classes: Sequence[str], asked: Asked) -> dict[str, str]:
    """What a project of the tool is set up with, by file name."""
    if name == "label-studio":
        tag = "BrushLabels" if asked.shapes == "masks" else "PolygonLabels"
        labels = "".join(
            f"    <Label value={quoteattr(readable(c))} background={quoteattr(_colour(number))}/>\n"
            for number, c in enumerate(classes)
            if number
        )
        config = f'  <{tag} name="label" toName="image">\n{labels}  </{tag}>\n'
        image = '  <Image name="image" value="$image" zoom="true"/>\n'
        return {"label-studio.xml": f"<View>\n{image}{config}</View>\n"}
    if name == "cvat":
        score = {"name": "score", "mutable": False, "input_type": "text", "default_value": "", "values": [""]}
        labels_of_task = [
            {"name": readable(c), "color": _colour(number), "type": "any", "attributes": [score]}
            for number, c in enumerate(classes)
            if number
        ]
        return {"cvat-labels.json": json.dumps(labels_of_task, indent=1) + "\n"}
    return {}


def _array(file: TextIO, items: Iterable[Mapping[str, Any]]) -> None:
    """A JSON array, an item a line, written as they come."""
    file.write("[")
    for number, item in enumerate(items):
        file.write(f"{',' if number else ''}\n{json.dumps(item)}")
    file.write("\n]")


def readable(name: str) -> str:
    """A name that every reader of UTF-8 and XML takes: bytes and control characters that are no text are �."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join("\N{REPLACEMENT CHARACTER}" if _is_control(c) else c for c in text)


def _is_control(character: str) -> bool:
    return (character < " " and character not in "\t\n\r") or character in "\ufffe\uffff"


def _text(name: str) -> str:
    return escape(readable(name))


def _colour(number: int) -> str:
    red, green, blue = palette()[number].tolist()
    return f"#{red:02x}{green:02x}{blue:02x}"
