"""Two searches compared by what they cost and judged by held-out images."""

from dataclasses import replace
from pathlib import Path

import pytest
from report_rows import page, verdicts
from search_rows import SEARCHED, STAMP, a_row, joint_rows, judged_rows

from apc.runs.rows import save_rows

pytestmark = pytest.mark.usefixtures("sketched")


def test_the_searches_are_compared_by_cost_and_judged_by_the_held_out_images(tmp_path: Path) -> None:
    staged = [
        a_row(f"lambda1={value:g} lambda2=0", seed, 40 + value, {"lambda1": value, "lambda2": 0.0})
        for value in (0.1, 1)
        for seed in (0, 1)
    ]
    save_rows(tmp_path / "results/search_joint/pocket.jsonl", joint_rows())
    save_rows(tmp_path / "results/search_staged/pocket.jsonl", staged)
    scores = {
        "paper's setting": 40,
        "paper's setting, pooling of the search": 44.9,
        "joint search": 45,
        "staged search": 40.1,
    }
    judging = judged_rows(scores)
    text = page(tmp_path, "search_judged", judging)
    assert "What the two searches cost and found" in text and "best within 40 epochs" in text
    assert verdicts(text, "The joint search against the staged one") == {  # our own questions: none is reproduced
        "the joint search's setting beats the paper's setting on held-out images": "**confirmed**",
        "the joint search's setting beats the paper's with its pooling alone on held-out images": "undecided",
        "the joint search's setting beats the staged search's on held-out images": "**confirmed**",
        "the staged search's setting beats the paper's setting on held-out images": "undecided",
    }
    commands = [line for line in text.splitlines() if line.startswith("python experiments/search_joint.py ")]
    assert len(commands) >= 3 and len(set(commands)) == 1  # of one script, whose steps share their flags
    assert "--stop-early none" in commands[0]  # as the joint search's rows came


def test_one_setting_under_two_names_is_compared_with_the_others_and_not_with_itself(tmp_path: Path) -> None:
    scores = {"paper's setting and staged search": 40, "joint search and paper's setting, pooling of the search": 45}
    text = page(tmp_path, "search_judged", judged_rows(scores))
    assert list(verdicts(text, "The joint search against the staged one").values()) == ["**confirmed**"] * 2
    assert "the staged search's setting beats" not in text


def test_searches_that_chose_by_different_scores_say_by_which(tmp_path: Path) -> None:
    votes = {row.run: {"border_rule": 9.0, "vote": row.metrics["miou"] + 17.5} for row in joint_rows()}
    stamp = STAMP | {"search": SEARCHED | {"objectives": ["border_rule"]}}
    by_labels = [replace(row, metrics=row.metrics | votes[row.run], stamp=stamp) for row in joint_rows()]
    save_rows(tmp_path / "results/search_by_masks/pocket.jsonl", joint_rows())
    save_rows(tmp_path / "results/search_by_labels/pocket.jsonl", by_labels)
    text = page(tmp_path, "search_without_masks", judged_rows({"paper's setting": 40, "chosen by labels": 45}))
    assert "best score" in text and "61.6 (`vote`)" in text and " (`tune_miou`)" in text
