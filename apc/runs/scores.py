"""The names of all scores and times (SCORES), and what settings and epochs may be chosen by. Imports no torch.

A score that is taken with masks is named by its protocol: protocols.py.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from apc.config import Config
from apc.runs.protocols import HEADLINE, PROTOCOLS, is_protocol, parse

RECIPE_VERSION = 1
"""Version of what training and scoring compute; raise it when either changes, so that old runs are not reused."""


@dataclass(frozen=True)
class Score:
    """What a number is that stands under a name in rows, tables and figures."""

    meaning: str
    """As the legend under a table says it."""
    unit: str = "%"
    """`%`, `s`, `GiB`, `1/s`, `1/100` (hundredths), or what is counted."""
    digits: int = 1
    """Digits behind the point in a table."""
    lower_is_better: bool = False
    in_rows: bool = True
    """Whether a run's own row has it; else it is measured on the finished run, or made of rows in a report."""
    in_curves: bool = False
    """Whether an epoch that is scored (`eval_every`) has it."""
    in_a_line: str = ""
    """The meaning for a terminal, where it is another one."""
    needs_masks: bool = True
    """Whether it is taken with masks; else the validation images' labels are enough."""


def _time(meaning: str, digits: int = 0, in_rows: bool = False) -> Score:
    return Score(meaning, "s", digits, lower_is_better=True, in_rows=in_rows)


def _label_score(meaning: str, *, digits: int = 1, lower_is_better: bool = False, in_curves: bool = True) -> Score:
    unit = "1/100" if lower_is_better else "%"
    return Score(meaning, unit, digits, lower_is_better=lower_is_better, in_curves=in_curves, needs_masks=False)


_AFTER_CRF = "the same after the dense CRF"
SCORES = {
    "miou": Score("decoder, no image labels, single scale, no CRF: the headline", in_curves=True),
    "miou_crf": Score(_AFTER_CRF),
    "tune_miou": Score(
        "as miou, on every second validation image: a search that judges itself honestly chooses by these",
        in_curves=True,
        in_a_line="miou of every second validation image: joint searches choose by it",
    ),
    "held_miou": Score(
        "as miou, on the other validation images, which such a search never sees",
        in_curves=True,
        in_a_line="miou of the others: they are judged by it",
    ),
    "test_miou": Score(
        "as miou, on the test split that nothing was chosen on",
        in_a_line="decoder, no image labels, untouched test split",
    ),
    "miou_ms": Score("decoder, no image labels, mean over the scales 0.5 to 1.5 and flips", in_rows=False),
    "miou_ms_crf": Score(_AFTER_CRF, in_rows=False),
    "patch_miou": Score("patch branch, no image labels, no CRF"),
    "patch_miou_crf": Score(_AFTER_CRF),
    "labelled_miou": Score("decoder, given the image's labels: not comparable with miou"),
    "labelled_miou_crf": Score(_AFTER_CRF),
    "pseudo_miou": Score("pseudo masks: patch branch, given the image's labels"),
    "pseudo_miou_crf": Score(_AFTER_CRF),
    "label_rule": _label_score("without masks: label_f1 x flip_agreement x scale_agreement", digits=2),
    "border_rule": _label_score(
        "without masks: label_rule x border_contrast; `--choose vote` goes by it where too few settings can vote",
        digits=2,
    ),
    "branch_rule": _label_score(
        "without masks: border_rule x label_f1 x branch_agreement; `--choose labels` goes by it", digits=2
    ),
    "label_f1": _label_score("F1 of the classes on more than 1 % of the decoder's pixels, against the image labels"),
    "label_f1_crf": _label_score("label_f1 of the masks after the dense CRF", in_curves=False),
    "branch_agreement": _label_score("mIoU of decoder and patch branch with each other"),
    "flip_agreement": _label_score("mIoU of the decoder's masks of a photograph and of its mirror image"),
    "scale_agreement": _label_score("mIoU of the decoder's masks of a photograph and of it at 0.75 of the size"),
    "border_contrast": _label_score(
        "how much more colours change along the borders of the decoder's masks than elsewhere: mean rank, less chance"
    ),
    "crf_agreement": _label_score("mIoU of the decoder's masks before and after the dense CRF", in_curves=False),
    "pooled_ap": _label_score("mean average precision of the patch branch's highest scores against the image labels"),
    "pooled_ce": _label_score("cross-entropy of these scores with the image labels", lower_is_better=True),
    "erasure": _label_score("how far the scores of a photograph's classes fall where the decoder's objects are erased"),
    "entropy": _label_score("entropy of the decoder's pixels, of the most there can be", lower_is_better=True),
    "vote": Score(
        "without masks: mIoU of the decoder with what the other settings' patch masks vote, weighted by border_rule; "
        "of a search, not of a run: `--choose vote` goes by it from 24 settings on",
        in_rows=False,
        needs_masks=False,
    ),
    "mean_k": Score(
        "patches that Algorithm 1 takes for a class present in the image, or would take in a row of another pooling; "
        "of the trained model, on the first 128 validation images",
        "patches",
        digits=2,
        in_a_line="patches that adaptive-K takes for a class of the image",
    ),
    "high_share": Score(
        "share of (image, present class) pairs with at least two patches above epsilon; as mean_k",
        "share",
        digits=2,
        in_a_line="share of an image's classes with two patches above epsilon",
    ),
    "precision": Score(
        "of the pixels called foreground, the share that is (%)",
        in_a_line="decoder: share of the pixels called a thing that are one",
    ),
    "recall": Score(
        "of the foreground pixels, the share called so (%)",
        in_a_line="decoder: share of the things' pixels that are found",
    ),
    "train_seconds": _time(
        "wall seconds of training, scoring not counted; runs side by side slow each other", in_rows=True
    ),
    "train_cpu_seconds": _time("processor seconds of training on a CPU, scoring not counted", in_rows=True),
    "to_95_seconds": _time(
        "training until `miou` first reaches 95 % of the run's own final one, scoring not counted; "
        "of ViT-PCM its second stage's epochs alone, both stages' time counted"
    ),
    "to_95_cpu_seconds": _time("the same in processor seconds of a CPU"),
    "images_per_second": Score(
        "training images a second over the whole schedule, a processor second on a CPU", "1/s", in_rows=False
    ),
    "peak_gib": Score(
        "GiB held at most: by torch on a GPU, by the process on a CPU, with its libraries and what earlier "
        "runs in it keep",
        "GiB",
        digits=2,
        lower_is_better=True,
        in_rows=False,
    ),
    "network_seconds": _time("wall seconds of the network for one photograph", digits=3),
    "crf_seconds": _time("seconds of one core of the dense CRF for one photograph", digits=3),
    "ladder_miou": Score(
        "the score that the paper's row stands for: `miou` above its CRF row, `miou_crf` from there on", in_rows=False
    ),
    "train_pseudo_miou": Score(
        "pseudo masks of the training images: patch branch, given the image's labels", in_rows=False
    ),
    "train_pseudo_miou_crf": Score(_AFTER_CRF, in_rows=False),
    "train_labelled_miou": Score("the same masks made by the decoder", in_rows=False),
    "train_labelled_miou_crf": Score(_AFTER_CRF, in_rows=False),
    "intra_cosine": Score(
        "1 - cos of an object's patches to their class's mean, averaged over classes, in hundredths",
        "1/100",
        in_rows=False,
    ),
    "inter_cosine": Score(
        "1 - cos of the means of two object classes, averaged over pairs, in hundredths", "1/100", in_rows=False
    ),
    "background_cosine": Score(
        "1 - cos of the means of an object class and the background, averaged, in hundredths", "1/100", in_rows=False
    ),
}
"""Every score and time by its name, in the order of a legend."""

LABEL_SCORES = tuple(name for name, score in SCORES.items() if not score.needs_masks)
"""Scores of the validation images that need their image labels and no mask."""
RULES = {
    "label_rule": ("label_f1", "flip_agreement", "scale_agreement"),
    "border_rule": ("label_f1", "flip_agreement", "scale_agreement", "border_contrast"),
    "branch_rule": ("label_f1", "flip_agreement", "scale_agreement", "border_contrast", "label_f1", "branch_agreement"),
}
"""Scores that are products of others."""
Chooser = Literal["val", "half", "labels", "vote"]
CHOOSERS: dict[Chooser, str] = {
    "val": "miou",
    "half": "tune_miou",
    "labels": "branch_rule",
    "vote": "border_rule",  # until enough settings can vote, and their weight when they do
}
"""What settings are chosen by: all validation masks, those of every second image, image labels alone or, without masks
too, the vote of all settings."""
EpochChooser = Literal["val", "half", "labels"]
"""What epochs are chosen by: one model's, of which there is nothing to vote."""


def with_rules(scores: Mapping[str, float]) -> dict[str, float]:
    """Scores in percent with the RULES whose factors are there; what has a rule already keeps it."""
    products = {
        rule: 100 * math.prod(scores[part] / 100 for part in parts)
        for rule, parts in RULES.items()
        if rule not in scores and all(_is_score(scores.get(part)) for part in parts)
    }
    return {**scores, **products}


def _is_score(value: object) -> bool:
    """Whether what was stored can be a score; whole numbers that no float can hold and NaN cannot."""
    return isinstance(value, int | float) and abs(value) < 1e9


LOWER_IS_BETTER = tuple(name for name, score in SCORES.items() if score.lower_is_better and score.in_rows)
"""Objectives that a search lowers; it raises all others."""
IN_CURVES = tuple(name for name, score in SCORES.items() if score.in_curves)
"""Scores that epochs report, by which a trial may be given up early."""


def curve_score(objective: str) -> str:
    """The score by which the epochs of a run are compared, where settings are chosen by `objective`."""
    return objective if objective in IN_CURVES else HEADLINE[0].name


def scores_of(cfg: Config) -> list[str]:
    """Scores in percent that a run of this config will have, if its validation images have masks."""
    own = [p.name for p in PROTOCOLS if not (p.crf and cfg.crf == "none")]
    test = ["test_miou"] if cfg.dataset == "pocket" else []
    own_labels = [name for name in LABEL_SCORES if SCORES[name].in_rows]
    label_scores = [name for name in own_labels if cfg.crf != "none" or "crf" not in name]
    return [*own, "tune_miou", "held_miou", "precision", "recall", *test, *label_scores]


def in_a_line(name: str) -> str:
    """What a score is, in one line of a terminal; of a protocol in the protocol's words; empty for a name of none."""
    if (score := SCORES.get(name)) and (score.in_a_line or not score.needs_masks):
        return score.in_a_line or score.meaning
    return parse(name).meaning if is_protocol(name) else ""
