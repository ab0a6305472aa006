"""The paper's setting with the preset's whole schedule, several seeds: how good is it here, and how far apart are runs.

    python experiments/paper_setting.py folder --root PHOTOGRAPHS --weights deit_tiny_patch16_224.safetensors

One setting with 3 seeds. On photographs that is the paper's schedule of 15 epochs, about 20 minutes of one core a run
for 650 photographs at 256 pixels; `--train-list` takes another list. On the embedded data, about 2
minutes with two cores, Table 7 has the same runs. Expect runs of photographs to differ by one or two points of mIoU,
seed by seed.
"""

from apc.experiment.definition import Experiment
from apc.experiment.main import main
from apc.search.plans import points

EXPERIMENT = Experiment(
    name="paper_setting",
    title="The paper's setting and schedule",
    about="Adaptive-K with the paper's theta, K, epsilon and lambdas and the preset's whole schedule: what a user "
    "gets who changes nothing.",
    place=120,
    presets=("folder",),
    plan=points({"paper's setting": {}}),
    minutes={"pocket": 2},
    by_default=False,
    knobs=(),
    figures=("classes", "curves"),
)

if __name__ == "__main__":
    raise SystemExit(main(EXPERIMENT))
