"""Table 7: average, max, top-K and adaptive-K pooling, everything else equal.

    python experiments/table7_pooling.py
    python experiments/table7_pooling.py folder --root PHOTOGRAPHS --weights deit_tiny_patch16_224.safetensors

Four settings with 5 seeds each on the embedded data (about 14 minutes with two cores), 3 on photographs. Expect top-K
and adaptive-K far above max and average. Which of those two is ahead depends on theta: where adaptive-K takes nearly
all of its K patches (`mean_k` in the details) it cannot differ from top-K. The report pairs the rows seed by seed.
"""

from apc.experiment.definition import Experiment
from apc.experiment.main import main
from apc.reporting.published import published
from apc.reporting.table_entry import beats
from search_spaces.pooling import PLAN

EXPERIMENT = Experiment(
    name="table7_pooling",
    title="Table 7: pooling",
    about="Only the pooling from patch scores to image scores differs; adaptive-K takes at most the K patches that "
    "top-K takes, and where it takes nearly all of them the two can hardly differ. `mean_k` is how many it takes. "
    "All have PCL, and where both tables' commands are alike adaptive-K is Table 8's last row. The paper's numbers are "
    "for VOC 2012 val with ViT-B/16, without a number of runs; by its Table 8 they include the CRF, so `miou_crf` is "
    "the nearest column.",
    place=30,
    plan=PLAN,
    seeds={"pocket": 5, "folder": 3},
    minutes={"pocket": 14},
    knobs=("pooling",),
    rows=("average", "max", "top_k", "adaptive_k"),
    reference="max",
    printed=published("table7"),
    figures=("rows", "classes", "time", "curves"),
    claims=(
        beats("adaptive-K beats max pooling", "adaptive_k", "max", "Table 7"),
        beats("adaptive-K beats top-K", "adaptive_k", "top_k", "Table 7"),
        beats("top-K beats max pooling", "top_k", "max", "Table 7"),
        beats("max pooling beats average pooling", "max", "average", "Table 7"),
    ),
    explained=True,
    masks_in="Figure 7",
)

if __name__ == "__main__":
    raise SystemExit(main(EXPERIMENT))
