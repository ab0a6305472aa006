"""Tiles of a large photograph: where they lie, how they are blended, and what becomes of labels, heat and memory."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from predictions import picture
from torch import Tensor

from apc.data.transforms import as_floats, squash
from apc.methods.checkpoint import load_model
from apc.models.crf import CRF, CRFPool, dense_crf
from apc.prediction.segment import Segmenter
from apc.prediction.tiles import Shrunk, ahead, blended, require_tile, spans


@pytest.mark.parametrize("length", [1, 9, 10, 11, 17, 18, 26, 100, 101])
@pytest.mark.parametrize("overlap", [0, 1, 4])
def test_tiles_cover_a_side_overlap_enough_and_their_weights_sum_to_one(length: int, overlap: int) -> None:
    found, total = spans(length, 10, overlap), np.zeros(length)
    for span in found:
        total[span.pixels] += span.weights.numpy()
        assert (span.weights > 0).all() and len(span.weights) == min(10, length)
    np.testing.assert_allclose(total, 1, atol=1e-6)
    assert found[0].start == 0 and found[-1].stop == length
    assert all(a.stop - b.start >= overlap for a, b in zip(found, found[1:], strict=False))
    assert len(found) == max(1, -(-(length - overlap) // (10 - overlap)))


def test_a_tile_fades_over_the_overlap_and_not_at_the_photographs_end() -> None:
    first, second = spans(16, 10, 4)
    np.testing.assert_allclose(first.weights, [1] * 6 + [7 / 8, 5 / 8, 3 / 8, 1 / 8], atol=1e-6)
    np.testing.assert_allclose(second.weights, first.weights.flip(0), atol=1e-6)


@pytest.mark.parametrize(("height", "width"), [(10, 10), (26, 11), (37, 53)])
def test_blending_is_the_weighted_sum_of_all_tiles(height: int, width: int) -> None:
    rows, columns, generator = spans(height, 10, 3), spans(width, 10, 3), torch.Generator().manual_seed(0)
    tiles = {(r.start, c.start): torch.rand(2, 10, 10, generator=generator) for r in rows for c in columns}
    expected, seen = torch.zeros(2, height, width), torch.zeros(2, height, width)
    for r in rows:
        for c in columns:
            tile = tiles[r.start, c.start]
            expected[:, r.pixels, c.pixels] += tile * r.weights[:, None] * c.weights
    for block in blended(rows, columns, iter([tiles[r.start, c.start] for r in rows for c in columns])):
        assert not seen[:, block.rows, block.columns].any()  # no pixel twice
        seen[:, block.rows, block.columns] = block.values
    torch.testing.assert_close(seen, expected)


def test_a_photograph_shrinks_to_the_means_of_its_cells() -> None:
    whole = torch.rand(2, 30, 44, generator=torch.Generator().manual_seed(0))
    rows, columns = spans(30, 16, 4), spans(44, 16, 4)
    heat = Shrunk(2, 30, 44, 10)
    for row in rows:
        for column in columns:
            heat.add(row, column, whole[:, row.pixels, column.pixels])
    expected = torch.stack([whole[:, :, torch.arange(44) * 10 // 44 == i].mean(-1) for i in range(10)], -1)
    expected = expected.reshape(2, 10, 3, 10).mean(2)
    torch.testing.assert_close(heat.mean(), expected)
    assert Shrunk(2, 5, 44, 10).cells == (5, 10)  # no cell without a pixel


def test_work_ahead_keeps_its_order_and_no_more_than_it_may() -> None:
    begun: list[int] = []

    def tasks() -> Iterator[object]:
        for i in range(5):
            begun.append(i)
            yield lambda i=i: i

    results = ahead(tasks(), 2)  # type: ignore[arg-type]
    assert next(results) == 0 and begun == [0, 1, 2]
    assert list(results) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("tile", "overlap", "told"),
    [
        (40, 8, "tile is 40; it must be at least 48, the side of what the network reads"),
        (-1, 8, "tile is -1; it must be at least 48"),
        (128, 64, "tile is 128; it must be more than twice the overlap, which is 64"),
        (128, -1, "overlap is -1; it must be at least 0 pixels"),
        (0, 32, "overlap is 32; it is of tiles: name their side with --tile"),
    ],
)
def test_tiles_that_cannot_be_are_refused(tile: int, overlap: int, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        require_tile(tile, overlap, 48)
    require_tile(0, 64, 48)  # no tiles


@pytest.mark.parametrize("crf", ["none", "pocket"])
def test_a_photograph_no_larger_than_a_tile_is_labelled_as_without_tiles(model: Path, crf: str) -> None:
    method, cfg, _ = load_model(model)
    photo, cfg = np.asarray(picture(64, 50)), replace(cfg, crf=crf)
    a, b = Segmenter(method, cfg)(photo), Segmenter(method, cfg, tile=64, overlap=16)(photo)
    assert (a.labels == b.labels).all() and a.confidence == b.confidence and torch.equal(a.heat, b.heat)
    np.testing.assert_array_equal(a.scores, b.scores)


@pytest.mark.parametrize("crf", ["none", "pocket"])
def test_tiles_are_predicted_as_photographs_and_blended(model: Path, crf: str) -> None:
    method, cfg, _ = load_model(model)
    cfg = replace(cfg, crf=crf)
    photo, told = np.array(picture(64, 112)), list[float]()
    made = Segmenter(method, cfg, tile=64, overlap=16).begin(photo, None, CRFPool(0), told.append)()
    assert told == [0.5, 0.5] and made.heat.shape == (3, 48, 48)

    def probabilities(part: np.ndarray) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            small = method.predict(as_floats(squash(part, 48)[None], "cpu"))["decoder"]
            p = torch.nn.functional.interpolate(small, size=(64, 64), mode="bilinear")[0]
        return p if crf == "none" else torch.from_numpy(dense_crf(part, p.numpy(), CRF[crf])), p

    left, left_before = probabilities(photo[:, :64].copy())
    right, right_before = probabilities(photo[:, 48:].copy())
    ramp = (torch.arange(16) + 0.5) / 16

    def blend(a: Tensor, b: Tensor) -> Tensor:
        return torch.cat([a[..., :48], a[..., 48:] * (1 - ramp) + b[..., :16] * ramp, b[..., 16:]], -1)

    expected = blend(left, right)
    assert (made.labels == expected.argmax(0).numpy()).mean() > 0.998  # float32 sums in another order
    before = blend(left_before, right_before).gather(0, torch.from_numpy(made.labels.astype(np.int64))[None])[0]
    assert made.confidence == pytest.approx(float(before.mean()), abs=1e-4)
    for number, score in enumerate(made.scores):
        mine = before[torch.from_numpy(made.labels == number)]
        assert np.isnan(score) if not len(mine) else score == pytest.approx(float(mine.mean()), abs=1e-4)


def test_image_labels_rule_out_classes_in_every_tile(model: Path) -> None:
    method, cfg, _ = load_model(model)
    photo = np.asarray(picture(130, 70))
    free = Segmenter(method, cfg, tile=64, overlap=16)(photo)
    assert 2 in free.labels and 2 not in Segmenter(method, cfg, tile=64, overlap=16)(photo, [1]).labels


def test_a_tile_is_shown_at_several_scales_too(model: Path) -> None:
    method, cfg, _ = load_model(model)
    photo = np.asarray(picture(128, 64))
    several = Segmenter(method, cfg, tile=64, overlap=0, scales=(0.5, 1.0))
    alone = replace(several, tile=0)
    tiles = [alone(photo[top : top + 64].copy()).labels for top in (0, 64)]
    assert (several(photo).labels == np.concatenate(tiles)).all() and (
        alone(photo).labels != several(photo).labels
    ).any()
