"""The two stages of the search for lambda1 and lambda2, and where they lead."""

from dataclasses import replace
from pathlib import Path

import pytest
from report_rows import cells, lambda_rows, page, whole

from apc.reporting.catalogue import described
from apc.reporting.figures import staged
from apc.reporting.groups import Group
from apc.reporting.names import score_name
from apc.reporting.verdicts.claims import judge_group
from apc.runs.rows import save_rows


def test_the_lambda_page_shows_both_stages_and_a_best_on_the_boundary(tmp_path: Path) -> None:
    rows = lambda_rows([(0, 0, 5), (0.02, 0, 40), (0.1, 0, 44), (0.1, 0.01, 45), (0.1, 0.05, 30), (0.02, 0.01, 41)])
    text = page(tmp_path, "grid_lambda", rows)
    assert "Stage 1: lambda1, with lambda2 = 0" in text and "Stage 2: lambda2, at lambda1 = 0.1" in text
    assert "Best here, by the mean of `miou`: lambda1=0.1 lambda2=0.01; the paper's choice: lambda1=0.02" in text
    assert "The best lambda1 = 0.1 is the largest of the searched values" in text
    assert "nothing trains the decoder" in text and (tmp_path / "figures/grid_lambda.pocket.sweeps.pdf").is_file()


def test_a_best_outside_the_stages_leaves_them_as_they_were_run(tmp_path: Path) -> None:
    rows = lambda_rows([(0.02, 0, 40), (0.1, 0, 44), (0.1, 0.01, 45), (0.1, 0.05, 43), (0.02, 0.01, 47)])
    found = staged.stages(Group(rows), {"lambda1": 0.02, "lambda2": 0.01})
    assert (found.best1, found.best2, found.best) == (0.1, 0.01, "lambda1=0.02 lambda2=0.01")
    results = tmp_path / "results/grid_lambda"
    save_rows(results / "pocket.jsonl", rows)
    (results / "pocket.best.toml").write_text("lambda1 = 0.02\nlambda2 = 0.01\n")
    text = whole(tmp_path)
    stage2 = text.split("**Stage 2: lambda2, at lambda1 = 0.1**")[1]
    assert cells(stage2, "lambda1=0.1 lambda2=0.01")[-1] == "best of stage 2" and "lambda2=0.05 " in stage2
    assert cells(stage2, "lambda1=0.02 lambda2=0.01")[-1] == "best here and paper's choice"
    assert "**Best here, by the mean of `miou`: lambda1=0.02 lambda2=0.01;" in text
    assert "The two stages lead to lambda1=0.1 lambda2=0.01" in text


def test_without_best_toml_the_stages_lead_to_the_best_and_a_failed_setting_never_is_it() -> None:
    group = Group(lambda_rows([(0.02, 0, 40), (0.1, 0, 44)]))
    assert staged.stages(group, {}).best1 == 0.1
    assert staged.stages(group, {}, {"lambda1=0.1 lambda2=0"}).best1 == 0.02
    assert staged.stages(group, {"lambda1": 0.5, "lambda2": 0.0}).best == ""  # a best.toml of other points


@pytest.mark.parametrize("score", ["border_rule", "vote"])
def test_stages_that_are_chosen_by_labels_are_drawn_by_that_score(score: str) -> None:
    rows = lambda_rows([(0, 0, 5), (0.02, 0, 40), (0.1, 0, 44), (0.1, 0.01, 45), (0.1, 0.05, 30)])
    group = Group([replace(row, metrics=row.metrics | {score: row.metrics["miou"] / 100}) for row in rows])
    stages = staged.stages(group, {}, metric=score)
    first, second = staged.panels(group, stages, "pocket", {"miou": "decoder", "patch_miou": "patch branch"})
    assert list(first.lines) == list(second.lines) == [score_name(score), "patch branch"]
    assert first.best == 0.1 and first.lines[score_name(score)][0.02][0] == pytest.approx(0.4)


def test_a_best_of_stages_waits_for_the_middles_beside_it_and_lambda1_for_no_lambda2() -> None:
    entry = described("grid_lambda")
    coarse = [(0.0, 0.0, 5.0), (0.02, 0.0, 50.0), (0.1, 0.0, 40.0), (1.0, 0.0, 30.0), (0.02, 0.01, 60.0)]
    middles = [(0.01, 0.0, 35.0), (0.06, 0.0, 42.0)]

    def outcomes(points: list[tuple[float, float, float]]) -> list[tuple[str, str]]:
        group = Group(lambda_rows(points, seeds=3))
        judged = list(judge_group(entry, group, "pocket", staged.stages(group, {})))[-2:]
        return [(each.verdict.outcome, each.verdict.why.partition("no score yet of ")[2]) for each in judged]

    assert outcomes(coarse)[0] == ("undecided", "lambda1=0.01 lambda2=0, lambda1=0.06 lambda2=0")
    assert outcomes(coarse + middles) == [("reproduced", ""), ("undecided", "lambda1=0.02 lambda2=0.1")]
