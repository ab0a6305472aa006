"""PAR, class activation maps and labels made from them, against the official numbers and by what must hold."""

import pytest
import torch
from golden_files import boxed, tensors

from apc.methods import losses
from apc.methods.affinity import Levels
from apc.methods.cam import cam_probabilities, cam_to_label, multi_scale_cam, refined_label
from apc.models.par import PAR


@pytest.mark.parametrize("case", ["a", "b", "c"])
def test_golden_par(case: str) -> None:
    g = tensors("par_refine")
    par = PAR(tuple(g[f"dil_{case}"].tolist()), int(g[f"iter_{case}"]))
    torch.testing.assert_close(par(g["imgs"], g["masks"]), g[f"out_{case}"], atol=1e-5, rtol=0)


def test_golden_par_of_one_step_on_scores_of_full_size() -> None:
    g = tensors("par_refine")
    torch.testing.assert_close(PAR(iterations=1)(g["imgs"], g["masks_full"]), g["out_one_step"], atol=1e-5, rtol=0)


def test_par_keeps_a_constant_but_for_one_percent_a_step() -> None:
    par = PAR((1, 2), 7)
    out = par(torch.rand(1, 3, 9, 11), torch.full((1, 2, 9, 11), 0.4))
    torch.testing.assert_close(out, torch.full_like(out, 0.4 * 1.01**7))


def test_par_moves_a_border_to_the_colours_edge() -> None:
    image = torch.zeros(1, 3, 16, 16)
    image[..., 8:] = 1.0  # the colour changes at column 8, the scores at column 6
    scores = torch.zeros(1, 2, 16, 16)
    scores[:, 0, :, :6], scores[:, 1, :, 6:] = 1.0, 1.0
    winner = PAR((1, 2, 4), 10)(image, scores).argmax(1)[0]
    assert (winner[:, 8:] == 1).all() and (winner[:, 6:8] == 0).all()


@pytest.mark.parametrize("name", ["toco", "afa"])
def test_golden_refined_label(name: str) -> None:
    g = tensors("refine_label")
    cam = torch.zeros(2, 20, 64, 64)
    for (image, channel), present in zip(g["present"].tolist(), g["present_cams"], strict=True):
        cam[image, channel] = present
    high, low = g[f"thre_{name}"].tolist()
    ours = boxed(refined_label(PAR(), g["images"], cam, g["cls_label"], Levels(high, low)), g["img_box"])
    assert (ours == g[f"refined_{name}"].long()).float().mean() > 0.999


def test_golden_cam_over_scales() -> None:
    g = tensors("multiscale_cam")
    for weight, name in (("w_cls", "cam"), ("w_aux", "cam_aux")):
        kernel = g[weight][:, :, None, None]

        def maps(images: torch.Tensor, kernel: torch.Tensor = kernel) -> torch.Tensor:
            return torch.nn.functional.conv2d(torch.nn.functional.avg_pool2d(images, 16), kernel)

        ours = multi_scale_cam(maps, g["inputs"], tuple(g["scales"].tolist()))
        torch.testing.assert_close(ours, g[name], atol=1e-5, rtol=0)


def test_golden_labels_of_a_cam() -> None:
    g = tensors("toco_ptc")
    ours = cam_to_label(g["cam"], g["cls_label"], Levels(float(g["high_thre"]), float(g["low_thre"])))
    assert torch.equal(boxed(ours, g["img_box"]), g["pseudo_label"])
    plain = cam_to_label(g["cam"], g["cls_label"], Levels(float(g["bkg_thre"]), float(g["bkg_thre"])))
    assert torch.equal(plain, g["pseudo_label_eval"])


def test_golden_balanced_segmentation_and_no_division_by_zero() -> None:
    g = tensors("balanced_seg_loss")
    logits = g["logits"].requires_grad_()
    loss = losses.balanced_segmentation(logits, g["label"])
    loss.backward()
    assert loss.item() == pytest.approx(float(g["loss"]), abs=1e-5)
    torch.testing.assert_close(logits.grad, g["grad"], rtol=1e-5, atol=1e-8)
    for label in (g["label_no_bg"], torch.full_like(g["label"], 255), torch.zeros_like(g["label"])):
        assert torch.isfinite(losses.balanced_segmentation(logits, label))
        assert torch.isnan(losses.balanced_segmentation(logits, label, "official"))
    assert torch.isnan(g["loss_no_bg"]) and torch.isnan(g["loss_all_ignore"])
    assert torch.equal(losses.balanced_segmentation(logits, g["label"], "official"), loss)


def test_a_class_whose_map_is_negative_everywhere_wins_no_pixel() -> None:
    cam = torch.stack([torch.linspace(-1, 2, 16).view(4, 4), torch.linspace(-3, -1, 16).view(4, 4)])[None]
    scaled = multi_scale_cam(lambda x: cam.expand(len(x), -1, -1, -1), torch.rand(1, 3, 4, 4), (1.0,))
    found = cam_probabilities(scaled, 0.45)
    torch.testing.assert_close(found.sum(1), torch.ones(1, 4, 4))
    assert set(found.argmax(1).unique().tolist()) == {0, 1} and (found[:, 2] == 0).all()
