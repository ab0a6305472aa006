"""MiT-B1: its shapes, its weights by either set of names, its place as an encoder, and SegFormer's head."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from apc.config import Config
from apc.models.build import build_encoder
from apc.models.mit import MiT, MiTEncoder, ReducedAttention, SegFormerHead, build_mit
from apc.models.mit_weights import own_names

CFG = Config(
    method="afa", encoder="mit_b1", image_size=96, decoder_blocks=(1, 2, 3, 4), frozen_epochs=0, unfreeze_blocks=8
)


@pytest.fixture(scope="module")
def mit() -> MiT:
    torch.manual_seed(0)
    return MiT()


def released(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our tensors under the names of SegFormer's release, with the classifier that its file has too."""
    named = {}
    for name, tensor in state.items():
        stage, rest = re.match(r"stages\.(\d)\.(.*)", name).groups()  # type: ignore[union-attr]
        number = int(stage) + 1
        rest = rest.replace("mlp.dwconv.", "mlp.dwconv.dwconv.")
        rest = re.sub("^embed", f"patch_embed{number}", re.sub("^blocks", f"block{number}", rest))
        named[re.sub("^norm", f"norm{number}", rest)] = tensor
    return named | {"head.weight": torch.zeros(1000, 512), "head.bias": torch.zeros(1000)}


def on_the_hub(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our tensors under the names of the copy on the hub, whose keys and values are apart."""
    named = {}
    for name, tensor in state.items():
        _, stage, part, *rest = name.split(".")
        if part == "embed":
            inner = {"proj": "proj", "norm": "layer_norm"}[rest[0]]
            named[f"segformer.encoder.patch_embeddings.{stage}.{inner}.{rest[1]}"] = tensor
        elif part == "norm":
            named[f"segformer.encoder.layer_norm.{stage}.{rest[0]}"] = tensor
        else:
            start, inner, kind = f"segformer.encoder.block.{stage}.{rest[0]}.", ".".join(rest[1:-1]), rest[-1]
            if inner == "attn.kv":
                key, value = tensor.chunk(2)
                named[f"{start}attention.self.key.{kind}"] = key
                named[f"{start}attention.self.value.{kind}"] = value
                continue
            there = {
                "norm1": "layer_norm_1",
                "norm2": "layer_norm_2",
                "attn.q": "attention.self.query",
                "attn.sr": "attention.self.sr",
                "attn.norm": "attention.self.layer_norm",
                "attn.proj": "attention.output.dense",
                "mlp.fc1": "mlp.dense1",
                "mlp.fc2": "mlp.dense2",
                "mlp.dwconv": "mlp.dwconv.dwconv",
            }
            named[f"{start}{there[inner]}.{kind}"] = tensor
    return named | {"classifier.weight": torch.zeros(1000, 512), "classifier.bias": torch.zeros(1000)}


def test_it_has_the_published_number_of_weights(mit: MiT) -> None:
    """13.15 million; with the 513,000 of the classifier that we leave out, the 13.7 million of the paper's table."""
    count = sum(p.numel() for p in mit.parameters())
    assert count == 13_151_424
    assert round((count + 512 * 1000 + 1000) / 1e6, 1) == 13.7


def test_its_maps_stand_at_a_fourth_an_eighth_and_twice_a_sixteenth_of_the_image(mit: MiT) -> None:
    shapes = [tuple(m.shape) for m in mit(torch.rand(2, 3, 96, 128))]
    assert shapes == [(2, 64, 24, 32), (2, 128, 12, 16), (2, 320, 6, 8), (2, 512, 6, 8)]


def test_an_encoder_gives_the_tokens_of_its_taps_on_their_grids_and_its_output_last() -> None:
    encoder, images = MiTEncoder((1, 3)), torch.rand(1, 3, 64, 96)
    assert [t.shape for t in encoder(images)] == [(1, 384, 64), (1, 24, 320), (1, 24, 512)]
    assert encoder.grids(images) == [(16, 24), (4, 6), (4, 6)]
    assert encoder.grid(images) == (4, 6)


def test_it_reads_no_image_smaller_than_its_least_side() -> None:
    encoder = MiTEncoder((1,))
    assert encoder.least == 32 and encoder(torch.rand(1, 3, 32, 48))[-1].shape == (1, 6, 512)
    with pytest.raises(RuntimeError, match="Kernel size"):
        encoder(torch.rand(1, 3, 16, 48))


@pytest.mark.parametrize("names", [released, on_the_hub])
def test_weights_under_either_set_of_names_are_loaded(mit: MiT, tmp_path: Path, names: object) -> None:
    file = tmp_path / "mit_b1.pth"
    torch.save(names(mit.state_dict()), file)  # type: ignore[operator]
    encoder = build_encoder(replace(CFG, weights=str(file)))
    assert isinstance(encoder, MiTEncoder)
    for name, tensor in mit.state_dict().items():
        assert torch.equal(encoder.vit.state_dict()[name], tensor), name


def test_weights_of_a_whole_segmentation_network_lose_only_their_decoder(mit: MiT) -> None:
    state = {f"backbone.{k}": v for k, v in released(mit.state_dict()).items() if not k.startswith("head")}
    named = own_names(state | {"decode_head.linear_pred.weight": torch.zeros(21, 256, 1, 1)})
    assert named.keys() == mit.state_dict().keys()


def test_weights_of_another_network_are_refused_by_name(mit: MiT, tmp_path: Path) -> None:
    state = released(mit.state_dict())
    state.pop("block3.1.attn.kv.weight")
    torch.save(state, tmp_path / "b1.pth")
    with pytest.raises(ValueError, match=r"1 do not fit, first stages.2.blocks.1.attn.kv.weight"):
        build_mit(replace(CFG, weights=str(tmp_path / "b1.pth")))


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"method": "apc"}, "it goes with method afa"),
        ({"decoder_blocks": (3, 6, 9, 12)}, r"stages 1 to 4"),
        ({"image_size": 72}, "image_size is 72"),
        ({"eval_size": 32}, "eval_size is 32"),
        ({"unfreeze_blocks": 5}, "unfreeze_blocks is 5"),
        ({"weights": "pocket"}, "weights is 'pocket'"),
    ],
)
def test_what_does_not_fit_it_is_said_in_a_sentence(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        build_encoder(replace(CFG, **changes))  # type: ignore[arg-type]


def test_it_opens_as_a_whole_or_not_at_all() -> None:
    encoder = build_encoder(CFG)
    encoder.open_last(8)
    assert all(p.requires_grad for p in encoder.parameters())
    encoder.open_last(8, learn=False)
    assert not any(p.requires_grad for p in encoder.parameters())


def test_attention_equals_a_softmax_over_the_coarser_keys_written_out() -> None:
    torch.manual_seed(1)
    attention, x = ReducedAttention(8, 2, 2), torch.randn(1, 24, 8)
    coarse = attention.norm(attention.sr(x.transpose(1, 2).reshape(1, 8, 4, 6)).flatten(2).transpose(1, 2))
    q, (k, v) = attention.q(x), attention.kv(coarse).chunk(2, dim=-1)
    heads = []
    for at in (slice(0, 4), slice(4, 8)):
        heads.append((q[..., at] @ k[..., at].transpose(1, 2) / 2).softmax(-1) @ v[..., at])
    expected = attention.proj(torch.cat(heads, dim=-1))
    torch.testing.assert_close(attention(x, (4, 6)), expected)


def test_the_head_that_mixes_before_it_resizes_equals_the_one_that_mixes_after() -> None:
    torch.manual_seed(2)
    head = SegFormerHead([6, 10], 3, Config(decoder_width=8, decoder_dropout=0.5)).eval()
    assert isinstance(head.norm, nn.BatchNorm2d)
    nn.init.uniform_(head.norm.running_mean)  # type: ignore[arg-type]
    blocks = [torch.randn(2, 8, 12, 6), torch.randn(2, 2, 3, 10)]
    maps = [p(x).permute(0, 3, 1, 2) for p, x in zip(head.projections, blocks, strict=True)]
    maps = [F.interpolate(m, size=(8, 12), mode="bilinear", align_corners=False) for m in maps]
    mixed = F.conv2d(torch.cat(maps, dim=1), head.mix.weight[:, :, None, None])
    expected = head.classify(F.relu(head.norm(mixed)))
    torch.testing.assert_close(head(blocks), expected, atol=1e-5, rtol=1e-5)
