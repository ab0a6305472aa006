"""What the tests of bad input do to files, and what each slip in a folder of photographs is answered with."""

from collections.abc import Callable
from pathlib import Path

from huge_headers import HUGE
from PIL import Image

Spoil = Callable[[Path], object]
Cases = dict[str, tuple[Spoil, list[str]]]


def cut(path: Path, share: float = 0.5) -> None:
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


def as_jpeg(root: Path, number: int) -> Path:
    """Photograph `number` as a JPEG under its old name, which is no matter to Pillow."""
    path = root / "images" / f"photo {number}.png"
    Image.open(path).convert("RGB").save(path, format="JPEG")
    return path


FOLDER: Cases = {
    "a truncated JPEG": (lambda r: cut(as_jpeg(r, 3)), ["photo 3.png", "cannot be decoded", "truncated"]),
    "a JPEG that lacks its last bytes": (lambda r: cut(as_jpeg(r, 3), 0.9), ["photo 3.png", "cannot be decoded"]),
    "a broken JPEG": (lambda r: as_jpeg(r, 3).write_bytes(b"\xff\xd8\xff\xe0" + bytes(99)), ["photo 3.png", "decoded"]),
    "a JPEG that announces gigabytes": (
        lambda r: (r / "images" / "photo 3.png").write_bytes(HUGE["a.jpg"]()),
        ["photo 3.png", "its header says 4290 megapixels", "at most 179"],
    ),
    "a mask that announces gigabytes": (
        lambda r: (r / "masks" / "photo 9.png").write_bytes(HUGE["a.png"]()),
        ["masks/photo 9.png", "its header says 4290 megapixels", "at most 179"],
    ),
    "an image that is text": (
        lambda r: (r / "images" / "photo 3.png").write_text("x"),
        ["photo 3.png", "cannot be decoded"],
    ),
    "an image that is absent": (
        lambda r: (r / "images" / "photo 3.png").unlink(),
        ["train.csv, line 5", "photo 3.png"],
    ),
    "a mask of another size": (
        lambda r: Image.new("L", (7, 5)).save(r / "masks" / "photo 9.png"),
        ["masks/photo 9.png", "7x5", "51x49"],
    ),
    "a mask of the image before it was turned": (
        lambda r: Image.new("L", (49, 51)).save(r / "masks" / "photo 9.png"),
        ["masks/photo 9.png", "49x51", "51x49"],
    ),
    "a mask with unknown indices": (
        lambda r: Image.new("L", (51, 49), 9).save(r / "masks" / "photo 9.png"),
        ["photo 9.png", "value 9", "0 to 2"],
    ),
    "a mask in colours": (
        lambda r: Image.new("RGB", (51, 49)).save(r / "masks" / "photo 9.png"),
        ["masks/photo 9.png", "RGB", "palette"],
    ),
    "a mask that is cut": (lambda r: cut(r / "masks" / "photo 9.png"), ["masks/photo 9.png", "cannot be decoded"]),
    "a label that is not in classes.txt": (
        lambda r: (r / "train.csv").write_text("image,labels\nphoto 1.png,blue green\n"),
        ["train.csv, line 2", "'green'", "classes.txt", "red, blue"],
    ),
    "no label": (lambda r: (r / "train.csv").write_text("image,labels\nphoto 1.png,\n"), ["no image has a label"]),
    "a line that is cut": (
        lambda r: (r / "train.csv").write_text("image,labels\nphoto 0.png,red\nphoto 1.png\n"),
        ["train.csv, line 3", "'photo 1.png' has no cell for its labels"],
    ),
    "labels in several cells": (
        lambda r: (r / "train.csv").write_text("image,labels\nphoto 2.png,red,blue\n"),
        ["train.csv, line 2", "has 3 cells, the first line 2"],
    ),
    "an absolute path": (
        lambda r: (r / "val.csv").write_text(f"image,labels\n{r}/images/photo 9.png,red\n"),
        ["val.csv, line 2", "photo 9.png' is an absolute path", "below the folder of the images"],
    ),
    "a path that leaves images/": (
        lambda r: (r / "val.csv").write_text("image,labels\n../masks/photo 9.png,red\n"),
        ["val.csv, line 2", "'../masks/photo 9.png' has `..` in it"],
    ),
    "a path of another system": (
        lambda r: (r / "val.csv").write_text("image,labels\nC:\\photos\\photo 9.png,red\n"),
        ["val.csv, line 2", "photo 9.png' has a back slash"],
    ),
    "a class that the masks number themselves": (
        lambda r: (r / "classes.txt").write_text("__ignore__\n_background_\nred\nblue\n"),
        ["classes.txt, line 1", "'__ignore__' is no class of its own", "255 is ignored"],
    ),
    "an empty line between classes": (
        lambda r: (r / "classes.txt").write_text("red\n\nblue\n"),
        ["classes.txt, line 2", "is empty", "shift"],
    ),
    "no classes.txt": (lambda r: (r / "classes.txt").unlink(), ["classes.txt"]),
    "a class twice": (lambda r: (r / "classes.txt").write_text("red\nred\n"), ["classes.txt", "no class twice"]),
    "a class name with a space": (
        lambda r: (r / "classes.txt").write_text("red\nlight blue\n"),
        ["classes.txt, line 2", "'light blue'", "light_blue"],
    ),
    "a list without its columns": (
        lambda r: (r / "val.csv").write_text("image;labels\na;b\n"),
        ["val.csv", "image,labels", "image;labels"],
    ),
    "a name twice": (
        lambda r: (r / "val.csv").write_text("image,labels\n" + "photo 9.png,red\n" * 2),
        ["val.csv, line 3", "'photo 9.png' is listed twice"],
    ),
    "two images of one mask": (
        lambda r: [
            Image.new("RGB", (51, 49)).save(r / "images" / "photo 9.jpg"),
            (r / "val.csv").write_text("image,labels\nphoto 9.png,red\nphoto 9.jpg,red\n"),
        ],
        ["val.csv, line 3", "photo 9.jpg", "share the mask"],
    ),
    "an empty split": (lambda r: (r / "train.csv").write_text("image,labels\n"), ["train.csv", "lists no image"]),
    "an empty file": (lambda r: (r / "train.csv").write_text(""), ["train.csv", "image,labels", "none"]),
    "a list naming an absent file": (
        lambda r: (r / "val.csv").write_text("image,labels\nphoto 99.png,red\n"),
        ["val.csv, line 2", "images/photo 99.png"],
    ),
    "a quote that is not closed": (
        lambda r: (r / "train.csv").write_text('image,labels\nphoto 1.png,red\n"photo 2.png,red\nphoto 3.png,red\n'),
        ["train.csv, line 3", "a quote is opened and not closed"],
    ),
    "a list that is no text": (lambda r: (r / "val.csv").write_bytes(b"\xff\xfe\x00"), ["val.csv", "UTF-8"]),
}
