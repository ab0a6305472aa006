"""Table 2: the pseudo masks of the training images, by method.

    python experiments/table2_pseudo_masks.py
    python experiments/table2_pseudo_masks.py folder --root PHOTOGRAPHS --weights deit_tiny_patch16_224.safetensors

The runs are those of Table 6 at the same settings. When all training is over, and only here, the masks of the training
images are opened: each checkpoint's pseudo masks, made with the image labels, are scored by them before and after the
CRF (`train_pseudo_miou`, `train_pseudo_miou_crf`). Photographs whose list has no masks give no score. 3 seeds on the
embedded data, about 50 minutes with two cores if nothing is trained yet and 10 if Table 6 is, 1 seed on photographs.
Expect scores far above Table 6's, since image labels rule out most classes: the two are not comparable.
"""

from pathlib import Path

from apc.experiment.definition import Experiment
from apc.experiment.main import main
from apc.reporting.names import row_name
from apc.reporting.published import published
from apc.reporting.table_entry import beats
from apc.search.plans import Result
from experiments.table6_peers import PEERS, ROWS, plan

SCORED_BY = ("train_pseudo_miou", "train_pseudo_miou_crf")


def of_train(result: Result, runs: Path, root: str) -> Result:
    """The rows with the scores of the pseudo masks that their checkpoints make of the training images."""
    from apc.evaluation.remeasure import masks_of_train, pseudo_masks_of_train
    from apc.experiment.measure import measured_result

    return measured_result(result, runs, root, "pseudo_masks", pseudo_masks_of_train, masks_of_train)


EXPERIMENT = Experiment(
    name="table2_pseudo_masks",
    title="Table 2: pseudo masks of the training images",
    about="The settings of Table 6; where both have the same epochs and device the runs are the same. After "
    "all training the masks of the training images are opened and the pseudo masks, which are made with the image "
    "labels, scored by them. The paper's AFA cell is a segmentation of val.",
    place=60,
    plan=plan,
    measure=of_train,
    metric="train_pseudo_miou",
    seeds={"pocket": 3, "folder": 1},
    minutes={"pocket": 50},
    sets=("eval_every",),
    rows=ROWS,
    columns=(*SCORED_BY, "train_labelled_miou", "train_labelled_miou_crf"),
    reference="apc",
    printed=published("table2", "pseudo_miou"),
    claims=tuple(
        beats(f"APC beats {row_name(peer)}", "apc", peer, "Table 2", column="pseudo_miou", metrics=SCORED_BY)
        for peer in PEERS
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(EXPERIMENT))
