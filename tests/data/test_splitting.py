"""`apc data split`: groups stay together, classes get their shares, alike photographs are found."""

import csv
import random
import shutil
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from refusal import refused

from apc.cli.main import main
from apc.data import splitting
from apc.data.splitting import Division, Member, alike, divide, split, stratified


def names(root: Path, name: str) -> list[str]:
    return [row["image"] for row in csv.DictReader((root / name).read_text().splitlines())]


def test_each_class_gets_its_share_of_the_validation_list() -> None:
    labels = [["red"]] * 60 + [["blue"]] * 30 + [["red", "green"]] * 10 + [[]] * 20
    members = [Member(f"{i}.jpg", frozenset(these)) for i, these in enumerate(labels)]
    of_val, notes = divide(members, Division(val=0.2), Path("images"))
    shown = Counter(
        label for member, val in zip(members, of_val, strict=True) if val for label in member.labels or {""}
    )
    assert shown == {"red": 14, "blue": 6, "green": 2, "": 4}
    assert notes == []


def test_a_seed_tells_the_lists_and_another_one_tells_others() -> None:
    members = [Member(f"{i}.jpg", frozenset({"red"})) for i in range(40)]
    first, again, other = (divide(members, Division(seed=seed), Path("images"))[0] for seed in (0, 0, 1))
    assert first == again != other
    assert sum(first) == sum(other) == 8


def test_groups_stay_together_and_shares_come_near() -> None:
    draw = random.Random(0)
    groups = [Counter({draw.choice("rgb"): draw.randint(1, 9)}) for _ in range(200)]
    chosen = stratified(groups, [True] * 200, Division(val=0.25))
    for label in "rgb":
        share = sum(g[label] for g, val in zip(groups, chosen, strict=True) if val) / sum(g[label] for g in groups)
        assert share == pytest.approx(0.25, abs=0.02)


def test_what_is_scored_has_a_mask_where_any_has() -> None:
    members = [Member(f"{i}.jpg", frozenset({"red"}), masked=i < 5) for i in range(20)]
    of_val, notes = divide(members, Division(val=0.2), Path("images"))
    assert sum(of_val) == 4 and not any(of_val[5:])
    assert notes == ["val is drawn from the 5 photographs with a mask"]


def test_two_photographs_are_one_of_each_list() -> None:
    members = [Member("a.jpg", frozenset({"red"})), Member("b.jpg", frozenset({"red"}))]
    assert sum(divide(members, Division(val=0.01), Path("images"))[0]) == 1


def test_a_class_of_one_group_is_learned_and_its_lack_is_told() -> None:
    members = [Member(f"{i}.jpg", frozenset({"red"})) for i in range(9)] + [Member("b.jpg", frozenset({"blue"}))]
    of_val, notes = divide(members, Division(), Path("images"))
    assert not of_val[9]
    assert notes == ["val has no photograph of blue: too few groups show it"]


def test_alike_photographs_are_one_group(tmp_path: Path) -> None:
    pytest.importorskip("imagehash")
    rng = np.random.default_rng(0)
    for name in ("first", "second"):
        image = Image.fromarray(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)).resize(
            (160, 120), Image.Resampling.BICUBIC
        )
        image.save(tmp_path / f"{name}.png")
        image.resize((100, 75)).save(tmp_path / f"{name} small.jpg", quality=60)
        image.point(lambda value: min(255, value + 20)).save(tmp_path / f"{name} bright.jpg")
    groups = alike(sorted(tmp_path.iterdir()), most=6)
    assert groups[0] == groups[1] == groups[2] != groups[3] == groups[4] == groups[5]


def test_the_verb_writes_lists_with_groups_of_a_table(photographs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photographs / "cameras.csv").write_text("image,camera\n" + "".join(f"photo {i}.png,{i // 4}\n" for i in range(12)))
    words = [
        "--root",
        str(photographs),
        "--group",
        "camera",
        "--table",
        str(photographs / "cameras.csv"),
        "--val",
        "0.3",
    ]
    assert main(["data", "split", *words, "--replace"]) == 0
    train, val = names(photographs, "train.csv"), names(photographs, "val.csv")
    assert (len(train), len(val)) == (8, 4)
    assert len({int(name.split()[1].split(".")[0]) // 4 for name in val}) == 1
    assert (photographs / "val.csv").read_text().startswith("image,labels,camera\n")
    assert capsys.readouterr().out.startswith("train.csv: 8 images: ")
    assert main(["data", "check", "folder", "--root", str(photographs)]) == 0


def test_photographs_of_one_folder_stay_in_one_list(photographs: Path) -> None:
    lines = []
    for i in range(12):
        name = f"site {i % 3}/{i}.png"
        (photographs / "images" / name).parent.mkdir(exist_ok=True)
        (photographs / "images" / f"photo {i}.png").rename(photographs / "images" / name)
        lines.append(f"{name},red\n")
    (photographs / "all.csv").write_text("image,labels\n" + "".join(lines))
    (photographs / "train.csv").unlink()
    (photographs / "val.csv").unlink()
    assert main(["data", "split", "--root", str(photographs), "--lists", "all.csv", "--group", "folder"]) == 0
    assert len({name.split("/")[0] for name in names(photographs, "val.csv")}) == 1
    assert len({name.split("/")[0] for name in names(photographs, "train.csv")}) == 2


def test_names_and_groups_are_the_same_in_either_form_of_their_accents(photographs: Path) -> None:
    nfc, nfd = (unicodedata.normalize(form, "Höhle") for form in ("NFC", "NFD"))
    for kind in ("images", "masks"):
        (photographs / kind / "photo 8.png").rename(photographs / kind / f"{nfc}.png")
    for path in photographs.glob("*.csv"):
        path.write_text(path.read_text().replace("photo 8.png", f"{nfd}.png "))  # as a Mac spells it
    places = {"photo 0.png": nfc, "photo 4.png": nfd, f"{nfc}.png": nfd}
    places |= {f"photo {i}.png": "valley" for i in range(12) if i % 4}
    table = photographs / "places.csv"
    table.write_text("image,place\n" + "".join(f"{name},{place}\n" for name, place in places.items()))
    words = ["--root", str(photographs), "--group", "place", "--table", str(table), "--replace"]
    assert main(["data", "split", *words]) == 0
    assert names(photographs, "val.csv") == ["photo 0.png", "photo 4.png", f"{nfd}.png "]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], ["train.csv: is there; --replace"]),
        (["--group", "camera"], ["group is 'camera'", "choose from folder, near"]),
        (
            ["--group", "folder", "--replace"],
            ["cannot be divided into two lists, and all are of one group of 'folder'"],
        ),
        (["--lists", "absent.csv"], ["absent.csv: there is no such file"]),
        (["--table", "absent.csv", "--group", "x"], ["absent.csv: there is no such file"]),
        (["--val", "0"], ["val is 0.0; it must lie between 0 and 1"]),
        (["--near", "64"], ["near is 64"]),
    ],
    ids=lambda value: " ".join(value) or "nothing",
)
def test_words_that_are_wrong(
    words: list[str], told: list[str], photographs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name: path.read_text() for path in photographs.glob("*.csv")}
    more = ["--replace"] if "camera" in words else []
    refused(["data", "split", "--root", str(photographs), *words, *more], capsys, *told)
    assert {path.name: path.read_text() for path in photographs.glob("*.csv")} == before


@pytest.mark.parametrize("val", [0.01, 0.9, 0.99])
def test_neither_list_is_empty(val: float) -> None:
    members = [Member(f"{i}.jpg", frozenset({"red"})) for i in range(4)]
    for some in (members, members[:2]):
        assert {*divide(some, Division(val=val), Path("images"))[0]} == {True, False}


def test_a_division_that_was_ended_between_its_lists_loses_no_label_and_goes_on(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(photographs, tmp_path / "other")
    both, division = [Path("train.csv"), Path("val.csv")], Division(val=0.4, seed=3)
    lines = split(tmp_path / "other", both, None, division, replace=True)
    write = splitting.write_atomically

    def killed(path: Path, text: str) -> None:
        if path.name == "val.csv":
            raise KeyboardInterrupt
        write(path, text)

    monkeypatch.setattr(splitting, "write_atomically", killed)
    with pytest.raises(KeyboardInterrupt):
        split(photographs, both, None, division, replace=True)
    monkeypatch.undo()
    assert split(photographs, both, None, division, replace=True) == lines
    for name in ("train.csv", "val.csv"):
        assert (photographs / name).read_bytes() == (tmp_path / "other" / name).read_bytes()
    assert len(names(photographs, "train.csv") + names(photographs, "val.csv")) == 12
    assert not list(photographs.glob(".apc*"))


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("patient,image\n1,photo 0.png\n2\n", "line 3: has no cell for image"),
        ("image,patient\na.png,1\nb.png,1\na.png,2\n", "line 4: image 'a.png' is listed twice; line 2 has it too"),
    ],
)
def test_a_slip_in_a_table_of_groups_is_named_with_its_line(
    photographs: Path, tmp_path: Path, lines: str, told: str
) -> None:
    (tmp_path / "groups.csv").write_text(lines)
    with pytest.raises(ValueError, match=told):
        split(photographs, [Path("train.csv")], tmp_path / "groups.csv", Division(), replace=True)
