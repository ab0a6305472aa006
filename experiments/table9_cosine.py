"""Table 9: cosine distances of patch embeddings within a class and between classes, with and without patch contrast.

    python experiments/table9_cosine.py
    python experiments/table9_cosine.py folder --root PHOTOGRAPHS --weights deit_tiny_patch16_224.safetensors

Two settings that Tables 7 and 8 train too; their checkpoints are measured on the validation images, seconds a run. The
paper defines neither distance: here a patch has the class of most of its pixels in the ground truth, `intra_cosine` is
the mean of 1 - cos between a patch and its class's mean, `inter_cosine` that between two classes' means, both without
the background and in hundredths. 5 seeds on the embedded data, about 7 minutes with two cores if nothing is trained
yet, 3 on photographs. Expect classes to move apart with patch contrast, as in the paper, and within a class a change
that is small or against the paper's.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from apc.experiment.definition import Experiment
from apc.experiment.main import main
from apc.reporting.published import published
from apc.reporting.table_entry import Claim
from apc.search.plans import Result, points
from search_spaces.components import AKP, APC

if TYPE_CHECKING:
    from apc.config import Config
    from apc.methods.base import Method


def cosines(result: Result, runs: Path, root: str) -> Result:
    """The rows with the distances of their checkpoints."""
    from apc import data
    from apc.evaluation.class_distances import distances
    from apc.experiment.measure import measured_result
    from apc.methods.apc import APC

    def measure(method: "Method", cfg: "Config", device: str) -> dict[str, Any]:
        assert isinstance(method, APC)
        return {"metrics": distances(method, data.load(cfg, "val"), cfg, device)}

    return measured_result(result, runs, root, "cosine", measure)


ROWS = {"without_pcl": AKP, "with_pcl": APC}
INTER, INTRA = (
    {row: 100 * published("table9", column)[row] for row in ROWS} for column in ("inter_class", "intra_class")
)
"""The paper's distances, in hundredths."""

EXPERIMENT = Experiment(
    name="table9_cosine",
    title="Table 9: cosine distances with and without patch contrast",
    about="Of the last patch embeddings F_out of the validation images. A patch has the class that most of its "
    "pixels have in the ground truth; distances are 1 - cos, without the background, in hundredths. The paper "
    "defines neither distance.",
    place=70,
    plan=points(ROWS),
    measure=cosines,
    metric="inter_cosine",
    seeds={"pocket": 5, "folder": 3},
    minutes={"pocket": 7},
    knobs=("lambda2",),
    sets=("pooling", "lambda2"),
    rows=tuple(ROWS),
    columns=("inter_cosine", "intra_cosine", "background_cosine", "miou"),
    reference="without_pcl",
    printed=INTER,
    also_printed={"paper: intra_cosine": {row: f"{value:.1f}" for row, value in INTRA.items()}},
    claims=(
        Claim(
            "PCL moves classes apart",
            "with_pcl",
            "without_pcl",
            round(INTER["with_pcl"] - INTER["without_pcl"], 1),
            "Table 9",
            ("inter_cosine",),
        ),
        Claim(
            "PCL draws classes together within",
            "without_pcl",
            "with_pcl",
            round(INTRA["without_pcl"] - INTRA["with_pcl"], 1),
            "Table 9",
            ("intra_cosine",),
        ),
    ),
    explained=True,
)

if __name__ == "__main__":
    raise SystemExit(main(EXPERIMENT))
