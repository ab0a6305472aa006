"""Where an encoder's weights come from, and what is said where they cannot be had."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from refusal import flags, refused
from safetensors.torch import save_file

from apc.config import Config, voc
from apc.models import weights
from apc.models.build import build_encoder
from apc.models.pocket_vit import pocket_vit
from apc.training.run import run


def test_without_network_or_file_one_sentence_says_what_to_fetch_before_anything_starts(
    photographs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_network(*args: Any, **more: Any) -> None:
        raise OSError("no route")

    def started(*args: Any) -> None:
        raise AssertionError("data is read though there are no weights")

    monkeypatch.setattr(weights, "urlopen", no_network)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *args: None)
    for name in ("fingerprint", "load", "files"):
        monkeypatch.setattr(f"apc.data.{name}", started)
    told = "of timm/vit_base_patch16_384.augreg_in21k_ft_in1k from the Hugging Face hub elsewhere", "--weights FILE"
    runs = photographs.parent / "runs"
    refused(["train", "voc", "--root", str(photographs), "--runs", str(runs)], capsys, "no route", *told)
    refused(flags(photographs, "--weights", "absent.pth"), capsys, "there is no file absent.pth")
    assert not runs.exists()


def test_a_tag_that_timm_lacks_is_answered_with_those_it_has() -> None:
    with pytest.raises(ValueError, match=r"orig_in21k_ft_in1k"):
        weights.weights_file(replace(voc(), encoder="vit_base_patch16_384.augreg_in22k"))


def test_weights_on_disk_are_loaded_and_known_by_their_contents(tiny: Config, tmp_path: Path) -> None:
    torch.manual_seed(3)
    state = pocket_vit().state_dict()
    save_file(state, tmp_path / "a.safetensors")
    save_file(state, tmp_path / "b.safetensors")
    a, b = (replace(tiny, weights=str(tmp_path / name)) for name in ("a.safetensors", "b.safetensors"))
    assert weights.fingerprint(a) == weights.fingerprint(b) != weights.fingerprint(tiny) == ""
    torch.testing.assert_close(build_encoder(a).vit.state_dict()["pos_embed"], state["pos_embed"])


def test_bf16_trains_on_a_cpu_and_is_close_to_float32(tiny: Config, tmp_path: Path) -> None:
    plain, half = (run(replace(tiny, amp=amp), runs=tmp_path) for amp in ("none", "bf16"))
    assert plain.run != half.run
    assert half.curve[0]["loss"] != plain.curve[0]["loss"]
    assert half.curve[0]["loss"] == pytest.approx(plain.curve[0]["loss"], rel=0.05)


@pytest.mark.parametrize("name", ["deit_tiny_patch16_224", "pocket"])
def test_every_block_attends_through_torch_s_fused_attention(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = replace(voc(), encoder=name, weights="", image_size=32, eval_size=0, decoder_blocks=(1, 2, 3))
    encoder, calls = build_encoder(cfg), []
    fused = torch.nn.functional.scaled_dot_product_attention

    def counted(*args: Any, **more: Any) -> torch.Tensor:
        calls.append(args[0].shape)
        return fused(*args, **more)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", counted)
    encoder(torch.rand(1, 3, 32, 32))
    attentions: list[Any] = [block.attn for block in encoder.vit.blocks]
    assert all(attention.fused_attn for attention in attentions) and len(calls) == len(attentions) == encoder.depth


def other_shapes() -> dict[str, Any]:
    """Files that torch reads and that are no weights of the tiny ViT."""
    state = pocket_vit().state_dict()
    return {
        "a list": [1, 2],
        "a tensor": torch.zeros(3),
        "numbers for names": {1: torch.zeros(3)},
        "texts for tensors": {"a": "b"},
        "a model that is a list": {"model": [torch.zeros(3)]},
        "a sparse tensor": {"a": torch.eye(3).to_sparse()},
        "positions of half the picture": state | {"pos_embed": state["pos_embed"][:, :7]},
        "positions of one axis": state | {"pos_embed": state["pos_embed"][0, 0]},
        "a patch embedding of one axis": state | {"patch_embed.proj.weight": torch.zeros(4)},
        "no tensor at all": {},
        "not a number": state | {"norm.bias": torch.full_like(state["norm.bias"], torch.nan)},
        "infinity in half precision": state | {"norm.bias": torch.full((64,), torch.inf, dtype=torch.bfloat16)},
    }


SHAPES = {
    "a list": "holds a list; it must hold tensors by name",
    "a tensor": "holds a Tensor; it must hold tensors by name",
    "numbers for names": "holds a Tensor by the name 1; it must",
    "texts for tensors": "holds a str by the name 'a'; it must",
    "a model that is a list": "holds a list; it must hold tensors by name",
    "a sparse tensor": "holds a as a sparse or quantised tensor",
    "positions of half the picture": "not weights of pocket",
    "positions of one axis": "not weights of pocket",
    "a patch embedding of one axis": "not weights of pocket",
    "no tensor at all": "not weights of pocket",
    "not a number": "holds numbers that are not finite (NaN or infinity), first in norm.bias",
    "infinity in half precision": "holds numbers that are not finite (NaN or infinity), first in norm.bias",
}


@pytest.mark.parametrize("name", SHAPES)
def test_weights_of_every_wrong_shape_are_refused_in_one_sentence(tiny: Config, tmp_path: Path, name: str) -> None:
    torch.save(other_shapes()[name], tmp_path / "a.pth")
    with pytest.raises(ValueError) as told:
        build_encoder(replace(tiny, weights=str(tmp_path / "a.pth")))
    assert str(tmp_path / "a.pth") in str(told.value) and SHAPES[name] in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("length", [0, 2, 60])
def test_a_file_of_weights_that_ends_early_is_refused_in_one_sentence(tmp_path: Path, length: int) -> None:
    path = tmp_path / "a.pth"
    torch.save({"a": torch.ones(3)}, path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ValueError, match=rf"^weights: {path} is not a weights file \(EOFError\)$"):
        weights.read_weights(str(path))
