"""PASCAL VOC 2012 with SBD: the training set's formula, labels from XML and from masks, converted masks."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from huge_headers import HUGE
from PIL import Image
from spoilt import cut
from trees import SBD_TRAIN, SBD_VAL, VOC_TRAIN, VOC_VAL, drawn, make_voc, write_mat

from apc import data
from apc.cli.main import main
from apc.config import Config, voc
from apc.data import masks, prepared
from apc.data import voc as voc_data
from apc.data.voc import CLASSES, objects_of
from apc.files import part_in


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = make_voc(tmp_path)
    voc_data.prepare(made, partial=True)
    return made


@pytest.fixture
def cfg(root: Path) -> Config:
    return replace(voc(), root=str(root), image_size=48, eval_size=0)


def stems(split: data.Split) -> set[str]:
    return {Path(name).stem for name in split.names}


def test_train_aug_is_sbd_and_voc_train_without_voc_val(cfg: Config) -> None:
    train, val = data.load(cfg, "train"), data.load(cfg, "val")
    assert stems(train) == {"2007_000032", "2007_000039", "2008_000002", "2008_000003", "2008_000004"}
    assert stems(train) == {*SBD_TRAIN, *SBD_VAL, *VOC_TRAIN} - {*VOC_VAL}
    assert stems(val) == set(VOC_VAL) and train.classes == CLASSES and len(CLASSES) == 21
    entries = prepared.read_entries(cfg.root, "voc", "train.csv")
    assert {Path(e.image).stem for e in entries if "train" in e.subsets.split()} == set(VOC_TRAIN)


def test_the_counts_of_the_whole_set_are_asserted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert voc_data.EXPECTED == {"train_aug": 10582, "train": 1464, "val": 1449}
    root = make_voc(tmp_path)
    with pytest.raises(ValueError, match="train_aug has 5 images, not 10582.*--partial"):
        voc_data.prepare(root)
    assert not (root / "apc").exists()
    monkeypatch.setattr(voc_data, "EXPECTED", {"train_aug": 5, "train": 2, "val": 3})
    voc_data.prepare(root)
    cfg = replace(voc(), root=str(root))
    assert data.provenance(cfg) == {"subset": "train_aug val", "label_source": "annotations", "whole": True}


def test_a_set_that_is_not_whole_is_told_in_the_stamp(cfg: Config) -> None:
    assert data.provenance(cfg)["whole"] is False
    assert data.provenance(replace(cfg, label_source="masks"))["label_source"] == "masks"


def test_labels_are_the_xml_objects_difficult_ones_included_but_no_parts(root: Path, cfg: Config) -> None:
    split = data.load(cfg, "train")
    for name, row in zip(split.names, split.labels, strict=True):
        found = {CLASSES[c] for c in torch.nonzero(row).flatten() + 1}
        assert found == objects_of(root / "VOCdevkit/VOC2012/Annotations" / f"{Path(name).stem}.xml")
    person = root / "VOCdevkit/VOC2012/Annotations/2007_000042.xml"
    assert "<name>head" in person.read_text() and "<difficult>1" in person.read_text()
    assert objects_of(person) == {"person", "cat"}


def test_labels_from_masks_are_the_classes_that_have_a_pixel(root: Path, cfg: Config) -> None:
    mat = root / "benchmark_RELEASE/dataset/cls/2008_000002.mat"
    write_mat(mat, np.zeros(drawn(5, ["cat"])[1].shape, np.uint8) + np.uint8(15))
    voc_data.prepare(root, partial=True)
    split = data.load(replace(cfg, label_source="masks"), "train")
    row = split.names.index("2008_000002.jpg")
    assert torch.nonzero(split.labels[row]).flatten().tolist() == [14]
    assert torch.nonzero(data.load(cfg, "train").labels[row]).flatten().tolist() != [14]


def test_sbd_masks_become_palette_pngs_and_vocs_own_stay_where_they_are(root: Path) -> None:
    entries = {Path(e.image).stem: e for e in prepared.read_entries(str(root), "voc", "train.csv")}
    converted = root / entries["2008_000003"].mask
    assert converted == root / "apc/voc/masks/2008_000003.png"
    with Image.open(converted) as image:
        assert image.mode == "P" and image.getpalette()[:9] == [0, 0, 0, 128, 0, 0, 0, 128, 0]
        number = sorted({*VOC_TRAIN, *VOC_VAL, *SBD_TRAIN, *SBD_VAL}).index("2008_000003")
        things = [["cat"], ["dog"], ["cat", "dog"], ["person", "cat"]][number % 4]
        assert (np.asarray(image) == drawn(number, things)[1]).all()
    assert entries["2007_000032"].mask == "VOCdevkit/VOC2012/SegmentationClass/2007_000032.png"  # SBD has one too


def test_validation_masks_keep_the_ignored_border_and_training_opens_none(root: Path, cfg: Config) -> None:
    val = data.load(cfg, "val")
    truth, photo = val.mask(0), val.photo(0)
    assert truth is not None and truth.shape == photo.shape[:2] and 255 in truth and val.verified
    for mask in (root / "apc/voc/masks").iterdir():
        mask.write_bytes(b"garbage")
    train = data.load(cfg, "train")
    assert train.mask(0) is None and train.images[[0, 1]].shape == (2, 3, 48, 48)


def test_torchvisions_folder_of_sbd_is_found_too(tmp_path: Path) -> None:
    root = make_voc(tmp_path, sbd="SBD")
    voc_data.prepare(root, partial=True)
    assert len(prepared.read_entries(str(root), "voc", "train.csv")) == 5


def test_without_sbd_vocs_own_images_are_taken_only_when_asked(tmp_path: Path) -> None:
    root = make_voc(tmp_path, sbd="elsewhere")
    with pytest.raises(ValueError, match="no SBD.*--download.*--partial"):
        voc_data.prepare(root)
    voc_data.prepare(root, partial=True)
    assert len(prepared.read_entries(str(root), "voc", "train.csv")) == 2


def test_an_interrupted_preparation_goes_on_and_does_no_mask_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, done = make_voc(tmp_path), []
    write = masks.write_mask

    def interrupted(path: Path, mask: np.ndarray, source: str) -> None:
        if len(done) == 1:
            raise KeyboardInterrupt
        done.append(path)
        write(path, mask, source)

    monkeypatch.setattr(voc_data, "write_mask", interrupted)
    with pytest.raises(KeyboardInterrupt):
        voc_data.prepare(root, partial=True)
    assert len(done) == 1 and not (root / "apc/voc/manifest.json").exists()
    assert not (root / "apc/voc/train.csv").exists()
    half = part_in(root / "apc/voc/masks").name.replace(f".{os.getpid()}.", ".99999999.")  # of no process that lives
    (root / "apc/voc/masks" / half).write_bytes(b"half of one, as a kill leaves it")

    rest: list[Path] = []
    monkeypatch.setattr(voc_data, "write_mask", lambda path, *more: (rest.append(path), write(path, *more)))
    voc_data.prepare(root, partial=True)
    assert len(rest) == 2 and done[0] not in rest and not list((root / "apc/voc/masks").glob(".*"))
    before = prepared.fingerprint(str(root), "voc", ["train.csv"])
    rest.clear()
    voc_data.prepare(root, partial=True)
    assert rest == [] and prepared.fingerprint(str(root), "voc", ["train.csv"]) == before


def test_a_changed_or_torn_mask_is_made_again(root: Path, cfg: Config) -> None:
    made = root / "apc/voc/masks/2008_000003.png"
    whole = made.read_bytes()
    made.write_bytes(whole[:50])
    voc_data.prepare(root, partial=True)
    assert made.read_bytes() == whole
    changed = np.full(np.asarray(Image.open(made)).shape, 3, np.uint8)
    write_mat(root / "benchmark_RELEASE/dataset/cls/2008_000003.mat", changed)
    voc_data.prepare(root, partial=True)
    assert np.unique(np.asarray(Image.open(made))).tolist() == [3]


def test_downloads_happen_only_when_asked_and_fail_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError("the network is unreachable")

    monkeypatch.setattr("torchvision.datasets.VOCSegmentation", refused)
    assert main(["data", "prepare", "voc", "--root", str(tmp_path / "new"), "--download"]) == 2
    assert "cannot be downloaded (the network is unreachable)" in capsys.readouterr().err
    assert main(["data", "prepare", "voc", "--root", str(tmp_path)]) == 2
    assert "VOCdevkit/VOC2012" in capsys.readouterr().err


def test_what_cannot_be_decoded_is_left_out_of_a_partial_set_and_an_xml_without_objects_shows_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_voc(tmp_path)
    below = root / "VOCdevkit/VOC2012"
    (below / "Annotations/2008_000002.xml").write_text("<annotation></annotation>")
    (below / "JPEGImages/2007_000033.jpg").write_bytes(HUGE["a.jpg"]())
    cut(below / "JPEGImages/2007_000032.jpg")
    assert main(["data", "prepare", "voc", "--root", str(root), "--partial"]) == 0
    said = capsys.readouterr().out
    assert "note: 2 photographs cannot be decoded and are left out\n" in said
    assert "2007_000033.jpg: the image cannot be decoded (its header says 4290 megapixels" in said
    train = data.load(replace(voc(), root=str(root), image_size=48), "train")
    assert train.names == ["2007_000039.jpg", "2008_000002.jpg", "2008_000003.jpg", "2008_000004.jpg"]
    assert train.labels.any(1).tolist() == [True, False, True, True]
