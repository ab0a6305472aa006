"""Files for labelling tools: their documented schemas, and back to the masks they were made of."""

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import annotation_schemas as schemas
import jsonschema
import numpy as np
import pytest
from annotations_read import Found, read_coco, read_cvat, read_label_studio
from PIL import Image
from predictions import CLASSES, picture, predict, summary
from refusal import refused
from scipy import ndimage

from apc.data.masks import mask_image
from apc.prediction import annotations
from apc.prediction.annotations import LOCAL_FILES, asked_for, readable, write_annotations
from apc.prediction.output_folder import file_of
from apc.prediction.photographs import Photograph, tool_names

HOSTILE = ["background", '<b>"it\'s" & co</b>', "größe 猫, =1+1;\n\x1b[31m"]
FORMATS = ("coco", "label-studio", "cvat")
NAMES = ["a.png", "sub/a.png", "sub/deep er/b.v2.png", "we ird#?&%+\"'<>.png", "Ünï 猫.png"]


def written(out: Path, masks: dict[str, np.ndarray], classes: list[str], shapes: str = "masks") -> list[Photograph]:
    """Files of every format, of masks by the photographs' names."""
    photographs = [Photograph(out / "in" / name, name, name.removesuffix(".png")) for name in masks]
    rows = []
    for photograph, mask in zip(photographs, masks.values(), strict=True):
        path = file_of(out, "masks", photograph)
        path.parent.mkdir(parents=True, exist_ok=True)
        mask_image(mask).save(path)
        scores = {f"score_{name}": f"0.{number + 1}000" for number, name in enumerate(classes)}
        rows.append({"confidence": "0.9000", **scores})
    write_annotations(asked_for(FORMATS, shapes, annotations.LOCAL_FILES), photographs, rows, classes, "m0d31", out)
    return photographs


def drawn(height: int, width: int, seed: int) -> np.ndarray:
    """A mask of three classes with islands, holes and pixels that stand alone."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.random((height, width)), 1.5)
    mask = np.digitize(smooth, [0.48, 0.52]).astype(np.uint8)
    mask[rng.random((height, width)) < 0.01] = 2
    return mask


MASKS = {name: drawn(37 + i, 50 - i, i) for i, name in enumerate(NAMES)} | {
    "nothing.png": np.zeros((5, 7), np.uint8),
    "dot.png": np.full((1, 1), 2, np.uint8),
    "full.png": np.full((4, 300), 1, np.uint8),
}


def read_all(out: Path, classes: list[str]) -> dict[str, Found]:
    words = [readable(name) for name in classes]
    return {
        "coco": read_coco(out / "coco.json"),
        "label-studio": read_label_studio(out / "label-studio.json", words),
        "cvat": read_cvat(out / "cvat.xml", words),
    }


@pytest.mark.parametrize("classes", [CLASSES, HOSTILE], ids=["plain", "hostile"])
def test_run_length_codes_give_the_masks_back_pixel_for_pixel(tmp_path: Path, classes: list[str]) -> None:
    written(tmp_path, MASKS, classes)
    for name, found in read_all(tmp_path, classes).items():
        assert set(MASKS) - set(found) <= ({"nothing.png"} if name == "label-studio" else set())
        for photograph, mask in found.items():
            np.testing.assert_array_equal(mask, MASKS[photograph], f"{name} {photograph}")


def test_polygons_give_the_masks_back_within_a_pixel(tmp_path: Path) -> None:
    written(tmp_path, MASKS, CLASSES, "polygons")
    near = np.ones((3, 3), bool)
    for name, found in read_all(tmp_path, CLASSES).items():
        if name == "coco":
            continue  # pycocotools rounds corners of its own when it fills
        for photograph, mask in found.items():
            true = MASKS[photograph]
            for number in (1, 2):
                wide = ndimage.binary_dilation(true == number, near)
                assert not ((mask == number) & ~wide).any(), f"{name} {photograph}"
            assert (mask != true).mean() < 0.005, f"{name} {photograph}"
    coco = json.loads((tmp_path / "coco.json").read_text())
    for photograph, mask in read_coco(tmp_path / "coco.json").items():
        assert (mask != MASKS[photograph]).mean() < 0.03, photograph
    areas = {(a["image_id"], a["category_id"]): a["area"] for a in coco["annotations"]}
    assert areas[1, 1] == (MASKS["a.png"] == 1).sum()  # of the mask, whatever the polygon


@pytest.mark.parametrize("shapes", ["masks", "polygons"])
def test_files_are_as_the_tools_document_them(tmp_path: Path, shapes: str) -> None:
    written(tmp_path, MASKS, HOSTILE, shapes)

    def read(name: str) -> Any:
        return json.loads((tmp_path / name).read_text(encoding="utf-8"))

    jsonschema.validate(read("coco.json"), schemas.COCO)
    jsonschema.validate(read("label-studio.json"), schemas.LABEL_STUDIO)
    jsonschema.validate(read("cvat-labels.json"), schemas.CVAT_LABELS)
    root = ET.parse(tmp_path / "cvat.xml").getroot()
    assert root.tag == "annotations" and root.findtext("version") == "1.1"
    labels = [label.findtext("name") for label in root.iter("label")]
    assert labels == [label["name"] for label in read("cvat-labels.json")] == [readable(c) for c in HOSTILE[1:]]
    for image in root.findall("image"):
        for element in image.iter():
            documented = schemas.CVAT[element.tag]
            assert set(element.attrib) == set(documented)
            for name, pattern in documented.items():
                assert re.fullmatch(pattern, element.attrib[name], re.DOTALL), (element.tag, name)
    interface = ET.parse(tmp_path / "label-studio.xml").getroot()
    tag = "BrushLabels" if shapes == "masks" else "PolygonLabels"
    (control,) = interface.findall(tag)
    assert control.attrib == {"name": "label", "toName": "image"}
    assert [label.attrib["background"] for label in control] == ["#800000", "#008000"]
    assert interface.find("Image").attrib["name"] == "image"  # type: ignore[union-attr]


def test_a_region_has_the_score_of_its_class_and_a_photograph_its_own(tmp_path: Path) -> None:
    written(tmp_path, {"a.png": MASKS["a.png"]}, CLASSES)
    coco = json.loads((tmp_path / "coco.json").read_text())
    assert {a["category_id"]: a["score"] for a in coco["annotations"]} == {1: 0.2, 2: 0.3}
    (task,) = json.loads((tmp_path / "label-studio.json").read_text())
    (prediction,) = task["predictions"]
    assert prediction["score"] == 0.9 and [r["score"] for r in prediction["result"]] == [0.2, 0.3]
    assert prediction["model_version"] == "m0d31"
    scores = [a.text for a in ET.parse(tmp_path / "cvat.xml").getroot().findall("image//attribute")]
    assert scores == ["0.2000", "0.3000"]


def test_a_score_that_an_earlier_version_did_not_write_is_the_photographs(tmp_path: Path) -> None:
    (photograph,) = written(tmp_path, {"a.png": MASKS["a.png"]}, CLASSES)
    asked = asked_for(["coco"], "masks", LOCAL_FILES)
    write_annotations(asked, [photograph], [{"confidence": "0.6", "score_red": ""}], CLASSES, "m", tmp_path)
    coco = json.loads((tmp_path / "coco.json").read_text())
    assert [a["score"] for a in coco["annotations"]] == [0.6, 0.6]


def test_photographs_of_one_name_stay_two() -> None:
    one = Photograph(Path("one/a.png"), "a.png", "one/a.png")
    two = Photograph(Path("two/a.png"), "a.png", "two/a.png")
    three = Photograph(Path("x/b.jpg"), "b.jpg", "b")
    four = Photograph(Path("x/two/a.png"), "a.png", "two/a.png (2)")
    assert tool_names([one, two, three]) == ["one/a.png", "two/a.png", "b.jpg"]
    assert [name[-11:] for name in tool_names([two, four])] == [f"{Path.cwd().name}/two/a.png"[-11:], "x/two/a.png"]


def test_photographs_whose_names_differ_in_case_keep_them() -> None:
    names = ["IMG_1.JPG", "IMG_1.jpg", "img_1.jpg"]
    found = [Photograph(Path("x") / name, name, f"{name} ({i})") for i, name in enumerate(names)]
    assert tool_names(found) == names


@pytest.mark.parametrize(
    ("formats", "shapes", "image_url", "told"),
    [
        (["masks"], "polygons", LOCAL_FILES, "shapes is 'polygons'; outlines are of coco, label-studio and cvat"),
        (["coco"], "masks", "http://h/", "image_url is 'http://h/'; it is of label-studio"),
    ],
)
def test_what_no_format_uses_is_refused(formats: list[str], shapes: str, image_url: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        asked_for(formats, shapes, image_url)
    asked_for(["label-studio"], shapes, image_url)


def test_a_name_that_is_no_text_leaves_files_that_every_reader_takes(tmp_path: Path) -> None:
    name = "bad\udcff\x1b\n.png"  # a byte that is no UTF-8, an escape and a line break
    written(tmp_path, {name: MASKS["dot.png"]}, CLASSES)
    assert json.loads((tmp_path / "coco.json").read_bytes())["images"][0]["file_name"] == "bad\ufffd\ufffd\n.png"
    (image,) = ET.parse(tmp_path / "cvat.xml").getroot().findall("image")
    assert image.attrib["name"] == "bad\ufffd\ufffd\n.png"
    (task,) = json.loads((tmp_path / "label-studio.json").read_text())
    assert task["data"]["image"] == "/data/local-files/?d=bad%FF%1B%0A.png"


def test_one_photograph_is_held_at_a_time_and_a_file_is_whole_or_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photographs = written(tmp_path, MASKS, CLASSES)
    before = {name: (tmp_path / name).read_bytes() for name in ("coco.json", "label-studio.json", "cvat.xml")}
    assert {p.name for p in tmp_path.iterdir()} == {*before, "label-studio.xml", "cvat-labels.json", "masks"}
    read: list[Path] = []
    real: Callable[..., np.ndarray] = annotations.read_mask

    def breaks(path: Path, *more: Any) -> np.ndarray:
        read.append(path)
        if len(read) == 4:
            raise KeyboardInterrupt
        return real(path, *more)

    monkeypatch.setattr(annotations, "read_mask", breaks)
    rows = [{"confidence": "0.5"}] * len(photographs)
    for name in FORMATS:
        read.clear()
        with pytest.raises(KeyboardInterrupt):
            write_annotations(asked_for([name], "masks", LOCAL_FILES), photographs, rows, CLASSES, "m", tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    assert {p.name for p in tmp_path.iterdir()} == {*before, "label-studio.xml", "cvat-labels.json", "masks"}


def test_the_command_writes_them_beside_the_masks_and_goes_on(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    picture(40, 60).save(tmp_path / "in" / "sub" / "a.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(40, 64).rotate(90, expand=True).save(tmp_path / "in" / "turned.png", exif=exif)
    out, words = tmp_path / "out", (tmp_path / "in", "--only", "masks")
    assert predict(model, out, *words) == 0 and not (out / "coco.json").exists()
    capsys.readouterr()
    assert predict(model, out, *words, "--format", "masks,coco,label-studio,cvat", "--image-url", "http://h/") == 0
    assert "coco.json" in capsys.readouterr().out
    with Image.open(out / "masks" / "turned.png") as image:
        turned = np.asarray(image)
    assert turned.shape == (40, 64)  # as it is seen
    found = {
        "coco": read_coco(out / "coco.json"),
        "label-studio": read_label_studio(out / "label-studio.json", CLASSES, "http://h/"),
        "cvat": read_cvat(out / "cvat.xml", CLASSES),
    }
    for masks in found.values():
        assert set(masks) == {"sub/a.png", "turned.png"} and (masks["turned.png"] == turned).all()
    scores = {row["image"][-8:]: row["score_red"] for row in summary(out)}
    coco = json.loads((out / "coco.json").read_text())
    reds = [a for a in coco["annotations"] if (a["image_id"], a["category_id"]) == (2, 1)]
    assert [f"{a['score']:.4f}" for a in reds] == [scores["rned.png"]] * len(reds)
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    assert predict(model, out, *words, "--format", "coco", "label-studio", "cvat", "--image-url", "http://h/") == 0
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before


def test_masks_may_have_as_many_pixels_as_photographs(tmp_path: Path) -> None:
    (photograph,) = written(tmp_path, {"a.png": MASKS["a.png"]}, CLASSES)
    given = (asked_for(["coco"], "masks", LOCAL_FILES), [photograph], [{"confidence": "0.6"}], CLASSES, "m", tmp_path)
    with pytest.raises(ValueError, match="megapixels"):
        write_annotations(*given, max_pixels=MASKS["a.png"].size - 1)
    assert write_annotations(*given, max_pixels=MASKS["a.png"].size) == [tmp_path / "coco.json"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--format", "coko"), "--format is 'coko'; choose from masks, coco, label-studio, cvat (did you mean coco?)"),
        (("--shapes", "points"), "--shapes is 'points'; choose from masks, polygons"),
        (("--tile", "many"), "--tile is 'many'; it must be a whole number"),
        (("--tile", "32", "--overlap", "4"), "tile is 32; it must be at least 48"),
        (("--tile", "100"), "tile is 100; it must be more than twice the overlap, which is 64"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    model: Path,
    photographs: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    told: str,
) -> None:
    out = tmp_path / "out"
    refused(["predict", str(model), str(photographs), "--out", str(out), *words], capsys, told)
    assert not out.exists()


def test_a_folder_never_mixes_tiles_and_none(
    model: Path, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["predict", str(model), str(photographs), "--out", str(tmp_path / "out"), "--only", "masks"]
    assert predict(model, tmp_path / "out", photographs, "--only", "masks", "--tile", "48", "--overlap", "8") == 0
    capsys.readouterr()
    refused(words, capsys, "tile 48, not None", "another --out")


def test_pixels_that_hands_have_marked_as_ignored_are_of_no_region(tmp_path: Path) -> None:
    mask = np.array([[0, 1, 255], [2, 1, 255]], np.uint8)
    written(tmp_path, {"a.png": mask}, CLASSES)
    for name, found in read_all(tmp_path, CLASSES).items():
        np.testing.assert_array_equal(found["a.png"], np.where(mask == 255, 0, mask), name)
