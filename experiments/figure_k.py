"""Sensitivity to K, the most patches that a class takes, for adaptive-K and top-K pooling.

    python experiments/figure_k.py
    python experiments/figure_k.py folder --root PHOTOGRAPHS --weights deit_tiny_patch16_224.safetensors

The paper sets K to 6 and shows no other value. K of 1 is max pooling for both, so it is trained once; it and both K of
6 are Table 7's runs. Nine settings with 5 seeds each on the embedded data, about 30 minutes with two cores or 20 if
Table 7 is there; one seed on photographs. Expect both to rise from max pooling and to fall again where K is more than a
small thing has patches; theta was expected to hold adaptive-K back there, and does not.
"""

from apc.experiment.definition import Experiment
from apc.experiment.main import main
from apc.reporting.table_entry import paper_is_best
from apc.search.plans import label_of, points
from search_spaces.k import PAPER, PLAN

EXPERIMENT = Experiment(
    name="figure_k",
    title="Sensitivity to K",
    about="The most patches that a class takes, for adaptive-K and for top-K pooling. K of 1 is max pooling for "
    f"both. The paper sets K to {PAPER['k']} and shows no other value.",
    place=100,
    plan=PLAN,
    smoke_plan=points([{"pooling": "max"}, PAPER | {"pooling": "top_k"}]),
    seeds={"pocket": 5, "folder": 1},
    minutes={"pocket": 30},
    knobs=("pooling", "k"),
    sets=("pooling", "k"),
    reference=label_of(PAPER),
    figures=("values",),
    bests=(paper_is_best("k", "with adaptive-K pooling", "our question", ours=True),),
)

if __name__ == "__main__":
    raise SystemExit(main(EXPERIMENT))
