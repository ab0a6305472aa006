"""Outputs of closed blocks that runs share: the same numbers as without, computed once, whatever happens to them."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from fitting import fit, folder_config

import apc
from apc.config import Config
from apc.data import images
from apc.experiment.flags import Workers
from apc.experiment.workers import resources_of
from apc.methods.registry import build
from apc.models import feature_cache
from apc.models.encoder import Encoder
from apc.models.feature_cache import TRAIN, VAL, Shown, made_by
from apc.models.feature_rows import RowFile
from apc.models.feature_store import FeatureStore, folder, stored
from apc.search.worker import train_one

GIB = 0.1


@pytest.fixture(autouse=True)
def below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("APC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "features"


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A number for each image that goes through the closed blocks."""
    calls: list[int] = []
    plain = Encoder.frozen_features

    def counted(self: Encoder, images: torch.Tensor) -> list[torch.Tensor]:
        calls.extend([0] * len(images))
        return plain(self, images)

    monkeypatch.setattr(Encoder, "frozen_features", counted)
    return calls


def numbers(cfg: Config, where: Path, **more: Any) -> list[dict[str, float]]:
    """The curve of a training, and its weights added up, to the bit; its folder goes on where one is there."""
    method, trained = fit(cfg, where, **more)
    lines = [{name: n for name, n in line.items() if "seconds" not in name} for line in trained.curve]
    return [*lines, {name: float(t.double().sum()) for name, t in method.state_dict().items()}]


def held() -> int:
    """Bytes of all rows that are kept."""
    return sum(file.bytes for file in stored(folder()))


@pytest.mark.parametrize("changes", [{}, {"teacher": 0.2, "jitter": 0.5}, {"features_dtype": "bf16", "amp": "bf16"}])
def test_runs_that_share_features_compute_them_once_and_change_no_bit(
    tiny: Config, tmp_path: Path, computed: list[int], changes: dict[str, Any]
) -> None:
    cfg = replace(tiny, num_train=16, unfreeze_blocks=1, eval_every=1, **changes)
    alone = numbers(cfg, tmp_path / "alone")
    computed.clear()
    assert numbers(cfg, tmp_path / "first", cache_gib=GIB) == alone
    there = held()
    assert there > 0
    computed.clear()
    fit(cfg, tmp_path / "second", until=1, cache_gib=GIB)
    assert numbers(cfg, tmp_path / "second", cache_gib=GIB) == alone  # resumed
    other = replace(cfg, lambda1=cfg.lambda1 / 2)
    numbers(other, tmp_path / "other", cache_gib=GIB)
    assert held() == there
    # with a teacher, what the student sees has other colours in every epoch, and is computed each time
    assert len(computed) == (4 * 16 if cfg.teacher else 0)


def test_a_filling_that_is_cut_spoilt_rows_and_no_room_change_no_bit(
    tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = replace(tiny, num_train=16, unfreeze_blocks=1)
    alone = numbers(cfg, tmp_path / "alone")
    write, written = RowFile.write, list[int]()

    def cut(self: RowFile, place: int, pieces: Any) -> None:
        if len(written) == 10:
            raise KeyboardInterrupt
        written.append(self.kind.begin + place * self.kind.size)
        write(self, place, pieces)

    monkeypatch.setattr(RowFile, "write", cut)
    with pytest.raises(KeyboardInterrupt):
        numbers(cfg, tmp_path / "cut", cache_gib=GIB)
    monkeypatch.setattr(RowFile, "write", write)
    (file,) = stored(folder())
    content = bytearray(file.path.read_bytes())
    for at in written[:5]:
        content[at] ^= 1
    file.path.write_bytes(content)
    assert numbers(cfg, tmp_path / "cut", cache_gib=GIB) == alone
    shutil.rmtree(folder())
    assert numbers(cfg, tmp_path / "small", cache_gib=0.55 * file.bytes / 2**30) == alone
    assert held() == file.bytes / 2


def test_no_image_is_decoded_whose_features_are_there_unless_its_pixels_are_learnt_from(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = replace(folder_config(photographs), epochs=3, weights="", flip="both")
    plain, names = images.decode, list[str]()

    def noted(path: Path, *how: Any) -> Any:
        names.append(path.name)
        return plain(path, *how)

    monkeypatch.setattr(images, "decode", noted)
    learnt = {f"photo {i}.png" for i in range(8)}

    def decoded(cfg: Config, name: str, gib: float) -> set[str]:
        names.clear()
        train_one(cfg, runs=tmp_path / name, device="cpu", report=lambda line: None, threads=1, cache_gib=gib)
        return learnt & set(names)

    def curve(name: str) -> list[Any]:
        (run,) = (tmp_path / name).iterdir()
        return [json.loads(line)["loss"] for line in (run / "curve.jsonl").read_text().splitlines()]

    assert decoded(cfg, "alone", 0) == learnt
    assert decoded(cfg, "first", GIB) == learnt
    assert decoded(cfg, "second", GIB) == set()
    assert curve("alone") == curve("first") == curve("second")
    assert decoded(replace(cfg, lambda1=0.5), "other setting", GIB) == set()
    (large, *_) = sorted(stored(folder()), key=lambda file: -file.bytes)
    content = large.path.read_bytes()
    large.path.write_bytes(content[: -(len(content) // 2)] + bytes(len(content) // 2))
    assert decoded(replace(cfg, k=3), "spoilt", GIB)
    assert decoded(replace(cfg, teacher=0.2, jitter=0.5), "colours", GIB) == learnt
    assert decoded(replace(cfg, method="afa", unfreeze_blocks=2), "cams", GIB) == learnt


def test_bf16_halves_the_rows_and_is_a_setting_of_the_run_with_and_without_them(tiny: Config, tmp_path: Path) -> None:
    cfg, sizes = replace(tiny, num_train=8, epochs=1, unfreeze_blocks=1), []
    for name in ("float32", "bf16"):
        fit(replace(cfg, features_dtype=name), tmp_path / name, cache_gib=GIB)
        sizes.append(held())
        shutil.rmtree(folder())
    assert sizes[0] == 2 * sizes[1] > 0
    exact, rounded = (build(replace(cfg, features_dtype=name), 9).encoder for name in ("float32", "bf16"))
    rounded.load_state_dict(exact.state_dict())
    image = torch.rand(1, 3, 96, 96)
    for count, changed in {1: True, 3: False}.items():  # of three blocks
        exact.open_last(count)
        rounded.open_last(count)
        for x, y in zip(exact.frozen_features(image), rounded.frozen_features(image), strict=True):
            assert torch.equal(y, x.bfloat16().float() if changed else x)
            assert torch.equal(y, x) != changed


def test_other_closed_weights_data_or_arithmetic_have_rows_of_their_own(
    tiny: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = replace(tiny, unfreeze_blocks=1)
    encoder = build(cfg, 9).encoder
    encoder.open_last(1)
    shown = Shown("data", {TRAIN: 32, VAL: 8}, {TRAIN: range(32), VAL: range(8)}, lambda key: torch.zeros(()))

    def names(shown: Shown, cfg: Config = cfg) -> set[str]:
        kept = feature_cache.SharedFeatures(encoder, FeatureStore(GIB), cfg, "cpu", shown)
        return {kept.kind_of(kind, rounded=rounded).name for kind in (TRAIN, VAL) for rounded in (False, True)}

    known = names(shown)
    assert len(known) == 4
    assert names(shown, replace(cfg, lambda1=0.5, seed=3, num_train=9)) == known
    others = [shown._replace(data="other"), shown._replace(listed={TRAIN: 33, VAL: 9})]
    assert not known & set().union(*map(names, others), names(shown, replace(cfg, image_size=80, eval_size=64)))

    usual, keys = made_by(encoder, cfg, "cpu"), set()
    with torch.no_grad():
        first, *_, last = dict(encoder.vit.blocks.named_parameters()).values()
        last.add_(1)  # open
        assert made_by(encoder, cfg, "cpu") == usual
        for tensor in (first, next(encoder.vit.patch_embed.parameters()), encoder.mean):
            tensor.view(-1)[0] += 1
            keys.add(made_by(encoder, cfg, "cpu"))
    encoder.open_last(2)
    keys.add(made_by(encoder, cfg, "cpu"))
    keys.add(made_by(encoder, replace(cfg, amp="bf16"), "cpu"))
    keys.add(made_by(encoder, replace(cfg, features_dtype="bf16"), "cpu"))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    keys.add(made_by(encoder, cfg, "cpu"))
    assert len(keys - {usual}) == 7


def test_the_flag_reaches_the_run_from_a_search_from_python_and_from_a_worker(tiny: Config, tmp_path: Path) -> None:
    assert resources_of(Workers(cache_gib=GIB)).cache_gib == GIB
    cfg = replace(tiny, num_train=8, num_val=4, epochs=1, unfreeze_blocks=1, crf="none")
    train_one(cfg, runs=tmp_path / "a", device="cpu", report=lambda line: None, threads=1, cache_gib=GIB)
    assert (there := held()) > 0
    shutil.rmtree(folder())
    apc.train(replace(cfg, k=3), runs=tmp_path / "b", device="cpu", cache_gib=GIB)
    assert held() == there
    with pytest.raises(ValueError, match=r"^--cache-gib is 1e\+09; .*/features has room for \d+\.\d GiB; give less"):
        apc.train(replace(cfg, k=4), runs=tmp_path / "b", device="cpu", cache_gib=1e9)
    assert not list((tmp_path / "b").glob("*/last.pt"))
