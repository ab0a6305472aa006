"""The front of a search with two objectives."""

from pathlib import Path

from PIL import Image
from report_rows import page
from search_rows import STAMP, a_row

from apc.reporting.groups import Group
from apc.reporting.searches import pareto
from apc.reporting.searches import trials as read_trials


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
