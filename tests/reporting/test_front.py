"""The first screen: claims in words and in a table, what the search found, what to use."""

from dataclasses import replace
from pathlib import Path

import pytest
from report_rows import a_row, page, pooling_rows

from apc.config import pocket, to_dict
from apc.reporting.advice import Series, luck, without_masks
from apc.reporting.catalogue import described
from apc.reporting.front import front
from apc.reporting.page import build
from apc.reporting.searches.optimism import BEHIND, ON_HALF, ON_SEEDS, Line, Spread
from apc.reporting.section import section
from apc.runs.rows import Row, save_rows

pytestmark = pytest.mark.usefixtures("sketched")


def first_screen(reports: Path, experiment: str, rows: list[Row]) -> str:
    page(reports, experiment, rows)
    return (reports / "ablation.md").read_text().split("\n## ")[0]


def test_claims_that_hold_everywhere_and_those_contradicted_somewhere_are_said_in_words(tmp_path: Path) -> None:
    others = [row for row in pooling_rows(3, dataset="folder") if row.row != "top_k"]
    save_rows(tmp_path / "results/table7_pooling/cats.jsonl", others)
    text = " ".join(first_screen(tmp_path, "table7_pooling", pooling_rows(3)).split())
    assert "**Reproduced** on pocket and cats: T7 adaptive-K beats max pooling. **Contradicted** on pocket: " in text
    assert "**Contradicted** on pocket: T7 adaptive-K beats top-K. Mostly on pocket: 15 epochs" in text


def test_tables_of_another_schedule_or_device_than_most_are_named(tmp_path: Path) -> None:
    preset = {name: value for name, value in to_dict(pocket()).items() if name not in ("seed", "pooling", "epochs")}
    (whole,) = [row for row in pooling_rows(1, epochs=30, **preset) if row.row == "adaptive_k"]
    other = replace(whole, row="with_pcl", stamp=whole.stamp | {"device": "NVIDIA H200"})
    save_rows(tmp_path / "results/table9_cosine/pocket.jsonl", [other])
    text = " ".join(first_screen(tmp_path, "table7_pooling", pooling_rows(3, epochs=10, **preset)).split())
    assert "Mostly on pocket: 10 epochs, " in text and "scored on 256 images (T9: 30 epochs, H200)." in text
    details = (tmp_path / "details" / "table9_cosine.pocket.md").read_text()
    assert "Trained where there was no Ray; such runs are made by:" in details
    assert "its weights not named, on NVIDIA H200" in details


def test_a_table_of_two_devices_is_said_to_be_of_the_other_one_in_part(tmp_path: Path) -> None:
    preset = {name: value for name, value in to_dict(pocket()).items() if name not in ("seed", "pooling")}
    (row, *_) = [row for row in pooling_rows(1, **preset) if row.row == "adaptive_k"]
    on_gpu = replace(row, row="with_pcl", stamp=row.stamp | {"device": "NVIDIA H200"})
    other = replace(row, row="without_pcl")
    save_rows(tmp_path / "results/table9_cosine/pocket.jsonl", [on_gpu, replace(on_gpu, run="b"), other])
    text = " ".join(first_screen(tmp_path, "table7_pooling", pooling_rows(3, **preset)).split())
    assert "scored on 256 images (T9: in part H200)." in text
    assert "on NVIDIA H200 and a processor" in (tmp_path / "details" / "table9_cosine.pocket.md").read_text()


def test_the_main_claims_are_shown_decided_or_not_each_with_its_seeds(tmp_path: Path) -> None:
    text = first_screen(tmp_path, "table7_pooling", pooling_rows(3))
    assert "| T7 adaptive-K beats max pooling | +1.8 | ✓ +10.7 [9.0, 12.4] (3) |" in text
    assert "| T7 max beats average pooling | +8.8 | ?≪ +0.6 [−0.4, 1.6] (3) |" in text
    told = " ".join((tmp_path / "ablation.md").read_text().split("\n## ")[1].split())
    assert "(+10.7 [+9.0, +12.4], paper +1.8: 5.9 × the paper's)" in told  # the size stands beside the direction
    beaten = "max pooling beats average pooling (+0.6 [−0.4, +1.6], paper +8.8: 0.1 × the paper's: < half)"
    assert f"**Undecided in direction, refuted in size**: {beaten}." in told
    assert told.count("`--decide N` behind the command") == 1


def test_rows_whose_seeds_lie_far_apart_are_named_and_mark_their_claims(tmp_path: Path) -> None:
    scores = {"max": (20.0, 36.0, 20.5), "top_k": (86.0, 87.0, 88.0)}
    rows = [a_row(p, s, score, pooling=p) for p, own in scores.items() for s, score in enumerate(own)]
    text = first_screen(tmp_path, "table7_pooling", rows)
    assert "| T7 top-K beats max pooling | +1.3 | ✓! +61.5 [38.8, 84.2] (3) |" in text
    told = (
        "Seeds far apart, which a mean hides: max pooling (median 20.5 of 20.0 to 36.0); a verdict on such a row wants"
    )
    assert told in " ".join((tmp_path / "ablation.md").read_text().split("\n## ")[1].split())
    more = [a_row(p, s, own[1] + s / 10, pooling=p) for p, own in scores.items() for s in range(3, 10)]
    assert "top-K beats max pooling | +1.3 | ✓ +" in first_screen(tmp_path, "table7_pooling", [*rows, *more])


def test_what_to_use_names_the_best_mean_and_how_far_the_next_one_is_behind(tmp_path: Path) -> None:
    text = first_screen(tmp_path, "table7_pooling", pooling_rows(3))
    assert "- On pocket use top-K pooling (T7: ✓ +4.5 [3.3, 5.7] (3) on adaptive-K)" in text
    alone = first_screen(tmp_path, "table7_pooling", pooling_rows(1))
    assert "- On pocket use top-K pooling (T7: ? +5.0 (1) on adaptive-K)" in alone
    assert "`--seeds 3 --decide N` behind the command adds seeds" in (tmp_path / "ablation.md").read_text()
    one = [row for row in pooling_rows(3) if row.row == "max"]
    assert "what to use" not in first_screen(tmp_path, "table7_pooling", one)


def test_a_row_of_one_seed_is_not_ahead_of_rows_with_several(tmp_path: Path) -> None:
    rows = [row for row in pooling_rows(3) if row.row != "top_k" or row.config["seed"] == 0]
    assert "- On pocket use adaptive-K pooling (T7: ✓ +10.7" in first_screen(tmp_path, "table7_pooling", rows)


def test_what_to_use_names_a_confirmed_setting_of_ours_and_what_is_open_of_it(tmp_path: Path) -> None:
    scores = {
        "paper's setting": (40.0, 40.1, 40.2),
        "+ shown larger": (48.0, 44.0, 51.0),
        "+ a round: APC+": (50.0, 50.3, 50.1),
    }
    rows = [a_row(n, s, held, {"held_miou": held}) for n, own in scores.items() for s, held in enumerate(own)]
    told = " ".join(first_screen(tmp_path, "apc_plus", rows).split())
    confirmed = "- On pocket use APC+ (`--plus`) ✓ +10.0 [9.7, 10.4] (3) over the paper's setting"
    assert told.endswith(f"{confirmed}, ? +2.5 [−6.5, 11.5] (3) both shown larger")
    without = [row for row in rows if "shown" not in row.row]
    assert " ".join(first_screen(tmp_path, "apc_plus", without).split()).endswith(confirmed)


def test_a_table_in_two_groups_counts_once_and_shows_the_larger_one(tmp_path: Path) -> None:
    text = first_screen(tmp_path, "table7_pooling", [*pooling_rows(3), *pooling_rows(2, epochs=2)])
    assert "| T7 adaptive-K beats max pooling | +1.8 | ✓ +10.7 [9.0, 12.4] (3) |" in text
    assert "| 26 |" in text and "| 30 |" not in text
    section = (tmp_path / "ablation.md").read_text().split("\n## ")[1]
    assert section.count("adaptive-K beats max pooling (") == 1


def test_rows_with_unequal_seeds_are_ordered_by_those_that_they_share(tmp_path: Path) -> None:
    more = [a_row("max", seed, 90.0, pooling="max") for seed in range(3, 9)]  # its mean is now above all others
    text = first_screen(tmp_path, "table7_pooling", [*pooling_rows(3), *more])
    assert "- On pocket use top-K pooling (T7: ✓" in text


def test_the_row_that_is_ahead_is_so_by_the_seeds_in_common(tmp_path: Path) -> None:
    more = [a_row("top_k", seed, 55.5, pooling="top_k") for seed in (3, 4)]  # 46, 47.5 and 49 before
    text = first_screen(tmp_path, "table7_pooling", [*pooling_rows(3), *more])
    assert "- On pocket use top-K pooling (T7: ? +4.5 [3.3, 5.7] (3) on adaptive-K)" in text


def test_what_is_not_of_today_s_preset_is_said_and_its_setting_not_recommended(tmp_path: Path) -> None:
    own = {n: v for n, v in to_dict(pocket()).items() if n != "seed"} | {"bilstm_residual": True}
    rows = [a_row(f"k={k}", 0, 40.0 + k, **own | {"k": k}) for k in (3, 6)]
    (tmp_path / "results/search_joint").mkdir(parents=True)
    (tmp_path / "results/search_joint/pocket.best.toml").write_text("k = 6\n")
    text = " ".join(first_screen(tmp_path, "search_joint", rows).split())
    assert "Not as today's presets have it: searches on pocket." in text
    assert "best.toml" not in text


def test_where_nothing_is_contradicted_it_is_said_what_is_missing(tmp_path: Path) -> None:
    save_rows(tmp_path / "results/table7_pooling/cats.jsonl", pooling_rows(1, dataset="folder"))
    own = section(described("table7_pooling"), "cats", tmp_path)
    text = " ".join(front([Series("cats", "cats", own.judged)], [own], tmp_path)).replace("\n", " ")
    assert "On cats none is contradicted and 4 of 4 are undecided." in text
    assert "none is contradicted" not in first_screen(tmp_path, "table7_pooling", pooling_rows(3))  # most are not run


def test_what_searches_found_is_judged_by_other_runs_and_luck_has_its_points(tmp_path: Path) -> None:
    judged = [
        a_row(name, seed, score + seed, {"held_miou": score + seed * len(name) / 20}, theta=theta)
        for name, score, theta in (
            ("paper's setting", 40.0, 0.9),
            ("joint search", 44.0, 0.6),
            ("staged search", 41.0, 0.8),
        )
        for seed in range(5, 8)
    ]
    save_rows(tmp_path / "results/search_judged/pocket.jsonl", judged)
    grid = [
        a_row(f"lambda1={l1:g} lambda2=0", s, 40 + 10 * l1 + (7 * s * l1 * 100) % 3, lambda1=l1, lambda2=0.0)
        for l1 in (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.6, 0.8, 1.0)
        for s in range(3)
    ]
    preset = {name: value for name, value in to_dict(pocket()).items() if name != "seed"}
    for search in ("search_joint", "search_staged"):  # of which the last one is beaten by the first
        rows = [a_row("k=6", 0, 50.0, {"tune_miou": 50.0}, **preset)]
        save_rows(tmp_path / "results" / search / "pocket.jsonl", rows)
        (tmp_path / "results" / search / "pocket.best.toml").write_text("k = 6\n")
    text = first_screen(tmp_path, "grid_lambda", grid)
    assert (
        "- On pocket, too: what “Joint search over six knobs” chose, `apc train pocket --config FILE` with [this file]"
        in text
    )
    assert "- [Judged anew](details/search_judged.pocket.md) on pocket, by new seeds, 15 epochs each: " in text
    assert "joint search over paper's setting ✓ +3.1 [2.7, 3.5] (3)" in text
    assert "- [Luck](details/optimism.md): masks that choose a setting score it too high, at most by " in text


def test_on_a_users_page_their_own_runs_judge_what_their_search_found(tmp_path: Path) -> None:
    def judged(ahead: float) -> list[Row]:
        return [
            a_row(name, seed, score, {"held_miou": score + seed * len(name) / 20}, theta=theta)
            for name, score, theta in (("paper's setting", 40.0, 0.9), ("joint search", 40.0 + ahead, 0.6))
            for seed in range(5, 8)
        ]

    save_rows(tmp_path / "reference/results/search_judged/pocket.jsonl", judged(9.0))
    text = first_screen(tmp_path, "search_judged", judged(4.0))
    assert "by new seeds, 15 epochs each: joint search over paper's setting ✓ +3.1 [2.7, 3.5] (3)" in text


def test_a_setting_with_a_failed_seed_is_not_what_a_search_found(tmp_path: Path) -> None:
    rows = [
        a_row(f"theta={theta:g}", seed, miou + seed, {"tune_miou": miou + seed}, theta=theta)
        for theta, miou in ((0.5, 60.0), (0.7, 50.0))
        for seed in range(2)
    ]
    rows[1] = a_row("theta=0.5", 1, 0.0, theta=0.5, error="OSError: no space")
    text = first_screen(tmp_path, "search_joint", rows)
    assert "best of 1 settings 50.5 by 2 seeds (theta=0.7)" in text


def test_the_choice_without_masks_is_told_once_of_each_data_set_by_its_table_of_most_settings() -> None:
    few, many = (
        Line(BEHIND, table, n, 1, Spread(at, -0.2, 3.2)) for table, n, at in (("F4", 12, -0.1), ("C", 150, 0.6))
    )
    (told,) = without_masks({"pocket": [few, many], "animals": []})
    assert told.endswith("could have chosen, loses 0.6 [−0.2, 3.2] on pocket")


def test_luck_is_told_by_one_rule_where_the_data_sets_share_one_and_by_its_name() -> None:
    wide, half = Spread(0.8, 0.0, 2.8), Spread(0.6, -0.2, 1.3)
    pocket_lines = [Line(ON_SEEDS, "Figure 4", 12, 5, wide), Line(ON_HALF, "Choosing", 150, 1, half)]
    animals = Line(ON_HALF, "Choosing", 40, 1, Spread(4.6, -1.7, 7.0))
    lead = "[Luck](details/optimism.md): masks that choose a setting score it too high, at most by "
    by_half = "(half of the validation masks against the other half)"
    by_seed = "(all validation masks, one seed against the other seeds)"
    assert luck({"pocket": pocket_lines, "animals": [animals]}) == [
        f"{lead}0.6 [−0.2, 1.3] on pocket, 4.6 [−1.7, 7.0] on animals {by_half}"
    ]
    assert luck({"pocket": pocket_lines[:1], "animals": [animals], "none": []}) == [
        f"{lead}0.8 [0.0, 2.8] on pocket {by_seed}, 4.6 [−1.7, 7.0] on animals {by_half}"
    ]
    assert luck({"none": []}) == []


def test_the_page_of_ones_own_search_speaks_of_no_claims_of_the_paper(tmp_path: Path) -> None:
    rows = [
        a_row(f"theta={t:g}", 0, m, {"tune_miou": m}, theta=t, dataset="folder") for t, m in ((0.5, 60.0), (0.7, 50))
    ]
    save_rows(tmp_path / "results/search_joint/cats.jsonl", rows)
    text = build(tmp_path).read_text()
    assert text.startswith("# What your searches and trainings found\n") and "| claims on |" not in text
    assert "cats](details/search_joint.cats.md): best of 2 settings" in text.split("\n## ")[0]
    assert first_screen(tmp_path / "other", "table7_pooling", pooling_rows(1)).startswith("# Which claims of")
