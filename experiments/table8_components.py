"""Table 8: the components one after the other: ViT, HV-BiLSTM, CRF, adaptive-K pooling, patch contrast.

    python experiments/table8_components.py
    python experiments/table8_components.py folder --root PHOTOGRAPHS --weights deit_tiny_patch16_224.safetensors

The first two rows pool with the maximum and have no patch contrast, as the paper's baseline. The CRF learns nothing:
its row is the second row's run scored as `miou_crf`, and so are the rows below it; the column `ladder_miou` follows it.
Four settings with 5 seeds each on the embedded data, about 14 minutes with two cores, 3 on photographs; the last row is
the same run as Table 7's adaptive-K. Expect HV-BiLSTM and adaptive-K to help, the CRF to harm the max-pooling rows,
whose masks are too small, and the gain of patch contrast to lie within the spread of the seeds.
"""

from dataclasses import replace
from pathlib import Path

from apc.experiment.definition import Experiment
from apc.experiment.main import main
from apc.runs.rows import Row
from apc.search.plans import Point, Result
from search_spaces.components import PLAN

SCORED = {"vit": "miou", "hv_bilstm": "miou", "crf": "miou_crf", "akp": "miou_crf", "pcl": "miou_crf"}
"""The score that the paper's row stands for: `ladder_miou`."""


def ladder(result: Result, runs: Path) -> Result:
    """The table's five rows: those of the runs, and the second row's runs once more, scored after the CRF."""
    rows = {point.label: (point, found) for point, found in result}
    if "hv_bilstm" in rows:
        point, found = rows["hv_bilstm"]
        again = [replace(row, run=f"{row.run}@crf") for row in found if "miou_crf" in row.metrics]
        rows["crf"] = Point("crf", point.values), again
    return [
        (point, [_scored(row, SCORED[label]) for row in found])
        for label in SCORED
        if label in rows
        for point, found in [rows[label]]
    ]


def _scored(row: Row, metric: str) -> Row:
    found = {"ladder_miou": row.metrics[metric]} if metric in row.metrics else {}
    return replace(row, metrics=row.metrics | found)


EXPERIMENT = Experiment(
    name="table8_components",
    title="Table 8: the components one after the other",
    plan=PLAN,
    measure=ladder,
    metric="ladder_miou",
    seeds={"pocket": 5, "folder": 3},
    minutes={"pocket": 14},
)

if __name__ == "__main__":
    raise SystemExit(main(EXPERIMENT))
