"""COCO 2014: contiguous classes, what is painted over what, crowds, and the three sets of images in use."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from trees import make_coco

from apc import data
from apc.config import Config, coco
from apc.data import coco as coco_data
from apc.data import prepared


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = make_coco(tmp_path)
    coco_data.prepare(made, partial=True)
    return made


@pytest.fixture
def cfg(root: Path) -> Config:
    return replace(coco(), root=str(root), image_size=48, eval_size=0)


def test_classes_are_contiguous_in_the_order_of_cocos_ids(cfg: Config) -> None:
    assert data.load(cfg, "val").classes == ["background", "person", "traffic_light"]  # ids 1 and 17


def test_small_objects_lie_on_large_ones_and_crowds_are_ignored_where_nobody_is_outlined(cfg: Config) -> None:
    val = data.load(cfg, "val")
    first, second = val.mask(0), val.mask(1)
    assert first is not None and second is not None
    assert first.shape == (300, 320) and first[70, 70] == 2 and first[50, 50] == 1 and first[20, 20] == 0
    assert (first == 2).sum() == 400 and (first == 1).sum() == 6400 - 400
    assert second[15, 15] == 1 and second[100, 5] == 255 and second[100, 40] == 0
    assert (second == 255).sum() == 260 * 30 - 144


def test_a_crowd_still_is_an_image_label(root: Path) -> None:
    path = root / "annotations" / "instances_val2014.json"
    told = json.loads(path.read_text())
    told["annotations"] = [a for a in told["annotations"] if a["iscrowd"]]
    path.write_text(json.dumps(told))
    coco_data.prepare(root, partial=True)
    (entry,) = [e for e in prepared.read_entries(str(root), "coco", "val.csv") if e.labels_annotations]
    assert entry.labels_annotations == "person" and entry.labels_masks == ""


def test_each_denominator_has_its_name(cfg: Config) -> None:
    assert coco_data.EXPECTED == {"all": (82783, 40504), "annotated": (82081, 40137), "vit_pcm": (81477, 39884)}

    def images(subset: str) -> list[str]:
        return [n[-6:-4] for n in data.load(replace(cfg, coco_images=subset), "train").names]

    assert images("all") == ["10", "11", "12", "13"]
    assert images("annotated") == ["10", "11", "13"]  # 12 shows nothing
    assert images("vit_pcm") == ["10", "11"]  # 13 is 200 pixels high
    assert data.provenance(cfg) == {"subset": "annotated", "label_source": "annotations", "whole": False}
    assert not data.load(replace(cfg, coco_images="all"), "train").labels[2].any()


def test_the_counts_of_the_whole_set_are_asserted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_coco(tmp_path)
    with pytest.raises(ValueError, match="train2014 has 4 images and val2014 has 4 images, not 82783 and 40504"):
        coco_data.prepare(root)
    assert not (root / "apc").exists()
    monkeypatch.setattr(coco_data, "EXPECTED", {"all": (4, 4), "annotated": (3, 3), "vit_pcm": (1, 2)})
    coco_data.prepare(root)
    assert prepared.manifest(str(root), "coco").whole == {"all": True, "annotated": True, "vit_pcm": False}


def test_masks_are_made_again_only_where_the_annotations_changed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []
    write = coco_data.write_mask
    monkeypatch.setattr(coco_data, "write_mask", lambda path, *more: (made.append(path), write(path, *more)))
    coco_data.prepare(root, partial=True)
    assert made == []
    path = root / "annotations" / "instances_val2014.json"
    told = json.loads(path.read_text())
    told["annotations"][0]["category_id"] = 1
    path.write_text(json.dumps(told))
    coco_data.prepare(root, partial=True)
    assert [p.name for p in made] == ["COCO_val2014_000000000010.png"]


def test_an_outline_of_fewer_than_three_points_covers_nothing() -> None:
    line = coco_data.Object(1, False, [[1, 1, 5, 5]])
    assert not coco_data.paint([line], 10, 10).any()


def test_labels_of_real_photographs_are_those_of_their_masks_or_more(reference: Path, tmp_path: Path) -> None:
    for name in ("annotations", "train2014", "val2014"):
        (tmp_path / name).symlink_to(reference / "coco-sample" / name)
    coco_data.prepare(tmp_path, partial=True)
    val = data.load(replace(coco(), root=str(tmp_path), image_size=48, eval_size=0), "val")
    assert len(val.classes) == 81 and val.labels.shape == (40, 80)
    for i in range(len(val)):
        truth = val.mask(i)
        assert truth is not None and truth.shape == val.photo(i).shape[:2]
        seen = {val.classes[c] for c in np.unique(truth) if 0 < c < 255}
        labelled = {val.classes[c + 1] for c in np.flatnonzero(val.labels[i])}
        assert seen <= labelled
