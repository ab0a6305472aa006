"""ViT-PCM's two views: turns, crops and mosaics that lie on each other, and colours that differ."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from apc.config import Config, pocket
from apc.methods import vit_pcm as module
from apc.methods.vit_pcm import ViTPCM, cce
from apc.methods.vit_pcm_views import View, cut, draw_view, mosaic, recolour, seen

ALL_TURNS = torch.tensor([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)]).bool()


def whole(turns: torch.Tensor, side: int) -> View:
    n = len(turns)
    return View(torch.arange(n) % n, torch.zeros(n, 2, dtype=torch.long), torch.full((n,), side), turns, side)


def test_turning_back_gives_the_map_again() -> None:
    x = torch.rand(8, 3, 12, 12)
    turned = seen(x, whole(ALL_TURNS, 12), 12)
    assert [torch.allclose(turned[i], x[i], atol=1e-4) for i in range(8)] == [True] + [False] * 7
    up, left, swap = ALL_TURNS.unbind(1)
    # rows and columns change places last, so on the way back it is the columns' turn that was the rows'
    back = torch.stack([torch.where(swap, left, up), torch.where(swap, up, left), swap], 1)
    torch.testing.assert_close(seen(turned, whole(back, 12), 12), x, atol=1e-4, rtol=0)


def test_turns_are_flips_and_then_a_transposition() -> None:
    x = torch.rand(8, 1, 6, 6)
    turned = seen(x, whole(ALL_TURNS, 6), 6)
    for i, (up, left, swap) in enumerate(ALL_TURNS.tolist()):
        by_hand = x[i].flip([dim for dim, flipped in ((1, up), (2, left)) if flipped])
        by_hand = by_hand.mT if swap else by_hand
        torch.testing.assert_close(turned[i], by_hand, atol=1e-4, rtol=0)


def test_a_crop_is_resized_with_aligned_corners() -> None:
    x = torch.rand(1, 2, 24, 24)
    view = View(torch.zeros(1, dtype=torch.long), torch.tensor([[5, 16]]), torch.tensor([8]), ALL_TURNS[:1], 24)
    by_hand = F.interpolate(x[..., 5:13, 16:24], size=(12, 12), mode="bilinear", align_corners=True)
    torch.testing.assert_close(seen(x, view, 12), by_hand, atol=1e-4, rtol=0)


def test_a_mosaic_cut_up_gives_its_tiles_in_reading_order() -> None:
    tiles = torch.rand(8, 3, 5, 5)
    whole = mosaic(tiles)
    assert whole.shape == (2, 3, 10, 10)
    assert torch.equal(whole[1, :, :5, 5:], tiles[5]) and torch.equal(whole[0, :, 5:, :5], tiles[2])
    assert torch.equal(cut(whole), tiles)


@pytest.mark.parametrize("images", [1, 4, 6])
def test_views_fill_mosaics_and_stay_inside_their_images(images: int) -> None:
    torch.manual_seed(0)
    views = [draw_view(images, 24) for _ in range(200)]
    assert all(len(view.image) % 4 == 0 and set(view.image.tolist()) == set(range(images)) for view in views)
    corner, part = torch.cat([v.corner for v in views]), torch.cat([v.part for v in views])
    assert corner.min() >= 0 and (corner + part[:, None]).max() <= 24
    assert set(part.tolist()) == {8, 24} and (part == 8).float().mean() == pytest.approx(0.3, abs=0.05)
    assert (corner[part == 24] == 0).all() and corner[part == 8].max() == 16  # clipped to fit


class ReadsColours(ViTPCM):
    """A network that is equivariant by construction: a patch's class is its mean colour."""

    def patch_scores(self, tokens: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
        return (20 * tokens.transpose(1, 2).unflatten(2, grid)[:, :3]).softmax(1)


def mean_colours(images: torch.Tensor, frozen_features: Any = None) -> list[torch.Tensor]:
    return [F.avg_pool2d(images, 8).flatten(2).transpose(1, 2)]


def test_what_view_2_must_say_is_what_an_equivariant_network_says(monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = replace(pocket(), method="vit_pcm", weights="", image_size=192)
    method = ReadsColours(cfg, 3)
    monkeypatch.setattr(method.encoder, "forward", mean_colours)
    coarse = F.one_hot(torch.randint(3, (8, 4, 4), generator=torch.Generator().manual_seed(0)), 3).movedim(-1, 1)
    images = F.interpolate(coarse.float(), size=(192, 192), mode="bilinear", align_corners=True)
    caught: list[torch.Tensor] = []

    def catch(target: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        caught.extend((target.movedim(-1, 1), scores.movedim(-1, 1)))
        return cce(target, scores)

    monkeypatch.setattr(module, "cce", catch)
    monkeypatch.setattr(module, "merge", lambda scores, labels: scores)
    torch.manual_seed(1)
    method.loss_terms({"image": images, "labels": torch.ones(8, 2)}, 0.5)
    recoloured = caught.pop()
    caught.clear()
    monkeypatch.setattr(module, "COLOUR", 0.0)
    torch.manual_seed(1)
    method.loss_terms({"image": images, "labels": torch.ones(8, 2)}, 0.5)
    target, told = caught
    assert not torch.allclose(told, recoloured, atol=0.01)  # else the views differ in colour
    apart = (target - told).abs().mean((1, 2, 3))
    assert apart.max() < 0.08  # aligned corners shift a map by up to half a patch at its border
    for wrong in (target.flip(-1), target.flip(-2), target.mT, target.roll(1, 0)):
        assert ((wrong - told).abs().mean((1, 2, 3)) > 2 * apart).sum() >= 7


def test_the_target_has_no_gradient_and_no_dropout(tiny: Config) -> None:
    torch.manual_seed(0)
    method = ViTPCM(replace(tiny, method="vit_pcm", dropout=0.5), 9).train()
    images, labels = torch.rand(4, 3, 96, 96), torch.ones(4, 8)
    tokens, view = method.encoder(images)[-1], draw_view(4, 12)
    noisy = [method.patch_scores(tokens, (12, 12)) for _ in range(2)]
    first, again = (method.equivariance_target(tokens, scores.detach(), labels, view) for scores in noisy)
    assert not torch.equal(*noisy) and torch.equal(first, again) and not first.requires_grad
    assert method.bilstm.training and method.dropout.training
    torch.testing.assert_close(first.sum(1), torch.ones(4, 6, 6))


def test_recoloured_images_keep_their_range_and_each_has_its_own_colours() -> None:
    torch.manual_seed(0)
    images = torch.rand(1, 3, 16, 16).expand(4, -1, -1, -1)
    done = recolour(images, 0.5)
    assert done.min() >= 0 and done.max() <= 1
    assert all(not torch.allclose(done[0], done[i]) for i in range(1, 4))
    torch.testing.assert_close(recolour(images, 0.0), images)
