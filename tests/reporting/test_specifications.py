"""Specification curves: which rows make a specification, each once, and what the page says of them."""

from pathlib import Path
from typing import Any

import pytest
from report_rows import a_row

from apc.reporting.groups import separate
from apc.reporting.section import Section
from apc.reporting.specifications import QUESTIONS, Specification, marks, specifications
from apc.reporting.specifications_page import NAME, specifications_page
from apc.reporting.table_entry import Claim, TableEntry
from apc.reporting.verdicts.claims import judge_group
from apc.runs.rows import Row

ADAPTIVE_K, PATCH_CONTRAST = QUESTIONS
CLAIM = Claim("adaptive-K beats max", "adaptive_k", "max", 1.8, "Table 7", ("miou_crf", "miou"))


def table(name: str, rows: list[Row], dataset: str = "pocket") -> Section:
    entry = TableEntry(name=name, title=f"{name}: of a test", claims=(CLAIM,))
    groups = separate(rows)
    judged = [each for group in groups for each in judge_group(entry, group, dataset)]
    return Section(entry, dataset, [], True, judged=judged, rows=rows, compared=groups)


def pooled(gain: float, seeds: int = 3, **fields: Any) -> list[Row]:
    """max and adaptive_k, which is `gain` + seed better by `miou` and 1 less after the CRF; and rows of no pair."""
    more = [{"miou_crf": 40.0 - own, "miou_ms": 1.0, "precision": 2.0, "train_seconds": 3.0} for own in (0, 1)]
    return [
        *(a_row("max", s, 30.0, more[0], pooling="max", **fields) for s in range(seeds)),
        *(a_row("adaptive_k", s, 30.0 + gain + s, more[1], pooling="adaptive_k", k=3, **fields) for s in range(seeds)),
        *(a_row("other", s, 50.0, more[0], pooling="adaptive_k", lambda1=0.5, **fields) for s in range(seeds)),
        *(a_row("top_k", s, 60.0, more[0], pooling="top_k", **fields) for s in range(seeds)),
    ]


def told(specs: list[Specification]) -> list[tuple[str, str, float, int]]:
    return [(each.dataset, each.metric, each.difference.summary.mean, each.difference.summary.n) for each in specs]


def test_every_score_of_two_rows_that_differ_in_the_knob_alone_is_a_specification_by_rising_difference() -> None:
    specs = specifications(
        ADAPTIVE_K, [table("Table 7", pooled(2.0)), table("Table 7", pooled(-4.0, 1, data="cats"), "cats")]
    )
    assert told(specs) == [
        ("cats", "miou", -4.0, 1),
        ("cats", "patch_miou", -4.0, 1),
        ("cats", "miou_crf", -1.0, 1),
        ("pocket", "miou_crf", -1.0, 3),
        ("cats", "miou_ms", 0.0, 1),
        ("pocket", "miou_ms", 0.0, 3),
        ("pocket", "miou", 3.0, 3),
        ("pocket", "patch_miou", 3.0, 3),
    ]
    assert {each.rows for each in specs} == {("adaptive_k", "max")} and len(specs[-1].runs) == 6
    assert [(each.metric, each.counted) for each in specs if each.counted] == [
        ("miou_crf", "Table 7")
    ] * 2  # by the claim's first metric
    assert specifications(PATCH_CONTRAST, [table("Table 7", pooled(2.0))]) == []


def test_a_weight_is_held_against_none_whatever_means_nothing_without_it() -> None:
    rows = [
        a_row(f"{lambda2} {epsilon}", s, 40.0 + 100 * lambda2, lambda2=lambda2, epsilon=epsilon)
        for lambda2, epsilon in ((0.0, 0.7), (0.01, 0.85), (0.1, 0.6))
        for s in range(2)
    ]
    specs = specifications(PATCH_CONTRAST, [table("Figure 5", rows)])
    assert [(each.rows, each.metric, round(each.difference.summary.mean)) for each in specs[::2]] == [
        (("0.01 0.85", "0.0 0.7"), "miou", 1),
        (("0.1 0.6", "0.0 0.7"), "miou", 10),
    ]
    choices = marks(specs)
    assert choices["lambda2: 0.01"] == [True, True, False, False]
    assert not any("epsilon" in choice for choice in choices)  # it divides them as lambda2 does


def test_runs_that_stand_in_two_tables_are_one_specification_that_names_both() -> None:
    again = pooled(2.0, 2)  # the same seeds 0 and 1
    others = pooled(5.0, 3, lambda2=0.0)
    specs = specifications(
        ADAPTIVE_K, [table("Table 5", again), table("Table 7", pooled(2.0)), table("Table 8", others)]
    )
    of_miou = [each for each in specs if each.metric == "miou"]
    assert [(each.tables, each.difference.summary.mean, each.difference.summary.n) for each in of_miou] == [
        (("Table 7", "Table 5"), 3.0, 3),
        (("Table 8",), 6.0, 3),
    ]
    assert marks(of_miou) == {"lambda2: 0": [False, True], "lambda2: 0.01": [True, False]}


def test_the_page_has_a_curve_of_eight_and_none_of_seven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("figures", "tables"):
        (tmp_path / folder).mkdir()
    sections = [table("Table 7", pooled(2.0)), table("Table 7", pooled(-4.0, 1, data="cats"), "cats")]
    text = "\n".join(specifications_page(sections, tmp_path))
    assert "Over 8 specifications, of 8 networks, the median is −0.5 points" in " ".join(text.split())
    assert "**2 of 8 (25 %) have the claim's sign**; 2 have their whole interval above 0" in " ".join(text.split())
    line = next(line for line in text.splitlines() if line.startswith("| data: cats"))
    assert [cell.strip() for cell in line.split("|")[2:-1]] == ["4", "−2.5", "−4.0 … +0.0", "0 %", "0", "0"]
    assert "not independent tests" in text and "patch contrast" not in text.lower().split("## ")[1]
    written = (tmp_path / f"tables/{NAME}.adaptive_k.csv").read_text().splitlines()
    assert len(written) == 9 and written[-1].startswith("pocket,Table 7,adaptive_k,max,patch_miou,adaptive_k,3,")
    drawn = (tmp_path / f"figures/{NAME}.adaptive_k.svg").read_text()
    assert ">paper: +1.8<" in drawn and ">data: cats<" in drawn and ">one seed<" in drawn and ">its verdict" in drawn

    assert specifications_page(sections[:1], tmp_path) == []
    assert not list(tmp_path.glob("*/specification-curves*"))  # no leftover passes for a result
