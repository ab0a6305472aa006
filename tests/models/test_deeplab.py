"""The second stage's networks: shapes, what learns how fast, weights that fit, and learning from masks."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from apc.config import Config
from apc.models.build import build_encoder
from apc.models.deeplab import DeepLab
from apc.models.pocket_vit import pocket_vit


@pytest.fixture
def staged(tiny: Config) -> Config:
    return replace(tiny, method="vit_pcm", epochs=3, stage2_epochs=1, lr=1e-3, lr_frozen=1e-2, unfreeze_blocks=1)


def deeplab(cfg: Config, num_classes: int = 4) -> DeepLab:
    torch.manual_seed(0)
    return DeepLab(cfg, build_encoder(replace(cfg, decoder_blocks=(3,))), num_classes)


@pytest.mark.parametrize(("kind", "norm"), [("small", "layer"), ("small", "batch"), ("vit", "layer")])
def test_it_learns_masks_from_images(staged: Config, kind: str, norm: str) -> None:
    net = deeplab(replace(staged, deeplab=kind, decoder_norm=norm), 3).train()
    net.learn()
    images = torch.zeros(4, 3, 96, 96)
    images[:2, 0, 16:64, 16:64] = 1
    images[2:, 2, 32:80, 32:80] = 1
    truth = torch.where(images[:, 0] > 0, 1, torch.where(images[:, 2] > 0, 2, 0))
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(25):
        optimizer.zero_grad()
        logits = F.interpolate(net(images), size=(96, 96), mode="bilinear")
        F.cross_entropy(logits, truth).backward()
        optimizer.step()
    assert (logits.argmax(1) == truth).float().mean() > 0.9


@pytest.mark.parametrize("kind", ["small", "vit"])
def test_one_image_of_any_shape_is_read(staged: Config, kind: str) -> None:
    net = deeplab(replace(staged, deeplab=kind)).eval()
    assert net(torch.rand(1, 3, 48, 80)).shape == (1, 4, 6, 10)


def test_nothing_learns_before_the_second_stage_and_the_head_learns_faster_than_what_is_pre_trained(
    staged: Config, tmp_path: Path
) -> None:
    file = tmp_path / "vit.safetensors"
    save_file(pocket_vit().state_dict(), file)
    for kind, scales in (("small", [10.0, 10.0]), ("vit", [1.0, 10.0])):
        net = deeplab(replace(staged, deeplab=kind, weights=str(file) if kind == "vit" else ""))
        assert not any(p.requires_grad for p in net.parameters())
        net.learn()
        groups = net.groups()
        assert [group["scale"] for group in groups] == scales
        grouped = {id(p) for group in groups for p in group["params"]}  # type: ignore[attr-defined]
        assert grouped == {id(p) for p in net.parameters() if p.requires_grad}


def test_the_copy_of_the_encoder_opens_its_last_blocks_alone_and_leaves_the_first_one_as_it_is(staged: Config) -> None:
    encoder = build_encoder(replace(staged, decoder_blocks=(3,)))
    net = DeepLab(replace(staged, deeplab="vit"), encoder, 4)
    net.learn()
    open_ = {name for name, p in net.features.named_parameters() if p.requires_grad}
    assert open_ and all(name.startswith(("vit.blocks.2", "vit.norm")) for name in open_)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(1.0)
    assert all(not torch.equal(a, b) for a, b in zip(encoder.parameters(), net.features.parameters(), strict=True))


def test_closed_blocks_of_the_first_encoder_are_the_copy_s(staged: Config) -> None:
    encoder = build_encoder(replace(staged, decoder_blocks=(3,)))
    encoder.open_last(staged.unfreeze_blocks)
    net, images = DeepLab(replace(staged, deeplab="vit"), encoder, 4).eval(), torch.rand(2, 3, 96, 96)
    torch.testing.assert_close(net(images, encoder.frozen_features(images)), net(images))


def test_torchvision_s_network_takes_imagenet_weights_of_a_file_and_names_what_does_not_fit(
    staged: Config, tmp_path: Path
) -> None:
    from torchvision.models import resnet50

    cfg = replace(staged, deeplab="resnet50", deeplab_weights=str(tmp_path / "resnet.safetensors"))
    torch.manual_seed(1)
    state = {k: v for k, v in resnet50(weights=None).state_dict().items() if "num_batches" not in k}
    save_file({k: v for k, v in state.items() if k != "layer3.0.conv1.weight"}, cfg.deeplab_weights)
    with pytest.raises(ValueError, match="deeplab_weights is .*; not ImageNet weights of resnet50; .*"):
        deeplab(cfg)
    save_file(resnet50(weights=None).state_dict(), cfg.deeplab_weights)
    net = deeplab(cfg).eval()
    net.learn()
    assert [group["scale"] for group in net.groups()] == [1.0, 10.0]
    with torch.no_grad():
        assert net(torch.rand(1, 3, 64, 96)).shape == (1, 4, 8, 12)


def test_colours_are_read_as_imagenet_s_networks_read_them(staged: Config) -> None:
    net, read = deeplab(replace(staged, deeplab="small")).eval(), []
    net.features.register_forward_pre_hook(lambda _, given: read.append(given[0]))
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    for colour, expected in ((mean, 0.0), (mean + std, 1.0)):
        net(colour.view(1, 3, 1, 1).expand(1, 3, 96, 96))
        torch.testing.assert_close(read.pop(), torch.full((1, 3, 96, 96), expected), atol=1e-6, rtol=0)
