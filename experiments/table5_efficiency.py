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
from apc.search.plans import points
from search_spaces.components import AKP, APC, BASELINE, SCORED

EXPERIMENT = Experiment(
    name="table5_efficiency",
    title="Table 5: time and score of the components",
    plan=points({"baseline": BASELINE | SCORED, "akp": AKP | SCORED, "akp_pcl": APC | SCORED}),
    seeds={"pocket": 5, "folder": 1},
    minutes={"pocket": 25},
)

if __name__ == "__main__":
    raise SystemExit(main(EXPERIMENT))
