"""The paper's numbers, read from published.csv."""

import csv
from collections import Counter
from pathlib import Path

from apc.reporting import published as module
from apc.reporting.published import published


def test_published_numbers_are_the_papers() -> None:
    assert published("table7") == {"average": 61.7, "max": 70.5, "top_k": 71.8, "adaptive_k": 72.3}
    assert published("table8") == {"vit": 62.6, "hv_bilstm": 65.3, "crf": 68.6, "akp": 70.3, "pcl": 72.3}
    assert published("table1")["1120"] == 72.0 and published("table1", "inference_seconds")["960"] == 483
    assert published("table2", "pseudo_miou")["apc"] == 74.6 and len(published("table2", "pseudo_miou")) == 15
    assert published("table3")["toco"] == 70.5 and published("table4")["apc"] == 45.7
    assert published("table5", "hours")["voc_akp_pcl"] == 1.5 and published("table6")["vit_pcm"] == 69.3
    assert published("table9", "intra_class") == {"with_pcl": 0.5664, "without_pcl": 0.7152}
    assert (published("figure5", "lambda1"), published("figure5", "lambda2")) == ({"default": 0.02}, {"default": 0.01})


def test_every_number_of_the_papers_tables_stands_in_published_csv() -> None:
    with open(Path(module.__file__).with_name("published.csv"), newline="") as file:
        cells = Counter(line["table"] for line in csv.DictReader(file))
    printed = {1: 12, 2: 15, 3: 10, 4: 10, 5: 12, 6: 8, 7: 4, 8: 5, 9: 4}
    assert {k: cells[f"table{k}"] for k in printed} == printed
