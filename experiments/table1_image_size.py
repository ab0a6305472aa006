"""Table 1: the size at which images are shown to the trained network: score, seconds and memory.

    python experiments/table1_image_size.py
    python experiments/table1_image_size.py folder --root PHOTOGRAPHS --weights deit_tiny_patch16_224.safetensors

Nothing is trained but the paper's setting, which other tables train too; its checkpoints are scored at 2/3, 1, 4/3, 5/3,
25/12, 5/2 and 35/12 of the training size. At 384 the last four are the paper's 640, 800, 960 and 1120. Scores are those
of the photographs' own pixels at every size. 3 seeds on the embedded data, about 5 minutes with two cores if nothing is
trained yet, 1 on photographs; nothing else should run, for the seconds' sake. Expect cost to rise with the square of the
side and faster, and the best score near the training size on the embedded data, whose photographs are 96 pixels small.
"""  # noqa: E501

from pathlib import Path

from apc.config import voc
from apc.escaping import complain
from apc.experiment.definition import Experiment
from apc.experiment.main import main
from apc.reporting.published import printed_cells, published
from apc.reporting.table_entry import Best
from apc.runs.rows import Row
from apc.search.plans import Point, Result, points
from search_spaces.components import APC

TWELFTHS = (8, 12, 16, 20, 25, 30, 35)
"""Sizes as twelfths of the training size."""


def sizes(image_size: int, patch: int) -> list[int]:
    """Sides in pixels, multiples of the encoder's patch."""
    return list(dict.fromkeys(max(int(image_size * part / 12 / patch + 0.5), 1) * patch for part in TWELFTHS))


def at_sizes(result: Result, runs: Path, root: str) -> Result:
    """A row of the table for each size, its runs those of the paper's setting scored at that size."""
    from apc.evaluation.remeasure import at_size, measured_once, shown_at
    from apc.methods.checkpoint import load_model

    rows_at: dict[int, list[Row]] = {}
    failed = [row for _, rows in result for row in rows if row.error]
    for row in (row for _, rows in result for row in rows if not row.error):
        try:
            method, cfg, _ = load_model(runs / row.run)
        except ValueError as error:
            complain(f"not measured: {error}")
            continue
        for size in sizes(cfg.image_size, method.encoder.patch):
            if scores := measured_once(row, runs, root, f"size_{size}", at_size(size)):
                rows_at.setdefault(size, []).append(shown_at(row, size, scores))
    table: Result = [(Point(str(size), {"eval_size": size}), rows) for size, rows in sorted(rows_at.items())]
    return [*table, *([(Point("training", {}), failed)] if failed else [])]


def paper_size(row: Row) -> str:
    """The paper's image size that is as many times its training size as that of a run; empty where none is."""
    size = voc().image_size * row.config.get("eval_size", 0) / max(row.config.get("image_size", 0), 1)
    near = [name for name in published("table1") if abs(float(name) / max(size, 1) - 1) < 0.02]
    return near[0] if near else ""


EXPERIMENT = Experiment(
    name="table1_image_size",
    title="Table 1: the size of images in inference",
    about="One trained setting, the paper's, shown images at other sizes; scores are those of the photographs' own "
    "pixels. The paper trains at 384 and shows 640 to 1120 pixels: its values stand beside our size that is as "
    "many times the training size. Its seconds are presumably of the whole VOC val set on its one 4090, ours are "
    "of one photograph.",
    place=50,
    plan=points({"training": APC}),
    measure=at_sizes,
    seeds={"pocket": 3, "folder": 1},
    minutes={"pocket": 5},
    knobs=("eval_size",),
    columns=("miou", "miou_crf", "network_seconds", "crf_seconds", "peak_gib"),
    printed=published("table1"),
    also_printed={
        "paper: size": {size: size for size in published("table1")},
        "paper: seconds": printed_cells("table1", "inference_seconds"),
        "paper: GB": printed_cells("table1", "memory_gb"),
    },
    paper_row=paper_size,
    figures=("values",),
    bests=(Best("eval_size", "images shown at 2.5 times the training size score best", "Table 1"),),
    explained=True,
)

if __name__ == "__main__":
    raise SystemExit(main(EXPERIMENT))
