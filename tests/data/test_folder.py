"""A folder of photographs: its names, its masks and its fingerprint."""

import hashlib
from dataclasses import replace
from pathlib import Path

from apc import data
from apc.config import Config, folder
from apc.data import folder as photos


def test_names_with_spaces_and_letters_of_any_language_are_read(photographs: Path, cfg: Config) -> None:
    (photographs / "images" / "photo 0.png").rename(photographs / "images" / "Mäuse im Heu, 鼠.png")
    (photographs / "masks" / "photo 0.png").rename(photographs / "masks" / "Mäuse im Heu, 鼠.png")
    text = (photographs / "train.csv").read_text()
    (photographs / "train.csv").write_text(text.replace("photo 0.png", '"Mäuse im Heu, 鼠.png"'), encoding="utf-8-sig")
    assert data.load(cfg, "train").names[0] == "Mäuse im Heu, 鼠.png"


def test_masks_are_optional(photographs: Path, cfg: Config) -> None:
    for mask in (photographs / "masks").iterdir():
        mask.unlink()
    (photographs / "masks").rmdir()
    assert data.load(cfg, "val").mask(0) is None


def test_the_fingerprint_of_photographs_is_a_hash_of_contents_and_of_how_they_are_read(photographs: Path) -> None:
    (photographs / "train.csv").write_text("image,labels\nphoto 0.png,red\n")
    (photographs / "val.csv").write_text("image,labels\nphoto 1.png,blue\n")
    for i, name in enumerate(("images/photo 0.png", "masks/photo 0.png", "images/photo 1.png", "masks/photo 1.png")):
        (photographs / name).write_bytes(bytes([i]))
    contents = photos.READING.encode() + b"\nbackground\nred\nblue"
    contents += b"image,labels\nphoto 0.png,red\n\0image,labels\nphoto 1.png,blue\n\2\3"
    expected = hashlib.sha256(contents).hexdigest()[:12]  # masks of training images are never read
    assert data.fingerprint(replace(folder(), root=str(photographs))) == expected
