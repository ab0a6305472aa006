"""Table 8: the components one after the other: ViT, HV-BiLSTM, CRF, adaptive-K pooling, patch contrast.

    python experiments/table8_components.py
    python experiments/table8_components.py folder --root PHOTOGRAPHS --weights deit_tiny_patch16_224.safetensors

The first two rows pool with the maximum and have no patch contrast, as the paper's baseline. The CRF learns nothing:
its row is the second row's run scored as `miou_crf`, and so are the rows below it; the column `ladder_miou` follows it.
Four settings with 5 seeds each on the embedded data, about 14 minutes with two cores, 3 on photographs; the last row is
the same run as Table 7's adaptive-K. Expect adaptive-K to help most, HV-BiLSTM on photographs, the CRF to give the
max-pooling rows, whose masks are too small, little or to harm them, and patch contrast to change nothing to be seen.
"""

from dataclasses import replace
from pathlib import Path

from apc.experiment.definition import Experiment
from apc.experiment.main import main
from apc.reporting.published import published
from apc.reporting.table_entry import SCORES, beats
from apc.runs.rows import Row
from apc.search.plans import Point, Result
from search_spaces.components import PLAN

SCORED = {"vit": "miou", "hv_bilstm": "miou", "crf": "miou_crf", "akp": "miou_crf", "pcl": "miou_crf"}
"""The score that the paper's row stands for: `ladder_miou`."""


def ladder(result: Result, runs: Path, root: str) -> Result:
    """The table's five rows: those of the runs, and the second row's runs once more, scored after the CRF."""
    rows = {point.label: (point, runs_of_row) for point, runs_of_row in result}
    if "hv_bilstm" in rows:
        point, runs_of_row = rows["hv_bilstm"]
        after_crf = [replace(row, run=f"{row.run}@crf") for row in runs_of_row if "miou_crf" in row.metrics]
        rows["crf"] = Point("crf", point.values), after_crf
    return [
        (point, [_scored(row, SCORED[label]) for row in runs_of_row])
        for label in SCORED
        if label in rows
        for point, runs_of_row in [rows[label]]
    ]


def _scored(row: Row, metric: str) -> Row:
    ladder_score = {"ladder_miou": row.metrics[metric]} if metric in row.metrics else {}
    return replace(row, metrics=row.metrics | ladder_score)


BY_ALL = ("ladder_miou", "miou", "miou_crf")
"""Metrics of a claim; one beside the row `crf`, which has no training of its own, is judged BY_LADDER alone."""
BY_LADDER = ("ladder_miou",)

EXPERIMENT = Experiment(
    name="table8_components",
    title="Table 8: the components one after the other",
    about="Each row adds a component: HV-BiLSTM, the CRF, adaptive-K pooling, patch contrast (PCL). The first rows "
    "pool with the maximum, without PCL. The CRF learns nothing: the row `crf` is the row above it scored again.",
    place=40,
    plan=PLAN,
    measure=ladder,
    measured_rows=("crf",),
    metric="ladder_miou",
    seeds={"pocket": 5, "folder": 3},
    minutes={"pocket": 14},
    knobs=("bilstm", "pooling", "lambda2"),
    sets=("bilstm", "pooling", "lambda2"),
    rows=tuple(SCORED),
    columns=("ladder_miou", *SCORES),
    reference="hv_bilstm",
    printed=published("table8"),
    figures=("rows", "classes", "curves"),
    claims=(
        beats("HV-BiLSTM helps the ViT", "hv_bilstm", "vit", "Table 8", metrics=BY_ALL),
        beats("the CRF helps the baseline", "crf", "hv_bilstm", "Table 8", metrics=BY_LADDER),
        beats("adaptive-K beats max after CRF, without PCL", "akp", "crf", "Table 8", metrics=BY_LADDER),
        beats("PCL helps", "pcl", "akp", "Table 8", metrics=BY_ALL),
    ),
    explained=True,
    masks_in="Figure 7",
)

if __name__ == "__main__":
    raise SystemExit(main(EXPERIMENT))
