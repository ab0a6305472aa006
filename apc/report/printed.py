"""The paper's comparison with other methods (Tables 2 to 4 and 6) as printed, and what its numbers really are."""

import csv
from pathlib import Path

from apc.report import tables

REMARKS = {
    "vit_pcm": "Tables 3 and 6: pseudo masks with CRF, made with the images' true labels; not a segmentation",
    "toco": "Tables 3 and 6: class activation maps made with the true labels (its log: 70.487); its ViT-B segments val "
    "with 71.1",
    "afa": "Tables 3 and 6: one scale, no CRF (its log: 63.85); Table 2 holds its val segmentation with CRF",
    "apc": "the paper's own; decoder or patch branch is not said, CRF by Table 8",
}
"""By method; from the logs and papers of the methods."""
_COLUMNS = {
    ("table2", "pseudo_miou"): "Table 2: pseudo masks, VOC train",
    ("table3", "miou"): "Table 3: VOC val",
    ("table4", "miou"): "Table 4: COCO val",
    ("table6", "hours"): "Table 6: hours",
}


def comparison_as_printed() -> list[str]:
    """The section: a table of the methods and what to keep in mind."""
    from pandas import DataFrame

    names: dict[str, str] = {}
    cells: dict[str, dict[str, str]] = {}
    with open(Path(__file__).with_name("published.csv"), newline="") as file:
        for line in csv.DictReader(file):
            column = _COLUMNS.get((line["table"], line["column"]))
            if column:
                if line["table"] != "table6":  # its source names the method alone
                    names.setdefault(line["row"], line["source"].split(", ", 2)[2])
                spread = f" ± {line['spread']}" if line["spread"] else ""
                cells.setdefault(line["row"], {})[column] = line["value"] + spread
    empty = dict.fromkeys(_COLUMNS.values(), tables.PENDING)
    lines = [
        {"method": names[row]} | empty | own | {"remark": REMARKS.get(row, "")}
        for row, own in cells.items()
    ]
    return [
        "## Tables 2 to 4 and 6: other methods, as the paper prints them",
        "Nothing here was measured by us. The numbers do not share one protocol: some are segmentations without image "
        "labels, some are masks made with them, some have a CRF, so their order says little. The paper also disagrees "
        "with itself: its baseline is 68.2 in Table 5 and 68.6 in Table 8, its machine two RTX 4090 in section 4.1 and "
        "a single one in section 4.3. Every printed number, with its place, is in `apc/report/published.csv`.",
        "<details><summary>The printed tables</summary>\n\n" + tables.markdown(DataFrame(lines), left=True)
        + "\n\n</details>",
    ]  # fmt: skip
