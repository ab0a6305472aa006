"""Names for people: of scores and times, of rows and of outcomes, where a page shows them."""

import hashlib
import re

from apc.runs.scores import SCORES

SHORT = {
    "miou": "mIoU",
    "miou_crf": "mIoU after the CRF",
    "tune_miou": "mIoU of the half that chose",
    "held_miou": "mIoU of the held-out half",
    "test_miou": "mIoU of the test images",
    "miou_ms": "mIoU over scales",
    "miou_ms_crf": "mIoU over scales, after the CRF",
    "patch_miou": "mIoU of the patch branch",
    "patch_miou_crf": "mIoU of the patch branch, after the CRF",
    "ladder_miou": "mIoU as the paper's row",
    "train_pseudo_miou": "mIoU of pseudo masks",
    "train_pseudo_miou_crf": "mIoU of pseudo masks, after the CRF",
    "train_seconds": "seconds of training",
    "train_cpu_seconds": "CPU seconds of training",
    "to_95_seconds": "seconds to 95 %",
    "to_95_cpu_seconds": "CPU seconds to 95 %",
    "network_seconds": "seconds of the network",
    "intra_cosine": "spread within classes",
    "inter_cosine": "distance between classes",
    "background_cosine": "distance to background",
    "label_rule": "label rule",
}
"""Score or time -> what heads its column where people read."""
ROWS = {
    "average": "average pooling",
    "max": "max pooling",
    "top_k": "top-K pooling",
    "adaptive_k": "adaptive-K pooling",
    "vit": "ViT",
    "hv_bilstm": "+ HV-BiLSTM",
    "crf": "+ CRF",
    "akp": "+ adaptive-K pooling",
    "pcl": "+ patch contrast (APC)",
    "vit_pcm": "ViT-PCM",
    "afa": "AFA",
    "toco": "ToCo",
    "apc": "APC",
    "akp_pcl": "+ patch contrast (APC)",
    "baseline": "baseline",
    "with_pcl": "with patch contrast",
    "without_pcl": "without patch contrast",
}
"""Label of a row of a table -> its name for people; any other label is its own."""
SIGNS = {"reproduced": "✓", "contradicted": "✗", "undecided": "?", "pending": "–"}
"""Outcome of a verdict -> its sign, for eyes and paper without colours."""
SMALL = "≪"
"""Behind a sign: surely below half of the printed size."""
FAR_APART = "!"
"""Behind a sign: rests on few seeds of a row of which single ones look collapsed."""


def score_name(metric: str) -> str:
    """A score or time for people; its own name where it has none."""
    return SHORT.get(metric, metric if metric not in SCORES else metric.replace("_", " "))


def anchor_of(title: str) -> str:
    """The anchor of a heading, as it is where Markdown is shown: `table-7-pooling` of "Table 7: pooling"."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def file_name(name: str, dataset: str) -> str:
    """First part of the names of the files of an experiment on a data set, fit for a link: photographs may lie in any
    folder. Where that takes another name, a few digits keep `my photos` and `my-photos` apart."""
    whole = f"{name}.{dataset}"
    fit = re.sub(r"[^\w.-]+", "-", whole)
    return fit if fit == whole else f"{fit}-{hashlib.sha256(whole.encode(errors='surrogatepass')).hexdigest()[:6]}"


def for_people(text: str) -> str:
    """A sentence with the names of scores and times, which it has as code, in words."""
    known = SHORT.keys() | SCORES.keys()
    return re.sub(r"`(\w+)`", lambda name: score_name(name[1]) if name[1] in known else name[0], text)


def row_name(label: str) -> str:
    """A row of a table for people; a label of others as it is."""
    return ROWS.get(label, label)
