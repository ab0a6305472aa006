"""Components and knobs that are searched: each changes its own part of the loss."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from apc.config import Config, from_dict, pocket
from apc.methods.apc import APC
from apc.runs.scores import scores_of
from search_spaces import components

BASE = replace(pocket(), weights="")


def losses_of(cfg: Config) -> dict[str, float]:
    torch.manual_seed(0)
    method = APC(cfg, 9).eval()
    with torch.no_grad():
        method.classifier.weight *= 60  # a trained classifier is as sure
    labels = torch.zeros(4, 8)
    labels[:, 2:4] = 1
    torch.manual_seed(1)
    terms = method.loss_terms({"image": torch.rand(4, 3, 96, 96), "labels": labels, "index": torch.zeros(4, 3)}, 0.5)
    return {name: term.item() for name, term in terms.items()}


def test_each_component_of_table_8_is_a_switch_of_its_own() -> None:
    plan = components.PLAN
    rows = {point.label: from_dict(point.values, BASE) for point in plan.next([])}
    assert list(rows) == ["vit", "hv_bilstm", "akp", "pcl"]
    found = {label: losses_of(cfg) for label, cfg in rows.items()}
    bilstm = {label: sum(p.numel() for p in APC(cfg, 9).bilstm.parameters()) for label, cfg in rows.items()}
    assert bilstm["vit"] == 0 and len(set(bilstm.values())) == 2
    assert all(abs(found["vit"][term] - found["hv_bilstm"][term]) > 1e-4 for term in ("mce", "seg"))
    assert abs(found["hv_bilstm"]["mce"] - found["akp"]["mce"]) > 1e-4
    assert found["hv_bilstm"]["seg"] == found["akp"]["seg"]
    assert {label: "pce" in terms for label, terms in found.items()} == {
        "vit": False,
        "hv_bilstm": False,
        "akp": False,
        "pcl": True,
    }
    assert {k: found["pcl"][k] for k in ("mce", "seg")} == found["akp"]
    assert "miou_crf" in scores_of(BASE) and "miou_crf" not in scores_of(replace(BASE, crf="none"))


@pytest.mark.parametrize(
    ("knob", "one", "other", "term"),
    [
        ("theta", 0.5, 1.0, "mce"),
        ("k", 2, 6, "mce"),
        ("epsilon", 0.5, 0.95, "pce"),
        ("pooling", "max", "average", "mce"),
    ],
)
def test_each_searched_knob_changes_the_loss_it_belongs_to(knob: str, one: Any, other: Any, term: str) -> None:
    first, second = (losses_of(from_dict({knob: value}, BASE)) for value in (one, other))
    assert abs(first[term] - second[term]) > 1e-5
    assert all(first[name] == second[name] for name in first if name != term)
