"""Table 7: average, max, top-K and adaptive-K pooling, everything else equal.

    python experiments/table7_pooling.py
    python experiments/table7_pooling.py folder --root PHOTOGRAPHS --weights deit_tiny_patch16_224.safetensors

Four settings with 5 seeds each on the embedded data (about 14 minutes with two cores), 3 on photographs. Expect top-K
and adaptive-K far above max and average. Which of those two is ahead depends on theta: where adaptive-K takes nearly
all of its K patches (`mean_k` in the details) it cannot differ from top-K. The report pairs the rows seed by seed.
"""

from apc.experiment.definition import Experiment
from apc.experiment.main import main
from search_spaces.pooling import PLAN

EXPERIMENT = Experiment(
    name="table7_pooling",
    title="Table 7: four ways to pool patch scores",
    plan=PLAN,
    seeds={"pocket": 5, "folder": 3},
    minutes={"pocket": 14},
)

if __name__ == "__main__":
    raise SystemExit(main(EXPERIMENT))
