"""The paper's numbers beside ours, and its comparison with other methods as printed, with what that really is."""

import csv
from collections.abc import Sequence
from pathlib import Path

from apc.reporting import tables
from apc.reporting.groups import Group
from apc.reporting.table_entry import TableEntry

REMARKS = {
    "vit_pcm": "Tables 3 and 6: pseudo masks with CRF, made with the images' true labels; not a segmentation",
    "toco": "Tables 3 and 6: class activation maps made with the true labels (its log: 70.487); its ViT-B segments val "
    "with 71.1",
    "afa": "Tables 3 and 6: one scale, no CRF (its log: 63.85); Table 2 holds its val segmentation with CRF",
    "mctformer": "Table 3: 61.7 is that of its seeds on train, no segmentation of val, which its authors give as 71.9",
    "sipe": "Tables 2 and 3: 58.6 is that of its seeds on train; its segmentation of val has 68.8",
    "apc": "the paper's own; decoder or patch branch is not said, CRF by Table 8",
}
"""By method; from the logs and papers of the methods. MCTformer's and SIPE's are from memory (method-spec 4.0)."""
_COLUMNS = {
    ("table2", "pseudo_miou"): "Table 2: pseudo masks, VOC train",
    ("table3", "miou"): "Table 3: VOC val",
    ("table4", "miou"): "Table 4: COCO val",
    ("table6", "hours"): "Table 6: hours",
}


def beside(entry: TableEntry, group: Group, labels: Sequence[str], reference: str) -> dict[str, dict[str, str]]:
    """Columns of the paper beside a table's rows: name -> label -> cell."""
    printed, rows = entry.printed or {}, {label: label for label in labels}
    if entry.paper_row:
        rows = {row.row: entry.paper_row(row) for row in group.rows}
    columns = {}
    if entry.printed is not None:
        columns["paper"] = {label: f"{printed[row]:.1f}" for label, row in rows.items() if row in printed}
        if (own := rows.get(reference, "")) in printed:
            gaps = {label: tables.signed(printed[row] - printed[own]) for label, row in rows.items() if row in printed}
            columns[f"paper − {reference}"] = gaps | {reference: tables.REFERENCE}
    for name, cells in (entry.also_printed or {}).items():
        columns[name] = {label: cells[row] for label, row in rows.items() if row in cells}
    return columns


def comparison_as_printed() -> list[str]:
    """The section: a table of the methods and what to keep in mind."""
    from pandas import DataFrame

    names: dict[str, str] = {}
    cells: dict[str, dict[str, str]] = {}
    with open(Path(__file__).with_name("published.csv"), newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            column = _COLUMNS.get((line["table"], line["column"]))
            if column:
                if line["table"] != "table6":  # its source names the method alone
                    names.setdefault(line["row"], line["source"].split(", ", 2)[2])
                spread = f" ± {line['spread']}" if line["spread"] else ""
                cells.setdefault(line["row"], {})[column] = line["value"] + spread
    empty = dict.fromkeys(_COLUMNS.values(), tables.PENDING)
    lines = [{"method": names[row]} | empty | own | {"remark": REMARKS.get(row, "")} for row, own in cells.items()]
    return [
        "## Tables 2 to 4 and 6: other methods, as the paper prints them",
        "Nothing here was measured by us. The numbers do not share one protocol: some are segmentations without image "
        "labels, some are masks made with them, some have a CRF, so their order says little. The paper also disagrees "
        "with itself: its baseline is 68.2 in Table 5 and 68.6 in Table 8, its machine two RTX 4090 in section 4.1 and "
        "a single one in section 4.3. Every printed number, with its place, is in `apc/reporting/published.csv`.",
        "<details><summary>The printed tables</summary>\n\n"
        + tables.markdown(DataFrame(lines), left=True)
        + "\n\n</details>",
    ]
