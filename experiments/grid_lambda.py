"""Section 4.1 and Figure 5: the weights lambda1 (segmentation loss) and lambda2 (patch contrastive error).

    python experiments/grid_lambda.py
    python experiments/grid_lambda.py folder --root PHOTOGRAPHS --weights deit_tiny_patch16_224.safetensors

As the paper does it: lambda2 off and lambda1 over [0, 1] from coarse to fine, then lambda2 with the best lambda1. The
paper's choice (0.02, 0.01) is run in any case. 9 to 12 settings with 3 seeds each; 15 to 20 minutes on the embedded
data with two cores. Expect a plateau there: every lambda1 from 0.02 to 1 scored 45 to 47 mIoU, within the seeds'
spread, and the paper's fall towards 1 did not show. With lambda1 = 0 the decoder is never trained, so its mIoU is that
of an untrained layer and not a cliff of the method. It leaves best.toml, the rows, the table and both panels of the
figure.
"""

from apc.experiment.definition import Experiment
from apc.experiment.main import main
from apc.search.plans import Staged, Sweep
from search_spaces.lambdas import PLAN

EXPERIMENT = Experiment(
    name="grid_lambda",
    title="Section 4.1, Figure 5: lambda1 with lambda2 off, then lambda2",
    plan=PLAN,
    smoke_plan=Staged(
        (
            Sweep(knob="lambda1", coarse=(0.0, 0.02, 1.0), held={"lambda2": 0.0}, refine=0),
            Sweep(knob="lambda2", coarse=(0.0, 0.01), refine=0),
        )
    ),
    seeds={"pocket": 3, "folder": 1},
    chooses=True,
    minutes={"pocket": 17},
)

if __name__ == "__main__":
    raise SystemExit(main(EXPERIMENT))
