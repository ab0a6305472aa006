"""Section 4.1 and Figure 5: the weights lambda1 (segmentation loss) and lambda2 (patch contrastive error).

    python experiments/grid_lambda.py
    python experiments/grid_lambda.py folder --root PHOTOGRAPHS --weights deit_tiny_patch16_224.safetensors

As the paper does it: lambda2 off and lambda1 over [0, 1] from coarse to fine, then lambda2 with the best lambda1. The
paper's choice (0.02, 0.01) is run in any case. 9 to 12 settings with 3 seeds each; 20 to 30 minutes on the embedded
data with two cores. Expect a plateau there: every lambda1 from 0.02 to 1 scored 51 to 53 mIoU, within the seeds'
spread, and the paper's fall towards 1 did not show. With lambda1 = 0 the decoder is never trained, so its mIoU is that
of an untrained layer and not a cliff of the method. It leaves best.toml, the rows, the table and both panels of the
figure.
"""

from apc.experiment.definition import Experiment
from apc.experiment.main import main
from apc.reporting.published import gain
from apc.reporting.table_entry import Claim, paper_is_best
from apc.search.plans import Staged, Sweep, label_of
from search_spaces.lambdas import PAPER, PLAN

WITHOUT_PCE = PAPER | {"lambda2": 0.0}

EXPERIMENT = Experiment(
    name="grid_lambda",
    title="Figure 5: the weights lambda1 and lambda2",
    about="As in the paper's section 4.1, the weights are searched one after the other: lambda1 (segmentation "
    "loss) with lambda2 = 0, then lambda2 (patch contrastive error) at the best lambda1. The paper chose "
    f"({PAPER['lambda1']:g}, {PAPER['lambda2']:g}) on the VOC 2012 validation set; it shows curves and prints no "
    "numbers.",
    place=90,
    plan=PLAN,
    smoke_plan=Staged(
        (
            Sweep(knob="lambda1", coarse=(0.0, PAPER["lambda1"], 1.0), held={"lambda2": 0.0}, refine=0),
            Sweep(knob="lambda2", coarse=(0.0, PAPER["lambda2"]), refine=0),
        )
    ),
    seeds={"pocket": 3, "folder": 1},
    chooses=True,
    minutes={"pocket": 25},
    knobs=("lambda1", "lambda2"),
    reference=label_of(WITHOUT_PCE),
    staged=True,
    figures=("sweeps", "heat", "curves"),
    claims=(
        Claim(
            f"PCL helps: lambda2 = {PAPER['lambda2']:g} beats 0 at lambda1 = {PAPER['lambda1']:g}",
            label_of(PAPER),
            label_of(WITHOUT_PCE),
            gain("table8", "pcl", "akp"),
            "counted in Table 8",
            counted=False,
        ),
    ),
    bests=(
        paper_is_best("lambda1", "with lambda2 = 0", "Figure 5"),
        paper_is_best("lambda2", "at our best lambda1", "Figure 5"),
    ),
    explained=True,
    masks_in="Figure 7",
)

if __name__ == "__main__":
    raise SystemExit(main(EXPERIMENT))
