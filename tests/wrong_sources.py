"""Exports and tables spoilt in one place each: what makes them, what spoils them, and what is said of it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import exports
import numpy as np


def edit(name: str, *changes: tuple[str, str]) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        text = (root / name).read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (root / name).write_text(text)

    return change


def write(name: str, text: str | bytes) -> Callable[[Path], None]:
    return lambda root: exports.write(root / name, text)


def remove(name: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        shutil.rmtree(root / name) if (root / name).is_dir() else (root / name).unlink()

    return change


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbb">]><annotation><object><name>&b;</name></object></annotation>'
)
COCO, LABELS = "labels/my labels.json", "labels.csv"
TABLE = exports.table("image,label\na.jpg,red\nb.jpg,blue\n")

WRONG: dict[str, tuple[Callable[[Path], None], Callable[[Path], None], list[str]]] = {
    "a colour without a name": (
        exports.cvat,
        edit("labelmap.txt", ("red:48,112,32", "red:48,112,33")),
        ["a.png", "the colour 48,112,32 in 100 pixels", "labelmap.txt does not name"],
    ),
    "a colour of two labels": (
        exports.cvat,
        edit("labelmap.txt", ("red:48,112,32", "red:176,112,32")),
        ["labelmap.txt, line 4", "176,112,32 is that of two labels"],
    ),
    "a labelmap of something else": (
        exports.cvat,
        write("labelmap.txt", "red\n"),
        ["labelmap.txt, line 1", "name:red,green"],
    ),
    "a mask of another size": (
        exports.masks,
        lambda root: exports.save(root / "masks/b.png", np.ones((9, 9), np.uint8)),
        ["images/b.jpg", "its mask is 9x9, the photograph 32x24"],
    ),
    "a mask that is cut": (
        exports.masks,
        lambda root: (root / "masks/b.png").write_bytes((root / "masks/b.png").read_bytes()[:60]) and None,
        ["masks/b.png", "cannot be decoded"],
    ),
    "a photograph that is cut": (
        exports.masks,
        lambda root: (root / "images/b.jpg").write_bytes((root / "images/b.jpg").read_bytes()[:400]) and None,
        ["images/b.jpg", "cannot be decoded"],
    ),
    "a mask without its photograph": (
        exports.masks,
        remove("images/b.jpg"),
        ["masks/b.png", "no photograph", "--images"],
    ),
    "two masks of one photograph": (
        exports.masks,
        lambda root: exports.save(root / "labels/b.png", np.ones(exports.SIZE, np.uint8)),
        ["b.png", "second mask"],
    ),
    "two photographs of one mask": (
        exports.masks,
        lambda root: exports.photograph(root / "images/b.png") and None,
        ["images/b.jpg", "images/b.png", "would share the mask", "rename one of them"],
    ),
    "two photographs of one XML file": (
        exports.voc_boxes,
        lambda root: exports.photograph(root / "VOC2012/JPEGImages/b.png") and None,
        ["JPEGImages/b.jpg", "JPEGImages/b.png", "would share", "Annotations/b.xml"],
    ),
    "masks in colours without a name": (
        exports.cvat,
        remove("labelmap.txt"),
        ["masks are in colours", "labelmap.txt with lines such as NAME:48,112,32::"],
    ),
    "no photographs": (exports.cvat, remove("JPEGImages"), ["there is no photograph", "--images"]),
    "XML that is cut": (
        exports.voc_boxes,
        write("VOC2012/Annotations/a.xml", "<annotation><object>"),
        ["a.xml", "no XML"],
    ),
    "XML with entities": (
        exports.voc_boxes,
        write("VOC2012/Annotations/a.xml", BOMB.replace("<!DOC", "<!--<annotation>--><!DOC")),
        ["a.xml", "document type", "remove its line"],
    ),
    "an object without a name": (
        exports.voc_boxes,
        write("VOC2012/Annotations/a.xml", "<annotation><object/></annotation>"),
        ["a.xml", "object 1 has no name"],
    ),
    "an object that no list of classes has": (
        exports.voc,
        write("VOC2012/class_names.txt", "_background_\nred\n"),
        ["b.xml", "'blue' is none of red"],
    ),
    "CVAT's video": (
        exports.cvat_xml,
        write("annotations.xml", "<annotations><track/></annotations>"),
        ["annotations.xml: holds tracks of a video"],
    ),
    "runs that cover too little": (
        exports.cvat_xml,
        edit("annotations.xml", ('rle="0, 100"', 'rle="0, 99"')),
        ["annotations.xml: image 'c.jpg' cannot be painted: its runs cover 99 pixels, not 10x10"],
    ),
    "COCO that is cut": (
        exports.coco,
        edit(COCO, ('"supercategory": "colours"}]}', "")),
        ["my labels.json", "no JSON"],
    ),
    "COCO with an unknown category": (
        exports.coco,
        edit(COCO, ('"category_id": 7', '"category_id": "7"')),
        ["my labels.json: annotation ared has the category_id '7' as str, there is one as int"],
    ),
    "COCO with an unknown image": (
        exports.coco,
        edit(COCO, ('"image_id": 97', '"image_id": 5')),
        ["annotation ared", "image_id 5"],
    ),
    "COCO with one id twice": (
        exports.coco,
        edit(COCO, ('{"id": 98,', '{"id": 97,')),
        ["the image id 97 is there twice"],
    ),
    "COCO of photographs that are elsewhere": (
        exports.coco,
        remove("photos/b.jpg"),
        ["my labels.json", "no photograph 'b.jpg'"],
    ),
    "COCO of photographs outside": (
        exports.coco,
        edit(COCO, ('"b.jpg"', '"../../outside/q.jpg"')),
        ["my labels.json", "no photograph '../../outside/q.jpg'"],
    ),
    "COCO whose sides are no numbers": (
        exports.coco,
        edit(COCO, ('"width": 32', '"width": "wide"')),
        ["image 97 is 'wide' by 24.0"],
    ),
    "JSON that is nested": (
        exports.coco,
        write(COCO, '{"images": ' + "[" * 100_000 + '"categories"'),
        ["my labels.json"],
    ),
    "a polygon of two corners": (
        exports.labelme,
        edit("json/a.json", ("[[2, 4], [11, 4], [11, 13], [2, 13]]", "[[2, 4], [11, 4]]")),
        ["a.json: shape 1 ('red')", "2 corners; a polygon needs 3"],
    ),
    "a corner that is not finite": (
        exports.labelme,
        edit("json/a.json", ("[[2, 4]", "[[NaN, 4]")),
        ["a.json: shape 1 ('red')", "a corner is not finite"],
    ),
    "a shape without a label": (
        exports.labelme,
        edit("json/a.json", ('"label": "red"', '"label": null')),
        ["a.json: shape 1 has no label"],
    ),
    "an embedded photograph that is none": (
        exports.labelme_embedded,
        lambda root: exports.write(
            root / "json/a.json", json.loads((root / "json/a.json").read_text()) | {"imageData": "aGVsbG8="}
        ),
        ["a.json", "imageData) cannot be read"],
    ),
    "a brush that ends too soon": (
        exports.label_studio_brush,
        edit("project.json", ('"rle": [0, 0, 12, 0', '"rle": [0, 0, 12, 1')),
        ["project.json, task 97: outline 1", "3073 bytes, not 4 for each pixel of 32x24"],
    ),
    "a table without photographs": (
        TABLE,
        write(LABELS, "name;mark\nAda;1.5\nBob;2.5\n"),
        ["of no format that is known"],
    ),
    "a table that is cut": (
        TABLE,
        write(LABELS, 'image,label\na.jpg,"red\n'),
        ["labels.csv, line 2", "a quote is opened and not closed"],
    ),
    "a photograph in two lists": (
        TABLE,
        write(LABELS, "image,label,split\na.jpg,red,train\na.jpg,red,val\n"),
        ["labels.csv, line 3: photograph 'a.jpg' is for train and val"],
    ),
    "a line of a photograph that is not there": (
        TABLE,
        edit(LABELS, ("b.jpg", "q.jpg")),
        ["labels.csv, line 3", "'q.jpg'"],
    ),
    "a column of 0 and 1 that no class names": (
        TABLE,
        write(LABELS, "image,label\na.jpg,0\nb.jpg,1\n"),
        ["of no format"],
    ),
    "a table of nothing but commas": (TABLE, write(LABELS, ",,,\n,,\n"), ["of no format that is known"]),
    "a table with a heading twice": (
        TABLE,
        write(LABELS, "image,label,label\na.jpg,red,blue\n"),
        ["labels.csv: two columns have the heading 'label'"],
    ),
    "a table of three columns without headings": (
        TABLE,
        write(LABELS, "a.jpg,red,blue\nb.jpg,blue,\n"),
        ["labels.csv: has 3 columns and no headings"],
    ),
    "more classes than a mask can hold": (
        TABLE,
        write(LABELS, "image,label\n" + "".join(f"a.jpg,c{n}\n" for n in range(255))),
        ["names 255 classes; 254 are the most"],
    ),
    "labels of which none is any": (
        exports.coco,
        lambda root: exports.write(root / COCO, json.loads((root / COCO).read_text()) | {"annotations": []}),
        ["none of 4 photographs shows any of"],
    ),
    "COCO of a photograph that would be huge": (
        exports.coco,
        edit(COCO, ('"height": 24.0, "width": 32', '"height": 10000000, "width": 10000000')),
        ["my labels.json: image ", " is 10000000x10000000, the photograph 32x24"],
    ),
    "COCO whose id is a list": (
        exports.coco,
        edit(COCO, ('{"id": 97,', '{"id": [97],')),
        ["my labels.json: images, number 0: has the id [97]; it is a number"],
    ),
    "CVAT of a photograph that would be huge": (
        exports.cvat_xml,
        edit("annotations.xml", ('width="32" height="24"', 'width="10000000" height="10000000"')),
        ["annotations.xml: image ", "it is of an image of 10000000x10000000"],
    ),
    "a bitmap far outside": (
        exports.cvat_xml,
        edit("annotations.xml", (' left="', ' left="9999999999')),
        ["annotations.xml: image 'c.jpg' cannot be painted: its bitmap lies far outside"],
    ),
    "a photograph without end": (
        exports.labelme,
        edit("json/a.json", ('"imageHeight": 24', '"imageHeight": Infinity')),
        ["a.json: has no imageHeight"],
    ),
    "a side without end": (
        exports.label_studio,
        edit("project.json", ('"original_width": 32', '"original_width": Infinity')),
        ["project.json, task ", "is not as Label Studio exports it (cannot convert float infinity"],
    ),
    "a corner far outside": (
        exports.label_studio,
        lambda root: exports.write(
            root / "project.json",
            [
                exports.label_studio_task(
                    "a",
                    [
                        {
                            "original_width": 32,
                            "original_height": 24,
                            "value": {"points": [[9e5, 1], [1, 9e5], [2, 2]], "polygonlabels": ["red"]},
                        }
                    ],
                )
            ],
        ),
        ["project.json, task ", "a corner of it lies far outside of its image of 32x24"],
    ),
    "Label Studio's table that is cut": (
        exports.label_studio_csv,
        lambda root: exports.write(next(root.glob("*.csv")), 'image,choice,annotation_id,lead_time\na.jpg,"red\n'),
        ["csv, line ", "is not as Label Studio exports it"],
    ),
    "a value of two classes": (
        exports.roboflow_masks,
        write("train/_classes.csv", "Pixel Value,Class\n1,red\n1,blue\n"),
        ["_classes.csv, line 3: the pixel value 1 has a class already"],
    ),
    "two tables that differ": (
        exports.roboflow_masks,
        write("valid/_classes.csv", "Pixel Value,Class\n0,background\n4,blue\n2,red\n"),
        ["valid/_classes.csv: says other than", "train/_classes.csv what masks mean"],
    ),
    "nothing": (exports.photographs, lambda root: None, ["of no format that is known; name one of coco, labelme"]),
}
