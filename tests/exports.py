"""Exports of labelling tools, drawn: the same four photographs as each tool writes them.

`a` shows red, `b` blue, `c` both and `d` nothing. Red covers x 2..11 and y 4..13 of 32x24 pixels, blue x 18..27.
"""

import base64
import csv
import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SHOWN = {"a": ["red"], "b": ["blue"], "c": ["blue", "red"], "d": []}
LEFT = {"red": 2, "blue": 18}
COLOURS = {"red": (48, 112, 32), "blue": (176, 112, 32)}
SIZE = (24, 32)


def mask(names: Iterable[str], numbers: dict[str, int]) -> np.ndarray:
    out = np.zeros(SIZE, np.uint8)
    for name in names:
        out[4:14, LEFT[name] : LEFT[name] + 10] = numbers[name]
    return out


def photograph(path: Path, exif: int = 1) -> Path:
    """A grey photograph by the last letter of its stem, whose colours tell nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(ord(path.stem[-1])).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    image.getexif()[0x0112] = exif
    image.save(path, exif=image.getexif())
    return path


def photographs(folder: Path, suffix: str = ".jpg") -> None:
    for name in SHOWN:
        photograph(folder / f"{name}{suffix}")


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def write(path: Path, text: str | bytes | list[Any] | dict[str, Any], encoding: str = "utf-8") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not isinstance(text, str | bytes):
        text = json.dumps(text)
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))


def corners(name: str, beyond: int = 0) -> list[list[float]]:
    """A class's corners: on its outermost pixels, or with `beyond` 1 around them as COCO draws."""
    x = LEFT[name]
    return [[x, 4], [x + 9 + beyond, 4], [x + 9 + beyond, 13 + beyond], [x, 13 + beyond]]


def cvat(root: Path) -> None:
    photographs(root / "JPEGImages")
    for name, shown in SHOWN.items():
        rgb = np.zeros((*SIZE, 3), np.uint8)
        for label in shown:
            rgb[mask([label], {label: 1}) > 0] = COLOURS[label]
        save(root / "SegmentationClass" / f"{name}.png", rgb)
        save(root / "SegmentationObject" / f"{name}.png", rgb)
    write(root / "ImageSets/Segmentation/default.txt", "a\nb\nc\nd\n")
    lines = ["# label:color_rgb:parts:actions", "background:0,0,0::", "blue:176,112,32::", "red:48,112,32::"]
    write(root / "labelmap.txt", "\n".join(lines) + "\n")


def cvat_xml(root: Path) -> None:
    """Polygons, and in `c` masks as runs: 10 rows of 10 pixels each, begun by none outside."""
    photographs(root / "images")
    images = []
    for name, shown in SHOWN.items():
        shapes = [
            f'<mask label="{label}" rle="0, 100" left="{LEFT[label]}" top="4" width="10" height="10"/>'
            if name == "c"
            else f'<polygon label="{label}" points="{";".join(f"{x:.2f},{y:.2f}" for x, y in corners(label, 1))}"/>'
            for label in shown
        ]
        images.append(f'<image id="1" name="{name}.jpg" width="32" height="24">{"".join(shapes)}</image>')
    labels = "".join(f"<label><name>{label}</name></label>" for label in ("blue", "red"))
    head = f"<version>1.1</version><meta><task><labels>{labels}</labels></task></meta>"
    write(root / "annotations.xml", f'<?xml version="1.0"?>\n<annotations>\n{head}{"".join(images)}</annotations>')


def voc(root: Path) -> None:
    voc_boxes(root)
    write(root / "VOC2012/class_names.txt", "_background_\nblue\nred\n")
    for name, shown in SHOWN.items():
        save(root / "VOC2012/SegmentationClass" / f"{name}.png", mask(shown, {"blue": 1, "red": 2}))


def voc_boxes(root: Path) -> None:
    photographs(root / "VOC2012/JPEGImages")
    for name, shown in SHOWN.items():
        objects = "".join(
            f"<object><name>{label}</name><part><name>head</name></part><bndbox/></object>" for label in shown
        )
        write(
            root / "VOC2012/Annotations" / f"{name}.xml", f'<?xml version="1.0"?>\n<annotation>{objects}</annotation>'
        )


def coco(root: Path) -> None:
    photographs(root / "photos")
    write(root / "labels/my labels.json", coco_of(SHOWN))


def roboflow_coco(root: Path) -> None:
    for folder, names in (("train", "acd"), ("valid", "b")):
        for name in names:
            photograph(root / folder / f"{name}.jpg")
        write(root / folder / "_annotations.coco.json", coco_of({name: SHOWN[name] for name in names}))


def coco_of(shown: dict[str, list[str]]) -> dict[str, Any]:
    numbers = {"blue": 3, "red": 7}
    annotations = [
        {
            "id": f"{name}{label}",
            "image_id": ord(name),
            "category_id": numbers[label],
            "segmentation": [[part for corner in corners(label, beyond=1) for part in corner]],
        }
        for name, labels in shown.items()
        for label in labels
    ]
    parent = {"id": 0, "name": "colours", "supercategory": "none"}
    categories = [{"id": number, "name": name, "supercategory": "colours"} for name, number in numbers.items()]
    images = [{"id": ord(name), "file_name": f"{name}.jpg", "height": 24.0, "width": 32} for name in shown]
    return {"images": images, "annotations": annotations, "categories": [parent, *categories]}


def labelme(root: Path, image: Callable[[str], dict[str, Any]] | None = None) -> None:
    """Polygons, in folders apart: photographs named with the back slashes of Windows."""
    if image is None:
        photographs(root / "photos")
    for name, shown in SHOWN.items():
        shapes = [{"label": label, "points": corners(label), "shape_type": "polygon"} for label in shown]
        if name == "d":
            shapes = [{"label": "__ignore__", "points": [[0, 0], [0, 0]], "shape_type": "line"}]
        named = image(name) if image else {"imagePath": f"..\\photos\\{name}.jpg", "imageData": None}
        content = {"version": "5.5.0", "flags": {}, "shapes": shapes, **named, "imageHeight": 24, "imageWidth": 32}
        write(root / "json" / f"{name}.json", content)


def labelme_embedded(root: Path) -> None:
    def image(name: str) -> dict[str, Any]:
        data = photograph(root.parent / "elsewhere" / f"{name}.jpg").read_bytes()
        return {"imagePath": f"{name}.jpg", "imageData": base64.b64encode(data).decode()}

    labelme(root, image)


def labelme_bitmaps(root: Path) -> None:
    labelme(root)
    for name in "abc":
        path = root / "json" / f"{name}.json"
        content = json.loads(path.read_text())
        for shape in content["shapes"]:
            png = io.BytesIO()
            Image.fromarray(np.full((10, 10), 255, np.uint8)).save(png, format="PNG")
            (x, y), _, (right, bottom), _ = shape["points"]
            shape |= {"shape_type": "mask", "points": [[x, y], [right, bottom]]}
            shape["mask"] = base64.b64encode(png.getvalue()).decode()
        write(path, content)


def labelme_flags(root: Path) -> None:
    photographs(root)
    for name, shown in SHOWN.items():
        flags = {label: label in shown for label in ("red", "blue")}
        write(root / f"{name}.json", {"flags": flags, "shapes": [], "imagePath": f"{name}.jpg", "imageData": None})


def percent(label: str) -> list[list[float]]:
    return [[x / 32 * 100, y / 24 * 100] for x, y in corners(label, beyond=1)]


def label_studio_task(name: str, results: list[dict[str, Any]]) -> dict[str, Any]:
    skipped = {"was_cancelled": True, "result": [{"type": "choices", "value": {"choices": ["wrong"]}}]}
    image = f"/data/upload/1/0a1b2c3d-{name}.jpg"
    return {"id": ord(name), "data": {"image": image}, "annotations": [{"result": results}, skipped]}


def label_studio(root: Path) -> None:
    def result(label: str) -> dict[str, Any]:
        value = {"points": percent(label), "polygonlabels": [label]}
        return {"type": "polygonlabels", "value": value, "original_width": 32, "original_height": 24}

    photographs(root / "media")
    write(root / "project.json", [label_studio_task(n, [result(label) for label in s]) for n, s in SHOWN.items()])


def label_studio_brush(root: Path) -> None:
    def result(label: str) -> dict[str, Any]:
        value = {"format": "rle", "rle": brush(mask([label], {label: 255})), "brushlabels": [label]}
        return {"type": "brushlabels", "value": value, "original_width": 32, "original_height": 24}

    photographs(root / "media")
    write(root / "project.json", [label_studio_task(n, [result(label) for label in s]) for n, s in SHOWN.items()])


def brush(alpha: np.ndarray) -> list[int]:
    """Label Studio's code of a brush: one run for each pixel's four equal bytes, and the last pixel byte by byte."""
    bits = f"{alpha.size * 4:032b}" + f"{7:05b}" + "".join(f"{size - 1:04b}" for size in (3, 4, 8, 16))
    *most, last = alpha.ravel().tolist()
    bits += "".join("1" + "00" + f"{3:03b}" + f"{value:08b}" for value in most)
    bits += "0" + "01" + f"{3:04b}" + f"{last:08b}" * 4
    bits += "0" * (-len(bits) % 8)
    return [int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)]


def label_studio_min(root: Path) -> None:
    photographs(root / "media")

    def task(name: str, shown: list[str]) -> dict[str, Any]:
        answers = [
            {"points": percent(label), "polygonlabels": [label], "original_width": 32, "original_height": 24}
            for label in shown
        ]
        said = {"label": answers, "annotator": 1, "annotation_id": 5, "lead_time": 2.5}
        return {"image": f"/data/local-files/?d=media/{name}.jpg", "id": ord(name), **said}

    write(root / "project-min.json", [task(name, shown) for name, shown in SHOWN.items()])


def label_studio_csv(root: Path) -> None:
    photographs(root / "media")
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["image", "id", "choice", "annotator", "annotation_id", "created_at", "updated_at", "lead_time"])
    cells = {"a": "red", "b": "blue", "c": '{"choices":["red","blue"]}', "d": ""}
    for name, cell in cells.items():
        writer.writerow([f"/data/upload/1/0a1b2c3d-{name}.jpg", 1, cell, 1, 2, "2026-01-01", "2026-01-01", 3.5])
    write(root / "project.csv", text.getvalue())


def folders(root: Path) -> None:
    for name, folder in (("a", "red"), ("c", "red"), ("b", "blue"), ("c", "blue"), ("d", "background")):
        photograph(root / folder / f"{name}.jpg")


def folders_in_splits(root: Path) -> None:
    for name, folder in (("a", "red"), ("c", "red"), ("c", "blue"), ("d", "background")):
        photograph(root / "train" / folder / f"{name}.jpg")
    photograph(root / "valid" / "blue" / "b.jpg")


def masks(root: Path) -> None:
    photographs(root / "images")
    write(root / "classes.txt", "red\nblue\n")
    for name, shown in SHOWN.items():
        save(root / "masks" / f"{name}.png", mask(shown, {"red": 1, "blue": 2}))


def roboflow_masks(root: Path) -> None:
    for folder, names in (("train", "acd"), ("valid", "b")):
        for name in names:
            photograph(root / folder / f"{name}.jpg")
            save(root / folder / f"{name}_mask.png", mask(SHOWN[name], {"red": 4, "blue": 2}))
        write(root / folder / "_classes.csv", "Pixel Value, Class\n0, background\n2, blue\n4, red\n")


def table(lines: str, encoding: str = "utf-8", name: str = "labels.csv") -> Callable[[Path], None]:
    def make(root: Path) -> None:
        photographs(root / "photos")
        write(root / name, lines, encoding)

    return make


def roboflow_table(root: Path) -> None:
    for folder, names in (("train", "acd"), ("valid", "b")):
        lines = ["filename, blue, red, Unlabeled"]
        for name in names:
            photograph(root / folder / f"{name}.jpg")
            cells = [int("blue" in SHOWN[name]), int("red" in SHOWN[name]), int(not SHOWN[name])]
            lines.append(", ".join([f"{name}.jpg", *map(str, cells)]))
        write(root / folder / "_classes.csv", "\n".join(lines))


OUTLINED: dict[str, tuple[str, Callable[[Path], None]]] = {
    "masks and labelmap.txt": ("cvat", cvat),
    "CVAT for images": ("cvat-xml", cvat_xml),
    "VOC with class_names.txt": ("voc", voc),
    "COCO in folders of one's own": ("coco", coco),
    "COCO of Roboflow": ("coco", roboflow_coco),
    "labelme": ("labelme", labelme),
    "labelme, photographs inside": ("labelme", labelme_embedded),
    "labelme, bitmaps": ("labelme", labelme_bitmaps),
    "Label Studio, polygons": ("label-studio", label_studio),
    "Label Studio, brushes": ("label-studio", label_studio_brush),
    "Label Studio, JSON-MIN": ("label-studio", label_studio_min),
    "masks and classes.txt": ("masks", masks),
    "masks of Roboflow": ("masks", roboflow_masks),
}
"""Exports of which every photograph gets a mask."""

LABELLED: dict[str, tuple[str, Callable[[Path], None]]] = {
    "VOC, boxes": ("voc", voc_boxes),
    "labelme, flags": ("labelme", labelme_flags),
    "Label Studio, CSV": ("label-studio", label_studio_csv),
    "a folder a class": ("folders", folders),
    "a folder a class in splits": ("folders", folders_in_splits),
    "one column a class, of Roboflow": ("csv", roboflow_table),
    "one column a class, of Kaggle": ("csv", table("image_id,blue,red\na,0,1\nb,1,0\nc,1,1\nd,0,0\n")),
    "bars": ("csv", table("image,labels\na.jpg,red\nb.jpg,blue\nc.jpg,red|blue\nd.jpg,\n")),
    "commas in a cell": ("csv", table('image,labels\na.jpg,red\nb.jpg,blue\nc.jpg,"red, blue"\nd.jpg,none\n')),
    "blanks": ("csv", table("filename,tags\na.jpg,red\nb.jpg,blue\nc.jpg,red blue\nd.jpg,background\n")),
    "semicolons": ("csv", table("Dateiname;Klasse\na.jpg;red\nb.jpg;blue\nc.jpg;red,blue\nd.jpg;\n")),
    "semicolons of Excel": (
        "csv",
        table("sep=;\r\nFile Name;Class\r\na.jpg;red\r\nb.jpg;blue\r\nc.jpg;red|blue\r\nd.jpg;\r\n"),
    ),
    "tabs in UTF-16": ("csv", table("image\tlabels\na.jpg\tred\nb.jpg\tblue\nc.jpg\tred|blue\nd.jpg\t\n", "utf-16")),
    "a byte-order mark": ("csv", table("image,labels\na.jpg,red\nb.jpg,blue\nc.jpg,red|blue\nd.jpg,\n", "utf-8-sig")),
    "other columns": (
        "csv",
        table("nr,photo,who,label\n1,a.jpg,x,red\n2,b.jpg,y,blue\n3,c.jpg,x,red|blue\n4,d.jpg,y,\n"),
    ),
    "a line an object": (
        "csv",
        table("filename,width,class,xmin\na.jpg,9,red,1\nb.jpg,9,blue,2\nc.jpg,9,red,3\nc.jpg,9,blue,4\nd.jpg,9,,\n"),
    ),
    "lists in cells": (
        "csv",
        table("image;labels\na.jpg;['red']\nb.jpg;[\"blue\"]\nc.jpg;['red', 'blue']\nd.jpg;[]\n"),
    ),
    "no headings": ("csv", table("a.jpg,red\nb.jpg,blue\nc.jpg,red|blue\nd.jpg,\n")),
    "paths of another machine": (
        "csv",
        table("path,label\nC:\\me\\a.jpg,red\n/home/me/b.jpg,blue\n./photos/c.jpg,red|blue\nD.JPG,\n"),
    ),
}
"""Exports that say what photographs show, and not where."""
