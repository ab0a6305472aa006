"""The identity of a run is of the data and weights as they are now, in a process that has asked before."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from changes import replaced_in_place
from safetensors.torch import save_file
from trees import make_voc

from apc import files
from apc.config import Config
from apc.data import voc
from apc.training import run
from apc.training.run import identity


@pytest.fixture
def cfg(tiny: Config, photographs: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """A run on twelve photographs from a weights file; what was written just now counts as settled."""
    monkeypatch.setattr(files, "RECENT", 0.0)
    save_file({"a": torch.zeros(3)}, photographs.parent / "w.safetensors")
    weights = str(photographs.parent / "w.safetensors")
    return replace(tiny, dataset="folder", root=str(photographs), weights=weights, num_train=0, num_val=0)


def other_bytes(path: Path) -> bytes:
    """As many bytes, the last of them another one."""
    contents = path.read_bytes()
    return contents[:-1] + bytes([contents[-1] ^ 1])


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("images/photo 0.png", True),
        ("images/photo 11.png", True),
        ("masks/photo 11.png", True),
        ("masks/photo 0.png", False),  # of a training image: never read
        ("../w.safetensors", True),
    ],
)
def test_a_file_replaced_in_place_gives_another_identity(cfg: Config, name: str, seen: bool) -> None:
    path, before = Path(cfg.root) / name, identity(cfg)
    original = path.read_bytes()
    replaced_in_place(path, other_bytes(path))
    assert (identity(cfg) != before) is seen
    replaced_in_place(path, original)
    assert identity(cfg) == before


def test_a_list_and_the_class_names_count(cfg: Config) -> None:
    root, seen = Path(cfg.root), {identity(cfg)}
    lines = (root / "train.csv").read_text().splitlines()
    (root / "train.csv").write_text("\n".join(lines[:-1]) + "\n")
    seen.add(identity(cfg))
    (root / "classes.txt").write_text("blue\nred\n")
    seen.add(identity(cfg))
    (root / "masks" / "photo 11.png").unlink()
    seen.add(identity(cfg))
    assert len(seen) == 4


def test_a_prepared_index_replaced_gives_another_identity(tiny: Config, tmp_path: Path) -> None:
    root = make_voc(tmp_path)
    voc.prepare(root, partial=True)
    cfg = replace(tiny, dataset="voc", root=str(root))
    before, index = identity(cfg), root / "apc" / "voc" / "train.csv"
    index.write_text("\n".join(index.read_text().splitlines()[:-1]) + "\n")
    assert identity(cfg) != before


def test_a_run_whose_data_changes_under_way_leaves_no_row(cfg: Config, tmp_path: Path) -> None:
    cfg = replace(cfg, weights="", image_size=48)
    name, photograph = identity(cfg), Path(cfg.root) / "images" / "photo 0.png"

    def changes_it(numbers: dict[str, float]) -> None:
        if numbers["epoch"] == 1:
            replaced_in_place(photograph, other_bytes(photograph))

    with pytest.raises(ValueError, match=f"photos: changed while run {name} was under way; give the command again"):
        run.run(cfg, runs=tmp_path / "runs", report=changes_it)
    assert not (tmp_path / "runs" / name / "row.json").exists()


def test_a_run_of_other_data_than_was_asked_for_does_not_begin(cfg: Config, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="changed while run 0123456789ab was under way"):
        run.run(replace(cfg, weights=""), runs=tmp_path / "runs", name="0123456789ab")
    assert not (tmp_path / "runs").exists()
