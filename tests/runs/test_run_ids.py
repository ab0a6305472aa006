"""Every committed row still has the identity that its own config, data and weights give it."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from apc.config import Config, to_dict
from apc.runs.rows import Row, load_rows, mended, run_id
from apc.runs.scores import RECIPE_VERSION

RESULTS = Path(__file__).parents[2] / "reports" / "reference" / "results"
FILES = sorted(RESULTS.rglob("*.jsonl"))


def trained(row: Row) -> dict[str, object]:
    """Config of the run; a row RUN@SIZE is of a run at its training size, measured again at SIZE."""
    again = row.run.partition("@")[2]
    return row.config | ({"eval_size": Config().eval_size} if again.isdigit() else {})


def test_there_are_rows_and_all_are_of_this_protocol() -> None:
    rows = [row for path in FILES for row in load_rows(path) if not row.stopped]  # what was given up has no stamp
    assert len(rows) >= 427
    assert {row.stamp["protocol"] for row in rows} == {RECIPE_VERSION}


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(RESULTS)) for path in FILES])
def test_identities_of_committed_rows_are_those_of_their_settings(path: Path) -> None:
    rows = [row for row in load_rows(path) if not row.stopped]
    now = [run_id(trained(row), row.stamp["data"], row.stamp["weights"]) for row in rows]
    assert now == [row.run.partition("@")[0] for row in rows]


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "afa", "compat": "official"},
        {"pseudo_threshold": 0.5},
        {"crf": "irn"},
        {"rounds": 1, "seg_stride": 4},
        {"rounds": 1, "crop_scale": 0.5},
        {"rounds": 1, "warmup_steps": 9},
        {"method": "vit_pcm", "stage2_epochs": 1, "seg_stride": 4},
        {"method": "vit_pcm", "stage2_epochs": 1, "deeplab": "vit", "lr_decay": 0.5},
        {"seg_stride": 3},
        {"method": "toco", "energy_weight": 0.05},
        {"crop_scale": 0.9},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_a_setting_whose_numbers_were_mended_has_an_identity_of_its_own(changes: dict[str, Any]) -> None:
    assert mended(to_dict(Config())) == []
    for name in changes:
        fewer = replace(Config(), **{k: v for k, v in changes.items() if k != name})
        assert mended(to_dict(fewer)) == []
    assert len(mended(to_dict(replace(Config(), **changes)))) == 1
    assert run_id(to_dict(replace(Config(), **changes)), "data", "weights") != run_id_before(changes)


def run_id_before(changes: dict[str, Any]) -> str:
    """The identity that the first edition gave a setting of these fields."""
    text = json.dumps([changes, "data", "weights", RECIPE_VERSION], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
