"""The model card says which method learned from the labels."""

from dataclasses import replace

import pytest
import yaml
from report_rows import a_row

from apc.config import folder, plus, to_dict
from apc.methods.registry import METHODS
from apc.reporting.model_card import model_card

NAMES = {
    "apc": "Adaptive Patch Contrast (APC)",
    "vit_pcm": "ViT-PCM",
    "afa": "Affinity from Attention (AFA)",
    "toco": "Token Contrast (ToCo)",
}


@pytest.mark.parametrize("method", METHODS)
def test_a_card_names_the_method_in_full_and_as_the_config_does(method: str) -> None:
    card = model_card(a_row("x", 0, 40.0, method=method), "model")
    assert f"that is, from which classes each photograph shows, with\n{NAMES[method]}. No mask was opened" in card
    assert f"| method | {method} |" in card.replace("\\_", "_")


def test_a_card_names_the_parts_that_the_paper_does_not_have_and_k_as_what_counted() -> None:
    card = model_card(a_row("x", 0, 40.0, teacher=0.033, crop_scale=0.5, k_share=0.04, pooling="top_k"), "model")
    assert "| parts beside the paper's | crop_scale 0.5, teacher 0.033 |" in card.replace("\\_", "_")
    assert "| pooling | top_k, k = 0.04 of the patches |" in card
    paper = model_card(a_row("x", 0, 40.0), "model")
    assert "parts beside" not in paper and "k = 6, θ = 0.9 |" in paper


def test_a_method_of_another_version_is_named_as_its_row_does() -> None:
    assert "shows, with\nnew\\*method. No mask" in model_card(a_row("x", 0, 40.0, method="new*method"), "model")


@pytest.mark.parametrize(("epoch", "told"), [(10, ""), (11, "the last 1 epoch, in 1 round,"), (16, "6 epochs, in 2 ")])
def test_the_card_of_an_earlier_epoch_tells_the_rounds_until_then(epoch: int, told: str) -> None:
    card = model_card(a_row("x", 0, 40.0, epochs=20, rounds=2, round_epochs=5), "model", epoch=epoch)
    assert told in card and ("self-training" in card) == bool(told)


def test_a_card_says_that_a_model_learned_from_its_own_masks() -> None:
    card = model_card(a_row("x", 0, 40.0, epochs=20, rounds=2, round_epochs=5, round_refine="par"), "model")
    own = "from its own masks of the training photographs, refined by PAR"
    assert f"| self-training | the last 10 epochs, in 2 rounds, {own} |" in card
    assert "self-training" not in model_card(a_row("x", 0, 40.0), "model")
    scaled = a_row("x", 0, 40.0, epochs=20, rounds=2, round_epochs=5, round_refine="par", round_scales=[1.0, 1.2])
    assert f"in 2 rounds, {own}, made at 1 and 1.2 times their size |" in model_card(scaled, "model")


def test_a_card_says_that_a_model_is_of_apc_plus_and_what_weighs_in_its_rounds() -> None:
    made = to_dict(plus(folder()))
    row = replace(a_row("x", 0, 40.0), config=made)
    card = model_card(row, "model")
    assert "shows, with\nAPC+, Adaptive Patch Contrast (APC) and then training on its own masks. No mask" in card
    assert "| λ1, λ2 | 0.02, 0.01; in the rounds 1 in the place of λ1 |" in card
    first_stage = model_card(row, "model", epoch=15)
    assert "APC+" not in first_stage and "| λ1, λ2 | 0.02, 0.01 |" in first_stage
    few = made | {"epochs": 300 + 80, "round_epochs": 80}  # of 27 photographs
    assert "APC+" in model_card(replace(row, config=few), "model")
    two_rounds = made | {"rounds": 2, "epochs": 23}
    assert "APC+" in model_card(replace(row, config=two_rounds), "model")
    assert "APC+" not in model_card(replace(row, config=made | {"round_epochs": 5, "epochs": 20}), "model")
    own = made | {"round_weight": 0.5, "round_threshold": 0.7, "round_lr": 2e-4}
    own |= {"seg_loss": "balanced", "schedule": "cosine", "pseudo_threshold": 0.3}
    card = model_card(replace(row, config=own), "model").replace("\\_", "_")
    assert "1.2 times their size; round_lr 0.0002, round_weight 0.5, round_threshold 0.7 |" in card
    assert "| parts beside the paper's | pseudo_threshold 0.3, seg_loss balanced, schedule cosine |" in card
    assert "in the rounds 0.5 in the place of λ1" in card and "APC+" not in card


def test_a_card_lists_scores_of_the_test_split_on_their_own_and_counts_masks() -> None:
    row = a_row("x", 0, 40.0)
    row = replace(row, metrics={"miou": 40.0, "test_miou": 38.5}, stamp={"images": {"train": 900, "val": 200}})
    card = model_card(row, "model", scored=20)
    front = yaml.safe_load(card.split("---")[1])
    found = {
        r["dataset"]["split"]: [metric["value"] for metric in r["metrics"]] for r in front["model-index"][0]["results"]
    }
    assert found == {"validation": [40.0], "test": [38.5]}
    assert "train on, 20 (of 200) with a mask to score on." in card
    assert "train on, 200 to score on." in model_card(row, "model", scored=200)
