"""Archives that would do harm or are cut, and imports that are killed or have no room: no folder is left."""

import shutil
import stat
import zipfile
from pathlib import Path

import exports
import pytest
from faults import killed_at, without_room_at
from refusal import refused

from apc.cli.main import main
from apc.data.importing import safely


def packed(path: Path, name: str, link: bool = False) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = (stat.S_IFLNK if link else stat.S_IFREG) << 16
        archive.writestr(entry, "/etc/passwd" if link else bytes(100_000), zipfile.ZIP_DEFLATED)
    return path


@pytest.mark.parametrize(
    ("name", "link", "told"),
    [
        ("../../escaped.txt", False, "'../../escaped.txt' would leave the folder"),
        ("/tmp/escaped.txt", False, "'/tmp/escaped.txt' would leave the folder"),
        ("..\\escaped.txt", False, "'../escaped.txt' would leave the folder"),
        ("C:/escaped.txt", False, "'C:/escaped.txt' would leave the folder"),
        ("images/a.jpg", True, "'images/a.jpg' is a link"),
        ("zeros.bin", False, "would become"),
    ],
)
def test_an_archive_that_would_do_harm_is_not_unpacked(
    name: str,
    link: bool,
    told: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(safely, "LARGE", 10_000)
    archive = packed(tmp_path / "task.zip", name, link)
    refused(["data", "import", str(archive), "--out", str(tmp_path / "out")], capsys, f"{archive}: ", told)
    assert list(tmp_path.iterdir()) == [archive]


def test_an_archive_that_is_cut_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exports.cvat(tmp_path / "source")
    archive = tmp_path / "task.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.write(tmp_path / "source/labelmap.txt", "labelmap.txt")
    data = bytearray(archive.read_bytes())
    data[60] ^= 255
    archive.write_bytes(bytes(data))
    refused(["data", "import", str(archive), "--out", str(tmp_path / "out")], capsys, "task.zip: cannot be unpacked")


def listing(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.mark.parametrize("archived", [False, True], ids=["folder", "archive"])
def test_an_import_that_is_killed_or_has_no_room_leaves_no_folder_and_the_next_one_is_whole(
    archived: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exports.masks(tmp_path / "source")
    source = tmp_path / "source"
    if archived:
        source = Path(shutil.make_archive(str(tmp_path / "task"), "zip", tmp_path / "source"))
    words = ["data", "import", str(source), "--out"]
    assert main([*words, str(tmp_path / "expected")]) == 0
    place = tmp_path / "place"
    place.mkdir()
    n = 1
    while killed_at(n, place, lambda: main([*words, str(place / "out")])):
        assert not (place / "out").exists(), f"after {n} changes"
        n += 3
    assert n > 30
    assert listing(place / "out") == listing(tmp_path / "expected")
    assert listing(place) == {"out", *(f"out/{name}" for name in listing(tmp_path / "expected"))}  # and no leftovers
    for n in (1, 2, 12):
        (place / "full").mkdir()
        assert without_room_at(n, place / "full", lambda: main([*words, str(place / "full" / "out")])) == 2
        assert listing(place / "full") == set()
        (place / "full").rmdir()
