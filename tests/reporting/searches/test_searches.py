"""Pages of searches and intervals over images: what they count, warn of and leave out."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from apc.config import Config, to_dict
from apc.experiment.outputs import write_images
from apc.reporting.groups import Group
from apc.reporting.page import build
from apc.reporting.searches import importance, pareto
from apc.reporting.searches import trials as read_trials
from apc.reporting.searches.trials import Trial
from apc.reporting.verdicts import bootstrap
from apc.reporting.verdicts.bootstrap import Images
from apc.runs.rows import Row, run_id, save_rows

STAMP: dict[str, Any] = {
    "commit": "c0ffee123456",
    "machine": "box",
    "data": "pocket-1",
    "weights": "w1",
    "selection": "half",
    "threads": 1,
    "images": {"train": 8, "val": 8},
}


def a_row(label: str, seed: int, score: float, values: dict[str, Any], **fields: Any) -> Row:
    """A run of ten epochs; `fields` are those of the row, such as `stopped`."""
    config = to_dict(Config()) | {"seed": seed} | values
    ended = bool(fields.get("stopped") or fields.get("error"))
    return Row(
        run=run_id(config, "pocket-1", label),
        row=label,
        config=config,
        stamp=STAMP,
        experiment="x",
        metrics={} if ended else {"tune_miou": score, "held_miou": score - 1, "miou": score, "test_miou": score},
        seconds={"train": 36.0, "train_cpu": 36.0},
        curve=[{"epoch": e, "loss": 1 / e, "tune_miou": score / 2} for e in range(1, 4 if ended else 11)],
        **fields,
    )


def joint_rows() -> list[Row]:
    """Twelve settings: k decides the score, lambda1 does nothing, and the best k is the smallest of the space."""
    rows = []
    for i in range(12):
        pooling, k, lambda1 = ("top_k", "max")[i % 2], 2 + i % 6, 10 ** (-3 + (i * 5 % 12) / 4)
        values: dict[str, Any] = {"pooling": pooling, "lambda1": lambda1, "lambda2": 0.0}
        values |= {"k": k} if pooling == "top_k" else {}
        label = " ".join(f"{name}={value}" for name, value in values.items())
        rows.append(a_row(label, 0, 50 - 3 * k + 0.01 * i, values))
    return rows


def page(reports: Path, experiment: str, rows: list[Row]) -> str:
    save_rows(reports / "results" / experiment / "pocket.jsonl", rows)
    return build(reports).read_text()


# --- trials ---------------------------------------------------------------------------------------


def test_trials_are_counted_in_the_order_of_the_file_and_a_pruned_one_is_no_result() -> None:
    stopped = a_row("k=3", 0, 80.0, {"k": 3}, stopped="epoch 3 by asha")
    rows = [a_row("k=2", 0, 40.0, {"k": 2}), a_row("k=2", 1, 44.0, {"k": 2}), stopped, a_row("k=4", 0, 41.0, {"k": 4})]
    found = read_trials.trials(Group([rows[0], rows[1], rows[3]]), rows, "tune_miou")
    states = [(t.number, t.state, t.epochs) for t in found]
    assert states == [(1, "complete", 20), (2, "pruned", 3), (3, "complete", 10)]
    assert found[0].score == 42.0 and math.isnan(found[1].score) and found[1].last == 40.0
    assert [t.label for t in read_trials.complete(found)] == ["k=2", "k=4"]
    assert read_trials.best_so_far(found) == [(1, 20, 42.0), (3, 33, 42.0)]  # the pruned trial's epochs were spent


def test_a_label_tells_which_knobs_a_setting_has_and_the_config_their_values() -> None:
    assert read_trials.knobs("pooling=max lambda1=0.0164715", {"pooling": "max", "k": 6, "lambda1": 0.016471482}) == {
        "pooling": "max",
        "lambda1": 0.016471482,
    }
    assert read_trials.knobs("max", {"pooling": "max"}) == {}


def trial(number: int, score: float, **values: Any) -> Trial:
    return Trial(number, f"trial {number}", values, score, 10, 0.01, "complete", math.nan)


def test_both_measures_find_the_knob_that_decides() -> None:
    found = [trial(i, 10.0 * (i % 4) + 0.1 * (i * 7 % 12), k=i % 4, theta=float(i * 5 % 11)) for i in range(24)]
    measures = importance.importances(found)
    assert measures[0].knob == "k" and measures[0].ped_anova > 0.8
    assert measures[0].of_ranks > 0.8 > 0.2 > measures[1].of_ranks and measures[0].trials == 24
    assert importance.importances(found[:9]) == []


def test_ranks_shared_evenly_between_the_values_of_a_knob_say_nothing() -> None:
    done = [trial(i, float(i), k=i % 2) for i in range(12)]
    assert importance.of_ranks(done, "k") == 0.0
    halves = [trial(i, float(i), k=int(i >= 2)) for i in range(4)]  # ranks 0 1 | 2 3: between 4, within 1, whole 5
    assert importance.of_ranks(halves, "k") == pytest.approx((4 - 1 * 1 / 2) / 5)


def test_a_best_value_at_an_end_of_its_space_is_told_and_one_inside_is_not() -> None:
    def told(**values: float) -> str:
        worse = [{name: value * (1 - 0.1 * i) + 0.001 * i for name, value in values.items()} for i in (1, 2)]
        others = [trial(i, float(i), **worse[i - 1]) for i in (1, 2)]
        return " ".join(importance.at_an_end("search_joint", [*others, trial(9, 9.0, **values)]))

    assert "lambda1 = 1 lies at the high end of its space, 0.001 to 1" in told(lambda1=1.0)
    assert "theta = 0.98 lies at the high end" in told(theta=0.98) and told(theta=0.9) == ""
    assert "nothing lies below 0" in told(lambda2=0.0)


# --- pages ----------------------------------------------------------------------------------------


def test_the_page_of_a_search_shows_ten_best_pruned_ones_apart_importance_and_history(tmp_path: Path) -> None:
    stopped = a_row("pooling=max lambda1=0.5", 0, 99.0, {"pooling": "max", "lambda1": 0.5}, stopped="epoch 3 by asha")
    text = page(tmp_path, "search_joint", [*joint_rows(), stopped])
    assert "13 trials: 12 complete, 1 PRUNED (stopped early, in no mean), 0 failed; 123 epochs" in text
    assert "**The 10 best of 12 settings**" in text and "| knob " in text and "PED-ANOVA" in text
    assert "The best k = 2 lies at the low end of its space, 2 to 12" in text
    assert "Trials stopped early (1)" in text and "epoch 3 by asha" in text and "99.0" not in text
    for kind in ("history", "knobs", "parallel"):
        assert (tmp_path / f"figures/search_joint.pocket.{kind}.pdf").stat().st_size > 1000


def test_a_search_with_two_objectives_shows_how_it_was_searched_and_its_front(tmp_path: Path) -> None:
    told = {"sampler": "nsga2", "objectives": ["miou", "train_seconds"], "search_seed": 3, "stop_early": "none"}
    scores = {2: (40.0, 20.0), 3: (44.0, 30.0), 4: (43.0, 35.0), 5: (46.0, 50.0)}  # k = 4 is worse than 3 in both
    rows = [a_row(f"k={k}", 0, miou, {"k": k}) for k, (miou, _) in scores.items()]
    for row in rows:
        row.seconds["train"] = scores[row.config["k"]][1]
        row.stamp = STAMP | {"search": told | {"trials": 4}}
    found = read_trials.trials(Group(rows), rows, "miou")
    assert [t.label for t in pareto.front(found)] == ["k=2", "k=3", "k=5"]
    text = page(tmp_path, "space_k", rows)
    assert "- Searched with sampler nsga2, objectives `miou` and `train_seconds`, search seed 3, stop early" in text
    assert "**The front of `miou` and `train_seconds`, 3 settings**" in text
    assert text.split("column `front` of all trials): ")[1].startswith("k=2 (40.0, 20.0); k=3 (44.0, 30.0); k=5 (46")
    command = "apc search k --trials 4 --sampler nsga2 --search-seed 3 --objectives miou,train_seconds"
    assert f"\n{command} " in text
    with Image.open(tmp_path / "figures/space_k.pocket.history.png") as three:
        page(tmp_path / "one", "space_k", [a_row(row.row, 0, 40.0, row.config) for row in rows])
        with Image.open(tmp_path / "one/figures/space_k.pocket.history.png") as two:
            assert three.width > two.width


def judged_rows(names: dict[str, float]) -> list[Row]:
    wobble = (0.0, 0.3, -0.2, 0.1, -0.1)
    return [
        a_row(name, seed, score + seed + wobble[seed] * (i + 1), {"lambda1": 0.1 * (i + 1)})
        for i, (name, score) in enumerate(names.items())
        for seed in range(5)
    ]


def test_the_searches_are_compared_by_cost_and_judged_by_the_held_out_images(tmp_path: Path) -> None:
    staged = [
        a_row(f"lambda1={value:g} lambda2=0", seed, 40 + value, {"lambda1": value, "lambda2": 0.0})
        for value in (0.1, 1)
        for seed in (0, 1)
    ]
    save_rows(tmp_path / "results/search_joint/pocket.jsonl", joint_rows())
    save_rows(tmp_path / "results/search_staged/pocket.jsonl", staged)
    judging = judged_rows({"paper's setting": 40, "joint search": 45, "staged search": 40.1})
    text = page(tmp_path, "search_judged", judging)
    assert "What the two searches cost and found" in text and "best within 40 epochs" in text
    assert "the joint search's setting beats the paper's setting on held-out images" in text and "**confirmed**" in text
    assert "Our own questions: 2 confirmed, 0 refuted, 1 undecided, 1 pending." in text
    assert "0 reproduced, 0 contradicted, 0 undecided, 26 pending" in text  # none of these is a claim of the paper
    assert text.count("\npython experiments/search_joint.py\n") >= 3


def test_one_setting_under_two_names_is_compared_with_the_others_and_not_with_itself(tmp_path: Path) -> None:
    text = page(tmp_path, "search_judged", judged_rows({"paper's setting and staged search": 40, "joint search": 45}))
    assert "Our own questions: 2 confirmed" in text and "the staged search's setting beats" not in text


# --- intervals over images ------------------------------------------------------------------------


def matrices(seed: int, images_: int = 40, classes: int = 3, right: float = 0.7) -> np.ndarray:
    """Confusion matrices (n,C,C) of random masks of which a share is right; some classes are absent from some."""
    chance = np.random.default_rng(seed)
    found = np.zeros((images_, classes, classes), np.int64)
    for image in range(images_):
        for truth in {0, image % classes}:
            pixels = chance.integers(50, 150)
            hits = chance.binomial(pixels, right)
            found[image, truth, truth] += hits
            found[image, truth, (truth + 1) % classes] += pixels - hits
    return found


def counts_of(found: np.ndarray) -> np.ndarray:
    return np.stack([np.diagonal(found, axis1=1, axis2=2), found.sum(2), found.sum(1)], axis=1)


def test_counts_give_the_same_miou_as_the_confusion_matrices_and_its_halves() -> None:
    from apc.evaluation.miou import halves, miou

    found = matrices(0)
    sums = {name: counts_of(found)[part].sum(0) for name, part in bootstrap.PARTS.items()}
    assert bootstrap.miou(sums["miou"]) == pytest.approx(miou(found.sum(0)))
    assert {name: float(bootstrap.miou(sums[name])) for name in ("tune_miou", "held_miou")} == pytest.approx(
        halves(counts_of(found))
    )


def test_runs_leave_their_counts_beside_those_of_earlier_calls_and_a_torn_file_is_named(tmp_path: Path) -> None:
    rows = [a_row("max", seed, 30.0, {}) for seed in (0, 1, 2)]
    for row in rows[:2]:
        (tmp_path / "runs" / row.run).mkdir(parents=True)
        np.savez_compressed(tmp_path / "runs" / row.run / "confusion.npz", miou=matrices(row.config["seed"]))
    path = tmp_path / "pocket.images.npz"
    tallies = counts_of(matrices(7))
    # as runs leave them now: the sums of all images in confusion.npz, what each image scored beside it
    np.savez_compressed(tmp_path / "runs" / rows[1].run / "confusion.npz", miou=matrices(1).sum(0))
    np.savez_compressed(tmp_path / "runs" / rows[1].run / "tallies.npz", miou=tallies, miou_crf=tallies + 1)
    write_images(path, tmp_path / "runs", rows[:1])
    write_images(path, tmp_path / "runs", rows[1:])  # the third run has no folder here
    kept, problems = bootstrap.read(path)
    assert set(kept.counts) == {rows[0].run, rows[1].run, f"{rows[1].run}.miou_crf"} and problems == []
    assert np.array_equal(kept.counts[rows[1].run], tallies)
    assert np.array_equal(kept.counts[f"{rows[1].run}.miou_crf"], tallies + 1)
    assert np.array_equal(kept.counts[rows[0].run], counts_of(matrices(0)))
    path.write_bytes(path.read_bytes()[:100])
    torn, problems = bootstrap.read(path)
    assert torn.counts == {} and "pocket.images.npz" in problems[0]
    assert bootstrap.read(tmp_path / "none.npz")[0].counts == {}


def test_the_interval_over_images_holds_the_difference_and_is_nothing_for_equal_rows() -> None:
    a, b = counts_of(matrices(1, right=0.8)), counts_of(matrices(2, right=0.6))
    kept = Images({"a": a, "b": b})
    over = kept.difference([("a", "miou")], [("b", "miou")])
    assert over is not None and over.images == 40
    assert over.low < float(bootstrap.miou(a.sum(0)) - bootstrap.miou(b.sum(0))) < over.high and over.low > 0
    assert kept.difference([("a", "miou")], [("a", "miou")]) == (0.0, 0.0, 40)
    after = [("a", "miou_crf")], [("b", "miou_crf")]
    assert kept.difference(*after) is None and kept.difference([("a", "miou")], [("c", "miou")]) is None
    both = Images(kept.counts | {"a.miou_crf": b, "b.miou_crf": a}).difference(*after)
    assert both is not None and both.high < 0  # after the CRF it is the other way round
    held = [("a", "held_miou")], [("b", "held_miou")]
    assert kept.difference(*held) == Images({"a": a, "b": b}).difference(*held) != over


def test_the_crf_row_of_table_8_is_compared_by_the_run_it_scores_and_each_row_by_its_own_score() -> None:
    rows = [
        Row(run="r", row=label, config={}, metrics={"miou": 30.0, "miou_crf": 31.0, "ladder_miou": own}, seconds={})
        for label, own in (("hv_bilstm", 30.0), ("crf", 31.0))
    ]
    rows[1].run = f"{rows[0].run}@crf"
    better, worse = counts_of(matrices(1, right=0.8)), counts_of(matrices(2, right=0.6))
    group = Group(rows, images=Images({rows[0].run: worse, f"{rows[0].run}.miou_crf": better}))
    over = group.over_images("crf", "hv_bilstm", "ladder_miou")
    assert over is not None and over.low > 0
    rows[1].run = "elsewhere@240"  # counts of another image size are not those of the run
    assert group.over_images("crf", "hv_bilstm", "ladder_miou") is None


def test_of_two_equally_good_networks_at_most_five_percent_are_told_apart_by_the_images() -> None:
    trials, wrong = 300, 0
    for i in range(trials):
        kept = Images({"a": counts_of(matrices(2 * i)), "b": counts_of(matrices(2 * i + 1))})
        over = kept.difference([("a", "miou")], [("b", "miou")])
        assert over is not None
        wrong += not over.low <= 0 <= over.high
    assert wrong / trials <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / trials)  # 5 % and two standard errors of the count


def test_the_page_names_both_intervals_where_the_counts_were_kept(tmp_path: Path) -> None:
    rows = judged_rows({"paper's setting": 40, "joint search": 45})
    for row in rows:
        (tmp_path / "runs" / row.run).mkdir(parents=True)
        found = matrices(row.config["seed"], right=0.8 if row.row == "joint search" else 0.6)
        np.savez_compressed(tmp_path / "runs" / row.run / "confusion.npz", miou=found)
    write_images(tmp_path / "results/search_judged/pocket.images.npz", tmp_path / "runs", rows)
    text = page(tmp_path, "search_judged", rows)
    assert "[95 % over images]" in text and "here [95 % over seeds]" in text and " over images |" in text
    assert "images_low,images_high" in (tmp_path / "tables/search_judged.pocket.csv").read_text()


# --- the page as HTML, the checklist, figures -----------------------------------------------------


def test_the_html_page_needs_nothing_beside_it_and_has_a_table_of_contents(tmp_path: Path) -> None:
    page(tmp_path, "search_joint", joint_rows())
    text = (tmp_path / "ablation.html").read_text()
    assert text.count("<img src=") == 3 == text.count('<img src="data:image/png;base64,')
    assert "http" not in text.replace("http-equiv", "") and "<script" not in text
    assert '<li><a href="#s1">How to read this</a></li>' in text and '<h2 id="s1">How to read this</h2>' in text
    assert text.count("<table>") == text.count("</table>") > 3 and "<details>" in text and "**" not in text


def test_the_checklist_counts_a_shared_run_once_and_tells_ranges_seeds_and_core_hours(tmp_path: Path) -> None:
    rows = [a_row(f"k={k}", seed, 40.0 + k, {"k": k}) for k in (2, 6) for seed in range(5)]
    save_rows(tmp_path / "results/other/pocket.jsonl", rows[:1])
    text = page(tmp_path, "space_k", rows).split("## Checklist")[1]
    assert "- Distinct runs: 10, of them 10 finished" in text and "Compute: 0.1 core-hours of training (box)" in text
    line = next(line for line in text.splitlines() if line.startswith("| Search of the space k "))
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[1:] == ["pocket", "2", "10", "0–4", "k 2, 6", "`miou`, half", "0.10"]


def test_rows_stopped_early_are_in_no_group_mean_even_of_their_own_label(tmp_path: Path) -> None:
    rows = joint_rows()
    stopped = replace(rows[0], config=rows[0].config | {"seed": 1}, metrics={}, stopped="epoch 2", run="stopped00000")
    text = page(tmp_path, "search_joint", [*rows, stopped])
    assert "12 trials: 11 complete, 1 PRUNED" in text


@pytest.mark.parametrize(
    "torn",
    [
        {"metrics": {"miou": "41"}},
        {"curve": [3]},
        {"config": {"seed": "0"}},
        {"per_class": {"miou": 3}},
        {"classes": 2},
        {"stopped": None},
        {"seconds": {"train": []}},
        {"stamp": []},
        {"row": 7},
    ],
)
def test_a_damaged_row_costs_itself_by_name_and_not_the_report(tmp_path: Path, torn: dict[str, Any]) -> None:
    rows = joint_rows()
    text = page(tmp_path, "search_joint", [*rows, replace(rows[0], run="damaged00000", **torn)])
    assert "12 trials: 12 complete" in text and "run damaged00000: " in text.split("**Damaged and left out:**")[1]


def test_every_number_of_the_papers_tables_stands_in_published_csv() -> None:
    import csv
    from collections import Counter

    from apc.reporting import tables

    with open(Path(tables.__file__).with_name("published.csv"), newline="") as file:
        cells = Counter(line["table"] for line in csv.DictReader(file))
    printed = {1: 12, 2: 15, 3: 10, 4: 10, 5: 12, 6: 8, 7: 4, 8: 5, 9: 4}
    assert {k: cells[f"table{k}"] for k in printed} == printed
