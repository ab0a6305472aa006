"""`apc data prepare --download`: archives from a server on this machine, stops at every move, wrong archives."""

import hashlib
import itertools
import shutil
import tarfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from pkgutil import resolve_name
from threading import Thread

import pytest
from torchvision.datasets import SBDataset
from torchvision.datasets.voc import DATASET_YEAR_DICT
from trees import make_coco, make_voc

from apc.cli.main import main
from apc.data import coco, prepared

FETCHED: list[str] = []
"""Archives that were asked for."""
WHOLE = {
    "voc": ["VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt", "SBD/cls/2008_000003.mat", "SBD/inst"],
    "coco": ["train2014/COCO_train2014_000000000010.jpg", "val2014", "annotations/instances_val2014.json"],
}
"""Some of what a downloaded set consists of."""


class Handler(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        FETCHED.append(Path(self.path).name)
        super().do_GET()

    def log_message(self, *told: object) -> None:
        pass


@pytest.fixture
def archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The archives of small trees, under their real names, where torchvision and apc.data.coco look for them."""
    served, voc, tree = tmp_path / "served", make_voc(tmp_path / "voc"), make_coco(tmp_path / "coco")
    served.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(served)))
    at = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    with tarfile.open(served / "VOCtrainval_11-May-2012.tar", "w") as tar:
        tar.add(voc / "VOCdevkit", "VOCdevkit")
    with tarfile.open(served / "benchmark.tgz", "w:gz") as tar:
        tar.add(voc / "benchmark_RELEASE", "benchmark_RELEASE")
    of_2012 = {"url": f"{at}/VOCtrainval_11-May-2012.tar", "md5": md5(served / "VOCtrainval_11-May-2012.tar")}
    monkeypatch.setitem(DATASET_YEAR_DICT, "2012", DATASET_YEAR_DICT["2012"] | of_2012)
    monkeypatch.setattr(SBDataset, "url", f"{at}/benchmark.tgz")
    monkeypatch.setattr(SBDataset, "md5", md5(served / "benchmark.tgz"))

    assert {place for place, _ in coco.ARCHIVES.values()} == {
        "zips/train2014.zip",
        "zips/val2014.zip",
        "annotations/annotations_trainval2014.zip",
    }
    known = {}
    for folder, (place, _) in coco.ARCHIVES.items():
        made = shutil.make_archive(str(served / place.removesuffix(".zip")), "zip", tree, folder)
        known[folder] = (place, md5(Path(made)))
    monkeypatch.setattr(coco, "ARCHIVES_AT", at)
    monkeypatch.setattr(coco, "ARCHIVES", known)

    Thread(target=server.serve_forever, daemon=True).start()
    FETCHED.clear()
    yield served
    server.shutdown()
    server.server_close()


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def words(dataset: str, root: Path) -> list[str]:
    return ["data", "prepare", dataset, "--root", str(root), "--download", "--partial"]


def downloaded(dataset: str, root: Path) -> bool:
    """Whether everything is in its place and prepared, and nothing else is left."""
    listed = len(prepared.read_entries(str(root), dataset, "train.csv")) == {"voc": 5, "coco": 4}[dataset]
    return listed and all((root / name).exists() for name in WHOLE[dataset]) and not (root / "download.part").exists()


@pytest.mark.parametrize("dataset", ["voc", "coco"])
def test_a_download_is_unpacked_prepared_and_not_repeated(archives: Path, tmp_path: Path, dataset: str) -> None:
    root = tmp_path / "new"
    assert main(words(dataset, root)) == 0 and downloaded(dataset, root)
    assert set(FETCHED) == {p.name for p in archives.rglob("*.*") if (p.suffix == ".zip") == (dataset == "coco")}
    FETCHED.clear()
    assert main(words(dataset, root)) == 0 and FETCHED == []


@pytest.mark.parametrize(
    ("dataset", "where", "calls"),
    [
        ("voc", "pathlib.Path.rename", 7),
        ("voc", "shutil.move", 5),
        ("voc", "torchvision.datasets.utils.extract_archive", 2),
        ("coco", "pathlib.Path.rename", 3),
        ("coco", "torchvision.datasets.utils.extract_archive", 3),
    ],
)
def test_a_download_that_is_stopped_anywhere_goes_on(
    archives: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dataset: str, where: str, calls: int
) -> None:
    real = resolve_name(where)
    for last in range(calls + 1):
        root, called = tmp_path / f"stopped after {last}", itertools.count()

        def stopped(*given: object, last: int = last, called: Iterator[int] = called) -> object:
            if next(called) == last:
                raise KeyboardInterrupt
            return real(*given)

        with monkeypatch.context() as patched:
            patched.setattr(where, stopped)
            assert main(words(dataset, root)) == (130 if last < calls else 0)
        assert last == calls or not (root / "apc" / dataset / "manifest.json").exists()
        assert main(words(dataset, root)) == 0 and downloaded(dataset, root)


@pytest.mark.parametrize("dataset", ["voc", "coco"])
def test_half_an_archive_is_fetched_again_and_another_file_is_refused(
    archives: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], dataset: str
) -> None:
    root, first = tmp_path / "new", {"voc": "VOCtrainval_11-May-2012.tar", "coco": "zips/train2014.zip"}[dataset]
    real = (archives / first).read_bytes()
    (archives / first).write_bytes(real[: len(real) // 2])
    assert main(words(dataset, root)) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "2012 or SBD" in said or "COCO 2014" in said
    assert "cannot be downloaded" in said and not any((root / name).exists() for name in WHOLE[dataset])
    (archives / first).write_bytes(real)
    assert main(words(dataset, root)) == 0 and downloaded(dataset, root)


def test_another_year_of_voc_beside_it_stays(archives: Path, tmp_path: Path) -> None:
    older = tmp_path / "new" / "VOCdevkit" / "VOC2007" / "notes.txt"
    older.parent.mkdir(parents=True)
    older.write_text("mine")
    assert main(words("voc", tmp_path / "new")) == 0 and downloaded("voc", tmp_path / "new")
    assert older.read_text() == "mine"
