"""Figure 4: the thresholds theta of adaptive-K pooling and epsilon of the patch contrastive error, one at a time.

    python experiments/figure4_theta_epsilon.py
    python experiments/figure4_theta_epsilon.py folder --root PHOTOGRAPHS --weights deit_tiny_patch16_224.safetensors

theta from 0.5 to 1 at the paper's epsilon of 0.85, then epsilon from 0.6 to 0.95 at its theta of 0.9. The ends of theta
are known beforehand: up to 0.5 Algorithm 1 takes all K patches and is top-K pooling, at 1 it takes one and is max
pooling. 12 settings with 5 seeds each on the embedded data, about 40 minutes with two cores; on photographs one seed.
Expect a flat top over theta between 0.5 and 0.9 and a fall towards 1, and no effect of epsilon beyond the spread of the
seeds. The paper shows curves and prints no numbers but its choice. `apc search theta_epsilon` runs a grid of both.
"""

from apc.experiment.definition import Experiment
from apc.experiment.main import main
from apc.reporting.table_entry import paper_is_best
from apc.search.plans import grid, label_of
from search_spaces.theta_epsilon import LINES, PAPER

EXPERIMENT = Experiment(
    name="figure4_theta_epsilon",
    title="Figure 4: theta, then epsilon",
    about="theta at the paper's epsilon, epsilon at its theta: up to 0.5 theta makes adaptive-K pooling top-K, and "
    "at 1 max pooling, so what Table 7 says of these two is here again. The paper shows curves and prints no numbers "
    "but its choice, "
    f"({PAPER['theta']:g}, {PAPER['epsilon']:g}).",
    place=80,
    plan=LINES,
    smoke_plan=grid({"theta": (0.5, PAPER["theta"]), "epsilon": (PAPER["epsilon"],)}),
    seeds={"pocket": 5, "folder": 1},
    minutes={"pocket": 40},
    knobs=("theta", "epsilon"),
    reference=label_of(PAPER),
    figures=("values",),
    bests=(
        paper_is_best("theta", f"at epsilon = {PAPER['epsilon']:g}", "Figure 4"),
        paper_is_best("epsilon", f"at theta = {PAPER['theta']:g}", "Figure 4"),
    ),
    explained=True,
    masks_in="Figure 7",
)

if __name__ == "__main__":
    raise SystemExit(main(EXPERIMENT))
