"""The command printed under a table is the one that made its rows."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from report_rows import a_row

from apc.config import Config, folder, from_dict, pocket, to_dict
from apc.reporting.catalogue import described
from apc.reporting.command import command
from apc.reporting.groups import separate
from apc.reporting.recorded import read_recorded, searches_of
from apc.runs.rows import Row, save_rows
from search_spaces import components


def test_the_printed_command_is_the_one_that_made_the_rows() -> None:
    table7 = described("table7_pooling")

    def made(seeds: Sequence[int], cfg: Config) -> list[Row]:
        values = {name: value for name, value in to_dict(cfg).items() if name != "seed"}
        return [a_row("max", seed, 30.0, **values) for seed in seeds]

    usual = made(range(5), replace(pocket(), pooling="max"))
    assert command(table7, "pocket", usual) == "python experiments/table7_pooling.py --seeds 5"
    rows = made((0, 3), replace(folder(), root="/data/cats", train_list="train_small.csv", epochs=6, jitter=0.1))
    for row in rows:
        row.stamp["weights_name"] = "deit tiny.safetensors"
    assert command(table7, "cats", rows) == (
        "python experiments/table7_pooling.py folder --root cats --weights 'deit tiny.safetensors' "
        "--train-list train_small.csv --epochs 6 --jitter 0.1 --seeds 0,3"
    )
    assert command(table7, "pocket", made([0], replace(pocket(), pooling="max", k=9))).endswith("--k 9 --seeds 1")
    assert command(described("space_simple"), "pocket", usual[:1]) == "apc search simple --seeds 1"
    assert command(described("joint"), "pocket", usual) == ""
    by_hand = made([0], replace(pocket(), pooling="max"))
    by_hand[0].stamp["search"] = {
        "sampler": "gp",
        "search_seed": 3,
        "objectives": ["miou", "train_seconds"],
        "stop_early": "none",
        "trials": 30,
    }
    assert command(described("space_simple"), "pocket", by_hand) == (
        "apc search simple --trials 30 --sampler gp --search-seed 3 --objectives miou,train_seconds --stop-early none "
        "--seeds 1"
    )
    halved = {"stop_early": "halving", "rungs": [1, 3, 10], "keep_share": 1 / 5, "objectives": ["miou"]}
    by_hand[0].stamp["search"] = {"sampler": "tpe", "search_seed": 0, "trials": 20} | halved
    assert command(described("space_simple"), "pocket", by_hand) == "apc search simple --rungs 1 3 10 --seeds 1"
    joint = "python experiments/search_joint.py"
    assert command(described("search_joint"), "pocket", by_hand) == f"{joint} --trials 20"
    by_hand[0].stamp["search"]["stop_early"] = "none"
    assert command(described("search_joint"), "pocket", by_hand) == f"{joint} --trials 20 --stop-early none"
    assert command(described("search_joint"), "pocket", usual) == f"{joint} --stop-early none"  # before it could halve
    by_hand[0].stamp["search"] = {"sampler": "qmc", "trials": 40}
    assert command(described("choosing"), "pocket", by_hand) == "python experiments/choosing.py --trials 40 --seeds 1"
    by_hand[0].stamp["search"] = {"sampler": "grid", "objectives": ["miou"], "grid_points": 4}
    assert command(described("space_simple"), "pocket", by_hand) == (
        "apc search simple --sampler grid --grid-points 4 --seeds 1"
    )


def without_seed(cfg: Config) -> dict[str, Any]:
    return {name: value for name, value in to_dict(cfg).items() if name != "seed"}


def test_the_command_of_a_script_with_steps_has_the_flags_of_all() -> None:
    cfg = without_seed(replace(folder(), root="/data/cats", image_size=160, epochs=5))
    searched, judged = a_row("a", 0, 30.0, **cfg), a_row("paper's setting", 5, 30.0, **cfg)
    searched.stamp |= {
        "weights_name": "w",
        "search": {"sampler": "tpe", "stop_early": "halving", "trials": 26, "bracket": 24},
    }
    judged.stamp["weights_name"] = "w"
    steps = [(described("search_by_masks"), [searched])]
    assert command(described("search_without_masks"), "cats", [judged], steps) == (
        "python experiments/search_without_masks.py folder --root cats --weights w --trials 26 --bracket 24 --epochs 5 "
        "--image-size 160"
    )


def test_the_command_of_a_search_that_chose_otherwise_says_by_what() -> None:
    row = a_row("a", 0, 30.0, **without_seed(pocket()))
    row.stamp["search"] = {"sampler": "tpe", "objectives": ["border_rule"], "stop_early": "halving", "bracket": 24}
    assert command(described("space_joint_by_vote"), "pocket", [row]) == "apc search joint --choose vote --seeds 1"
    assert command(described("space_joint_by_labels"), "pocket", [row]) == "apc search joint --choose vote --seeds 1"
    row.stamp["search"] |= {"objectives": ["branch_rule"], "bracket": 8}
    assert command(described("space_joint_by_labels"), "pocket", [row]) == "apc search joint --choose labels --seeds 1"
    row.stamp["search"] |= {"objectives": ["tune_miou"]}
    assert command(described("space_joint_by_half"), "pocket", [row]) == "apc search joint --choose half --seeds 1"
    grid = "python experiments/grid_lambda.py --choose labels --seeds 1"
    assert command(described("grid_lambda_by_labels"), "pocket", [row]) == grid
    script = "python experiments/search_joint.py --choose labels --trials 30"
    row.stamp["search"] |= {"trials": 30}
    assert command(described("search_joint_by_labels"), "pocket", [row]) == script
    assert "--choose" not in command(described("search_by_labels"), "pocket", [row])  # the name of a script's own step


def test_the_command_of_a_later_step_has_the_flags_of_the_search_that_chose_as_it_did(tmp_path: Path) -> None:
    row = a_row("a", 0, 30.0, **without_seed(pocket()))
    for by, trials in (("", 40), ("_by_labels", 24)):
        row.stamp["search"] = {"stop_early": "halving", "trials": trials}
        save_rows(tmp_path / "results" / f"search_joint{by}" / "pocket.jsonl", [row])
    save_rows(tmp_path / "results" / "search_judged_by_labels" / "pocket.jsonl", [row])
    judged = read_recorded(described("search_judged_by_labels"), "pocket", tmp_path)
    assert [rows[0].stamp["search"]["trials"] for _, rows in searches_of(judged)][0] == 24


def test_the_command_of_a_table_of_times_trains_one_run_at_a_time() -> None:
    row = a_row("adaptive_k", 0, 30.0, **without_seed(pocket()))
    for name in ("table5_efficiency", "table6_peers"):
        assert " --max-concurrent 1" in command(described(name), "pocket", [row])
        assert command(described(name), "pocket").endswith(f"{name}.py --max-concurrent 1")
    assert "--max-concurrent" not in command(described("table7_pooling"), "pocket", [row])


def test_the_command_of_a_smoke_run_is_that_and_the_table_says_what_it_is_worth() -> None:
    row = a_row("lambda1=1 lambda2=0", 0, 3.0, **without_seed(replace(pocket(), epochs=1, num_train=64)))
    row = replace(row, stamp=row.stamp | {"smoke": True})
    assert command(described("grid_lambda"), "pocket", [row]) == "python experiments/grid_lambda.py --smoke"
    (group,) = separate([row])
    assert group.notes[0] == "This is a smoke run, and its numbers mean nothing."


def test_weights_are_named_though_a_trial_that_was_given_up_has_no_stamp() -> None:
    cfg = without_seed(replace(folder(), root="/data/cats"))
    rows = [a_row("k=3", 0, 30.0, **cfg), a_row("k=6", 0, 30.0, **cfg)]
    rows[0].stamp |= {"weights_name": "deit.safetensors"}
    assert "--weights deit.safetensors" in command(described("table7_pooling"), "cats", rows)


def test_a_size_that_a_label_names_by_chance_is_told() -> None:
    cfg = without_seed(replace(folder(), root="/data/cats", image_size=160, eval_size=160))
    told = command(described("table1_image_size"), "cats", [a_row("160", 0, 30.0, **cfg)])
    assert "--image-size 160" in told and "--eval-size" not in told


def test_epochs_are_those_of_the_first_stage_where_a_method_has_two() -> None:
    base = replace(folder(), root="/data/cats", epochs=8)
    two = replace(base, method="vit_pcm", epochs=14, stage2_epochs=6)
    rows = [a_row(cfg.method, 0, 30.0, **without_seed(cfg)) for cfg in (base, two)]
    assert " --epochs 8 " in command(described("table6_peers"), "cats", rows)


def test_the_command_of_a_table_names_nothing_that_its_script_sets() -> None:
    rows = [
        replace(a_row(label, 0, 40.0), config=to_dict(from_dict(values | {"eval_every": 1}, pocket())))
        for label, values in (("baseline", components.BASELINE), ("akp", components.AKP))
    ]
    told = command(described("table5_efficiency"), "pocket", rows)
    assert told.startswith("python experiments/table5_efficiency.py") and "eval_every" not in told
    assert "lambda2" not in told and told.endswith("--seeds 1")
