"""Why a claim does not hold: the paragraph is made from the rows, and names the seeds that stand apart."""

from typing import Any

import numpy as np

from apc.config import Config, to_dict
from apc.reporting.catalogue import described
from apc.reporting.groups import Group
from apc.reporting.verdicts.claims import judge_group
from apc.reporting.verdicts.explanations import explanations, outliers
from apc.reporting.verdicts.over_images import Images
from apc.runs.rows import Row

TABLE7, TABLE8 = described("table7_pooling"), described("table8_components")
TABLE5, TABLE1 = described("table5_efficiency"), described("table1_image_size")


def a_row(label: str, seed: int, miou: float, ring: float = 40.0, **metrics: float) -> Row:
    config: dict[str, Any] = to_dict(Config()) | {"seed": seed, "pooling": label}
    return Row(
        run=f"{label}{seed}",
        row=label,
        config=config,
        metrics={"miou": miou, **metrics},
        seconds={},
        classes=["background", "ring", "cup"],
        per_class={"miou": [90.0, ring, None]},
    )


def test_a_contradicted_claim_is_told_by_what_the_rows_do_and_a_reproduced_one_is_not() -> None:
    rows = [
        row
        for seed, noise in enumerate((0.0, 0.3, -0.2))
        for row in (
            a_row("adaptive_k", seed, 40 + noise, mean_k=4.0, high_share=0.6, precision=59.0, recall=50.0),
            a_row("top_k", seed, 45 - noise, mean_k=4.6, high_share=0.8, precision=58.0, recall=62.0),
            a_row("max", seed, 30.0 + noise / 2),
        )
    ]
    group = Group(rows)
    judged = list(judge_group(TABLE7, group, "pocket"))
    (told,) = explanations(TABLE7, group, judged)
    assert told.startswith("**Why contradicted: adaptive-K beats top-K?** `adaptive_k` beside `top_k`: ")
    assert "takes for a present class 4.00 beside 4.60, share of present classes" in told
    assert "So `adaptive_k` misses more of the things." in told  # one point of precision is level
    assert "The difference seed by seed: −5.0, −4.4, −5.4." in told and "stands apart" not in told
    assert told.endswith("Masks of one seed stand in Figure 7.")
    assert explanations(described("search_joint"), group, judged) == []


def test_the_crf_row_is_not_explained_by_what_its_own_runs_do() -> None:
    rows = [
        Row(
            run=f"r{seed}{end}",
            row=label,
            config={"seed": seed},
            seconds={},
            metrics={"miou": 40.0, "miou_crf": 39.0, "ladder_miou": ladder + seed, "precision": 59.0},
        )
        for seed in range(2)
        for label, end, ladder in (("hv_bilstm", "", 40.0), ("crf", "@crf", 39.0 + seed))
    ]
    judged = list(judge_group(TABLE8, Group(rows), "pocket"))
    (told,) = explanations(TABLE8, Group(rows), judged)
    assert "Both rows are the same networks, scored before and after the CRF." in told and "precision" not in told


def test_a_claim_of_time_is_told_by_epochs_and_what_each_costs() -> None:
    rows = []
    for label, each, after in (("baseline", 3.0, 2), ("akp", 3.0, 2), ("akp_pcl", 4.0, 3)):
        for seed in range(3):
            row = a_row(label, seed, 40.0)
            row.curve = [{"epoch": at, "cpu_seconds": each * at} for at in range(1, 6)]
            row.seconds = {"to_95_cpu": each * after + (seed == 2 and label == "akp_pcl") * each}
            rows.append(row)
    group = Group(rows)
    judged = list(judge_group(TABLE5, group, "pocket"))
    told = next(line for line in explanations(TABLE5, group, judged) if "PCL saves time" in line)
    assert "`akp` is there after 2.0 epochs on average, of 3.0 s each." in told
    assert "`akp_pcl` is there after 3.3 epochs on average, of 4.0 s each." in told
    assert told.endswith("The difference seed by seed: −6.0, −6.0, −10.0.")


def test_the_same_networks_at_another_size_are_not_told_as_two_trainings() -> None:
    rows = [
        Row(
            run=f"r{seed}@{side}",
            row=str(side),
            config=to_dict(Config(image_size=96, eval_size=side, seed=seed)),
            seconds={},
            metrics={"miou": 40 + seed / 10 - side / 10},
        )
        for seed in range(3)
        for side in (96, 160, 240)
    ]
    judged = list(judge_group(TABLE1, Group(rows), "pocket"))
    (told,) = explanations(TABLE1, Group(rows), judged)
    assert "Both rows are the same networks, shown images of another size" in told and "CRF" not in told


def test_seeds_far_from_the_others_and_classes_never_found_are_named() -> None:
    scores = (48.0, 49.0, 48.5, 49.5, 32.0)
    rows = [a_row("max", seed, score, ring=0.0 if seed == 1 else 40.0) for seed, score in enumerate(scores)]
    assert outliers(Group(rows), "max", "miou") == (
        "Seed 4 of `max` stands apart with 32.0 (median 48.5); seed 1 of `max` never finds ring (IoU 0)."
    )
    assert outliers(Group(rows[2:4]), "max", "miou") == ""  # two seeds have no crowd to stand apart from
    level = [a_row("max", seed, 40.0 + (seed == 4)) for seed in range(5)]
    assert outliers(Group(level), "max", "miou") == ""  # one point is no failure though the others are equal


def test_a_class_that_is_called_on_the_background_and_missed_where_it_is_has_changed_places_with_it() -> None:
    rows = [a_row("max", seed, 40.0) for seed in range(2)]
    truth = [900, 100, 0]
    fine = np.array([[[850, 50, 0], truth, [900, 100, 0]]])
    swapped = np.array([[[650, 5, 0], truth, [745, 255, 0]]])
    group = Group(rows, images=Images({"max0": fine, "max1": swapped}))
    assert outliers(group, "max", "miou") == (
        "In seed 1 of `max` figure and ground have changed places for ring: 5 % of its pixels are found, and it is "
        "called on 2.5 times as many as it has."
    )
