"""Sensitivity to K, the most patches that a class takes, for adaptive-K and top-K pooling.

    python experiments/figure_k.py
    python experiments/figure_k.py folder --root PHOTOGRAPHS --weights deit_tiny_patch16_224.safetensors

The paper sets K to 6 and shows no other value. K of 1 is max pooling for both, so it is trained once; it and both K of
6 are Table 7's runs. Nine settings with 5 seeds each on the embedded data, about 30 minutes with two cores or 20 if
Table 7 is there; one seed on photographs. Expect top-K to rise from max pooling and to fall again where K is more than
a small thing has patches, and adaptive-K to follow it until theta stops it, so that a large K harms it less.
"""

from apc.experiment.definition import Experiment
from apc.experiment.main import main
from apc.search.plans import points
from search_spaces.k import PLAN

EXPERIMENT = Experiment(
    name="figure_k",
    title="Sensitivity to K",
    plan=PLAN,
    smoke_plan=points([{"pooling": "max"}, {"pooling": "top_k", "k": 6}]),
    seeds={"pocket": 5, "folder": 1},
    minutes={"pocket": 30},
)

if __name__ == "__main__":
    raise SystemExit(main(EXPERIMENT))
