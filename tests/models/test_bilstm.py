"""How HV-BiLSTM begins, and where dropout stands around it."""

from dataclasses import replace
from math import exp, tanh

import pytest
import torch
from torch import Tensor, nn

from apc.config import Config
from apc.methods.registry import build
from apc.models.bilstm import HVBiLSTM


@pytest.mark.parametrize("direction", ["", "_reverse"])
@pytest.mark.parametrize("axis", ["horizontal", "vertical"])
def test_the_forget_bias_starts_at_1_and_the_others_at_0(axis: str, direction: str) -> None:
    lstm = getattr(HVBiLSTM(8), axis)  # two units a direction
    # torch's gates i, f, g, o of two units each; its second bias adds to the first
    assert getattr(lstm, f"bias_ih_l0{direction}").tolist() == [0, 0, 1, 1, 0, 0, 0, 0]
    assert getattr(lstm, f"bias_hh_l0{direction}").tolist() == [0] * 8


def test_a_cell_remembers_what_a_forget_gate_of_1_lets_through() -> None:
    for lstm in (HVBiLSTM(8).horizontal, HVBiLSTM(8).vertical):
        nothing = torch.zeros(1, 1, 8), torch.zeros(2, 1, 2)  # no input and no output yet: kernels have no say
        output, (_, cell) = lstm(nothing[0], (nothing[1], torch.full((2, 1, 2), 3.0)))
        kept = 3.0 / (1 + exp(-1.0))  # sigmoid(1) of the cell, and sigmoid(0) tanh(0) of the input
        torch.testing.assert_close(cell, torch.full((2, 1, 2), kept))
        torch.testing.assert_close(output, torch.full((1, 1, 4), 0.5 * tanh(kept)))  # an output gate of sigmoid(0)


def test_recurrent_kernels_start_orthogonal_and_input_kernels_glorot() -> None:
    torch.manual_seed(0)
    lstm = HVBiLSTM(64).horizontal
    turned = lstm.weight_hh_l0.T @ lstm.weight_hh_l0
    torch.testing.assert_close(turned, torch.eye(16), rtol=0, atol=1e-5)
    limit = (6 / (64 + 64)) ** 0.5  # of 64 inputs and four gates of 16 units
    assert 0.99 * limit < lstm.weight_ih_l0.abs().max().item() <= limit


@pytest.mark.parametrize("method", ["apc", "vit_pcm"])
def test_dropout_stands_before_the_bilstm_and_before_the_classifier(tiny: Config, method: str) -> None:
    torch.manual_seed(0)
    model = build(replace(tiny, method=method, image_size=32, dropout=0.25), 9).train()
    zeros: dict[nn.Module, float] = {}  # their share in what a module reads first

    def reads(module: nn.Module, read: tuple[Tensor, ...]) -> None:
        zeros.setdefault(module, (read[0] == 0).float().mean().item())

    for module in (model.bilstm.horizontal, model.bilstm.vertical, model.classifier):
        module.register_forward_pre_hook(reads)
    model.loss_terms({"image": torch.rand(4, 3, 32, 32), "labels": torch.ones(4, 8)}, 0.5)
    assert list(zeros.values()) == pytest.approx([0.25, 0.25, 0.25], abs=0.03)


def test_the_decoder_drops_its_own_share(tiny: Config) -> None:
    decoder = build(replace(tiny, dropout=0.25, decoder_dropout=0.5), 9).decoder
    assert [m.p for m in decoder.modules() if isinstance(m, (nn.Dropout, nn.Dropout2d))] == [0.5]


class OnGPU(Tensor):
    """A tensor that says it lies on a GPU, which none of the machines that run the tests has."""

    is_cuda = True  # type: ignore[assignment]


@pytest.mark.parametrize("kind", [Tensor, OnGPU])
def test_under_autocast_it_computes_in_float32_wherever_it_is(kind: type[Tensor]) -> None:
    torch.manual_seed(0)
    bilstm, x = HVBiLSTM(8), torch.rand(1, 2, 3, 8)
    exact = bilstm(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(bilstm(x.as_subclass(kind)), exact)
