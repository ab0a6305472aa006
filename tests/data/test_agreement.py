"""Masks against the labels beside them: what a score would never tell is counted, named, and refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fitting import folder_config
from PIL import Image
from refusal import flags, left_below, refused

from apc.cli.main import main
from apc.config import Config
from apc.data.agreement import Held, compare
from apc.data.masks import Truth, palette, truth_in
from apc.training.run import prepare

CLASSES = ["background", "red", "blue"]


def held(*masks: tuple[set[int], list[int]]) -> list[Held]:
    """Masks by the classes of their lines and the numbers in them."""
    return [Held(f"{i}.png", frozenset(labels), Truth(values, {})) for i, (labels, values) in enumerate(masks)]


def test_masks_that_hold_what_their_lines_name_are_not_spoken_of() -> None:
    found = compare(held(({1}, [0, 1]), ({1, 2}, [0, 1, 2, 255]), (set(), [0])), CLASSES, "val.csv", own=True)
    assert found == ([], "")


def test_a_mask_that_lacks_a_class_and_one_that_holds_another_are_named_with_what_they_hold() -> None:
    found = compare(held(({1}, [0, 1]), ({2}, [0, 2]), ({1, 2}, [1]), (set(), [0, 2, 255])), CLASSES, "v", own=True)
    assert found.notes == [
        "note: 2 of 4 masks of v lack a class that their line names, or hold one that it does not",
        "  '2.png': its line names red, blue, its mask holds 1 (red)",
        "  '3.png': its line names nothing, its mask holds 0 (background), 2 (blue) and 255 (ignored)",
    ]
    assert found.refusal == ""


def test_ten_masks_are_named_and_the_others_counted() -> None:
    found = compare(held(*[({1}, [0])] * 11, ({1}, [0, 1])), CLASSES, "v", own=True)
    assert found.notes[0] == "note: 11 of 12 masks of v lack a class that their line names"
    assert len(found.notes) == 12 and found.notes[-1] == "  and 1 more"


@pytest.mark.parametrize(("own", "refused"), [(True, True), (False, False)])
def test_one_class_without_a_pixel_refuses_the_score_of_ones_own_masks(own: bool, refused: bool) -> None:
    found = compare(held(({1}, [0, 1]), ({2}, [0, 1])), CLASSES, "v", own=own)
    assert bool(found.refusal) == refused
    assert not refused or found.refusal.startswith(
        "v: nothing can be scored, since no mask of an image whose line names blue has a pixel of it: "
        "the mask of '1.png' holds 0 (background) and 1 (red)"
    )


def test_no_class_with_a_pixel_refuses_every_score() -> None:
    crowds = compare(held(({1}, []), ({2}, [])), CLASSES, "v", own=False).refusal
    assert (
        "no mask of an image whose line names red, blue has a pixel of it: the mask of '0.png' holds no class" in crowds
    )


def test_a_palette_of_vocs_colours_in_another_order_is_seen(tmp_path: Path) -> None:
    mask = Image.fromarray(np.array([[0, 1, 2, 255]], np.uint8))
    colours = palette().copy()
    for order, painted in (([0, 1, 2], {}), ([0, 2, 1], {1: 2, 2: 1}), ([0, 7, 8], {})):
        mask.putpalette(np.concatenate([colours[order], colours[3:]]).tobytes())
        mask.save(tmp_path / "a.png")
        assert truth_in(tmp_path / "a.png", (1, 4), 3) == ([0, 1, 2, 255], painted)
    mask.putpalette([1, 2, 3])
    mask.save(tmp_path / "a.png")
    assert truth_in(tmp_path / "a.png", (1, 4), 3).painted == {}  # a palette of one colour
    Image.fromarray(np.array([[0, 1]], np.uint8)).save(tmp_path / "a.png")
    assert truth_in(tmp_path / "a.png", (1, 2), 3) == ([0, 1], {})


def repainted(root: Path, change: Callable[[np.ndarray], np.ndarray], colours: np.ndarray | None = None) -> None:
    """Change the masks of the validation images."""
    for i in (8, 9, 10, 11):
        path = root / "masks" / f"photo {i}.png"
        mask = Image.fromarray(change(np.array(Image.open(path))))
        if colours is not None:
            mask.putpalette(colours.tobytes())
        mask.save(path)


def as_255(mask: np.ndarray) -> np.ndarray:
    return np.where((mask > 0) & (mask < 255), 255, 0).astype(np.uint8)


def swapped(mask: np.ndarray) -> np.ndarray:
    return np.choose((mask == 1) + 2 * (mask == 2), [mask, 2, 1]).astype(np.uint8)


OTHER_ORDER = palette()[[0, 2, 1, *range(3, 256)]]
WRONG = {
    "0 and 255": (as_255, None, ["4 of 4 masks hold 0 and 255 only: is 255 your class? (red is 1, blue is 2, 255 is"]),
    "one class for all": (
        lambda mask: np.where(mask == 2, 1, mask).astype(np.uint8),
        None,
        ["whose line names blue has a pixel of it: the mask of 'photo 8.png' holds 0 (background), 1 (red) and 255"],
    ),
    "nothing": (
        np.zeros_like,
        None,
        ["whose line names red, blue has", "the mask of 'photo 8.png' holds 0 (background);"],
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_masks_without_a_class_that_the_lists_name_are_refused_by_check_train_and_eval(
    photographs: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    change, colours, told = WRONG[name]
    repainted(photographs, change, colours)
    place = ["val.csv: nothing can be scored", *told]
    refused(flags(photographs), capsys, *place, "mend masks or labels")
    assert left_below(photographs.parent / "runs") == []
    assert main(["data", "check", "folder", "--root", str(photographs)]) == 2
    said = capsys.readouterr()
    assert all(part in said.err for part in place) and " of 4 masks of val.csv " in said.out


def test_a_run_tells_of_masks_that_differ_and_goes_on(photographs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = photographs / "masks" / "photo 9.png"
    mask = np.array(Image.open(path))
    Image.fromarray(swapped(mask)).save(path)
    assert main(flags(photographs, "--crf", "none")) == 0
    said = capsys.readouterr()
    assert said.err == (
        "note: 1 of 4 masks of " + str(photographs / "val.csv") + " lack a class that their line names, or hold one "
        "that it does not\n  'photo 9.png': its line names red, its mask holds 0 (background), 2 (blue) and 255 "
        "(ignored)\n"
    )
    assert "miou" in said.out


def test_a_run_tells_of_photographs_that_are_trained_on_and_scored(
    photographs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg, path = folder_config(photographs), photographs / "train.csv"
    prepare(cfg, tell=True)
    assert capsys.readouterr().err == ""
    path.write_text(path.read_text() + "photo 11.png,red blue\nphoto 9.png,red\n")
    prepare(cfg)
    assert capsys.readouterr().err == ""
    prepare(cfg, tell=True)
    assert capsys.readouterr().err == (
        f"note: 2 of 4 photographs of {photographs / 'val.csv'} are in {path} too, which flatters a score\n"
        "  'photo 11.png'\n  'photo 9.png'\n"
    )


def test_drawn_pictures_of_one_number_are_not_one_picture(tiny: Config, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(tiny, tell=True)
    assert capsys.readouterr().err == ""


def test_check_notes_a_palette_in_another_order(photographs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    repainted(photographs, swapped, OTHER_ORDER)
    assert main(["data", "check", "folder", "--root", str(photographs)]) == 0  # two are labelled with both
    said = capsys.readouterr().out
    assert "note: 2 of 4 masks of val.csv lack a class that their line names, or hold one that it does not\n" in said
    assert "note: the palette of 4 of 4 masks of val.csv suggests another order of classes\n" in said
    assert "  'photo 8.png': number 1 (red) has VOC's colour of 2 (blue); the number is what counts\n" in said
    text = (
        (photographs / "val.csv")
        .read_text()
        .replace("photo 11.png,red blue\n", "")
        .replace("photo 8.png,red blue\n", "")
    )
    (photographs / "val.csv").write_text(text)
    assert main(["data", "check", "folder", "--root", str(photographs)]) == 2
    assert "and its palette suggests another order of classes; mend" in capsys.readouterr().err
