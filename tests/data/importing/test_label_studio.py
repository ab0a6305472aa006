"""Label Studio's exports, large ones too: how they are told, and which of their columns are answers."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import exports
import numpy as np
import pytest
from refusal import refused

from apc.cli.main import main
from apc.data.importing import coco, label_studio
from apc.data.importing.formats import detected
from apc.data.importing.source import Source
from apc.data.importing.wishes import Wishes

PADDING = "0" * 70_000
"""More than a look at the first or last bytes of a file would see."""


def test_coco_of_label_studio_is_told_by_keys_in_the_middle_of_the_file(tmp_path: Path) -> None:
    content = exports.coco_of(exports.SHOWN)
    before = {"note": PADDING, "images": content["images"], "categories": content["categories"]}
    behind = {"annotations": content["annotations"], "info": {"note": PADDING}}
    exports.photographs(tmp_path)
    exports.write(tmp_path / "result.json", before | behind)
    assert detected(Source(tmp_path), Wishes()) == "coco"
    assert len(coco.read(Source(tmp_path), Wishes()).photos) == 4


def brushed(shape: tuple[int, int]) -> dict[str, Any]:
    """A brush's answer, whose code is longer than csv takes by itself."""
    alpha = np.zeros(shape, np.uint8)
    alpha[:, ::2] = 255
    answer = {"format": "rle", "rle": exports.brush(alpha), "brushlabels": ["red"]}
    return answer | {"original_width": shape[1], "original_height": shape[0]}


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_a_long_brush_of_json_min_and_csv_is_read(kind: str, tmp_path: Path) -> None:
    exports.photograph(tmp_path / "a.jpg")
    answers = [brushed((150, 200))]
    if kind == "json":
        exports.write(tmp_path / "p.json", [{"image": "a.jpg", "brush": answers, "annotation_id": 5, "lead_time": 2.5}])
    else:
        text = io.StringIO()
        rows = [["image", "brush", "annotation_id", "lead_time"], ["a.jpg", json.dumps(answers), 5, 2.5]]
        csv.writer(text).writerows(rows)
        exports.write(tmp_path / "p.csv", text.getvalue())
    before = csv.field_size_limit()
    assert detected(Source(tmp_path), Wishes()) == "label-studio"
    [photo] = label_studio.read(Source(tmp_path), Wishes()).photos
    assert photo.mask and np.bincount(photo.mask().ravel()).tolist() == [15_000, 15_000]
    assert csv.field_size_limit() == before


def patients(root: Path, kind: str) -> Path:
    """Choices beside a column of the data that was imported."""
    exports.photographs(root)
    rows = [("a", "P1", "red"), ("b", "P1", "blue"), ("c", "P2", "red"), ("d", "P2", "")]
    if kind == "csv":
        lines = [f"{name}.jpg,{patient},{choice},1,2.5" for name, patient, choice in rows]
        exports.write(root / "p.csv", "\n".join(["image,patient,choice,annotation_id,lead_time", *lines]))
    else:
        common = {"annotation_id": 1, "lead_time": 2.5}
        tasks = [{"image": f"{n}.jpg", "patient": p, "choice": c} | common for n, p, c in rows]
        exports.write(root / "p.json", tasks)
    return root


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_controls_that_are_named_alone_are_answers(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = patients(tmp_path / "source", kind), tmp_path / "out"
    words = ["data", "import", str(source), "--out", str(out), "--labels"]
    refused([*words, "chioce"], capsys, "labels is 'chioce'; choose from choice, patient (did you mean choice?)")
    assert main([*words, "choice"]) == 0, capsys.readouterr().err
    assert (out / "classes.txt").read_text() == "blue\nred\n"
    assert "labels are from choice\n" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_it_is_told_which_columns_are_taken_for_answers(kind: str, tmp_path: Path) -> None:
    source = Source(patients(tmp_path, kind))
    told = "labels are from choice and patient; --labels names those that are meant"
    found = label_studio.read(source, Wishes())
    assert found.classes == ["P1", "P2", "blue", "red"] and told in found.notes
    assert label_studio.read(source, Wishes(labels="choice,patient")).classes == found.classes


def test_controls_of_a_whole_export_can_be_named(tmp_path: Path) -> None:
    exports.photographs(tmp_path)
    choices = [
        {"from_name": c, "type": "choices", "value": {"choices": [v]}} for c, v in (("sky", "grey"), ("pet", "cat"))
    ]
    exports.write(tmp_path / "p.json", [exports.label_studio_task("a", choices)])
    assert label_studio.read(Source(tmp_path), Wishes(labels="pet")).classes == ["cat"]
