"""Table 5: what adaptive-K pooling and patch contrast do to the time of training and to the score.

    python experiments/table5_efficiency.py --max-concurrent 1
    python experiments/table5_efficiency.py folder --root PHOTOGRAPHS --weights deit_tiny_patch16_224.safetensors --max-concurrent 1

The paper's hours fall from 4 to 1.5 as modules are added; no module can make a step faster, so its time must be that to
convergence. Two times are given here: that of the whole schedule, and that until the score is 95 % of the run's own
final one, for which every epoch is scored (scoring counts in neither). Runs side by side slow each other: times want
--max-concurrent 1. Three settings with 5 seeds each on the embedded data, about 25 minutes, 1 seed on photographs.
Expect the schedule to take the same time within 10 % in all rows, a little more with patch contrast.
"""  # noqa: E501

from apc.experiment.definition import Experiment
from apc.experiment.main import main
from apc.reporting.published import printed_cells, published
from apc.reporting.table_entry import COSTS, saves_time
from apc.reporting.timing import RULE
from apc.search.plans import points
from search_spaces.components import AKP, APC, BASELINE, SCORED

ROWS = {"baseline": BASELINE | SCORED, "akp": AKP | SCORED, "akp_pcl": APC | SCORED}

EXPERIMENT = Experiment(
    name="table5_efficiency",
    title="Table 5: time and score of the components",
    about=f"{RULE} The paper's hours are those of VOC on one 4090.",
    place=10,
    plan=points(ROWS),
    seeds={"pocket": 5, "folder": 1},
    minutes={"pocket": 25},
    timed=True,
    knobs=("pooling", "lambda2"),
    sets=("eval_every", "pooling", "lambda2"),
    rows=tuple(ROWS),
    columns=("miou", *COSTS, "miou_crf", "test_miou"),
    reference="baseline",
    printed={row: published("table5")[f"voc_{row}"] for row in ROWS},
    also_printed={"paper: hours": printed_cells("table5", "hours", prefix="voc_")},
    figures=("time", "rows", "curves"),
    claims=(
        saves_time("adaptive-K takes less time than max pooling", "akp", "baseline", "Table 5", prefix="voc_"),
        saves_time("PCL saves time", "akp_pcl", "akp", "Table 5", prefix="voc_"),
    ),
    explained=True,
)

if __name__ == "__main__":
    raise SystemExit(main(EXPERIMENT))
