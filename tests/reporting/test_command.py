"""The command printed under a table is the one that made its rows."""

from collections.abc import Sequence
from dataclasses import replace

from report_rows import a_row

from apc.config import Config, folder, from_dict, pocket, to_dict
from apc.reporting.catalogue import described
from apc.reporting.command import command
from apc.runs.rows import Row
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
    assert command(described("search_joint"), "pocket", by_hand) == joint
    by_hand[0].stamp["search"]["stop_early"] = "none"
    assert command(described("search_joint"), "pocket", by_hand) == f"{joint} --stop-early none"
    assert command(described("search_joint"), "pocket", usual) == f"{joint} --stop-early none"  # before it could halve
    by_hand[0].stamp["search"] = {"sampler": "qmc", "trials": 40}
    assert command(described("choosing"), "pocket", by_hand) == "python experiments/choosing.py --trials 40 --seeds 1"
    by_hand[0].stamp["search"] = {"sampler": "grid", "objectives": ["miou"], "grid_points": 4}
    assert command(described("space_simple"), "pocket", by_hand) == (
        "apc search simple --sampler grid --grid-points 4 --seeds 1"
    )


def test_the_command_of_a_table_names_nothing_that_its_script_sets() -> None:
    rows = [
        replace(a_row(label, 0, 40.0), config=to_dict(from_dict(values | {"eval_every": 1}, pocket())))
        for label, values in (("baseline", components.BASELINE), ("akp", components.AKP))
    ]
    told = command(described("table5_efficiency"), "pocket", rows)
    assert told.startswith("python experiments/table5_efficiency.py") and "eval_every" not in told
    assert "lambda2" not in told and told.endswith("--seeds 1")
