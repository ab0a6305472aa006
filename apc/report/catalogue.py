"""What the page knows of each experiment: a new one is one entry of EXPERIMENTS; one without gets a plain table."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from apc.report.efficiency import RULE
from apc.report.tables import published

_SCORES = ("miou", "miou_crf", "test_miou", "patch_miou", "patch_miou_crf")
_DETAILS = (
    "labelled_miou",
    "labelled_miou_crf",
    "pseudo_miou",
    "pseudo_miou_crf",
    "precision",
    "recall",
    "mean_k",
    "high_share",
    "train_seconds",
)


@dataclass(frozen=True)
class Claim:
    """The paper says that one row scores higher than another."""

    text: str
    better: str
    worse: str
    printed: float | None
    """By how many points of mIoU, as printed; None for a question that the paper does not ask."""
    source: str
    metrics: tuple[str, ...] = ("miou", "miou_crf", "test_miou")
    """Judged on each of these that was measured."""


@dataclass(frozen=True)
class Experiment:
    """One table or figure of the paper and how our rows stand beside it."""

    name: str
    """Folder of its results and, with .py, its script; `search_NAME` is a search of search_spaces/NAME.py."""
    title: str
    about: str = ""
    """What varies, what is held, and what the paper's numbers are."""
    knobs: tuple[str, ...] | None = None
    """Config fields that differ between rows; None lets any differ."""
    sets: tuple[str, ...] = ()
    """Config fields that its script sets itself, so that no flag may."""
    rows: tuple[str, ...] = ()
    """Labels in the paper's order; rows not named here follow."""
    columns: tuple[str, ...] = _SCORES
    """Metrics of the main table."""
    details: tuple[str, ...] = _DETAILS
    """Metrics of the second table."""
    reference: str = ""
    """Row the others are compared with, seed by seed."""
    printed: Mapping[str, float] | None = None
    """The paper's mIoU by label."""
    claims: tuple[Claim, ...] = field(default=())
    metric: str = "miou"
    """By which its settings are chosen and compared."""
    search: bool = False
    """Shown as a search: its history, its knobs and its ten best settings."""
    compares: tuple[str, ...] = ()
    """Searches whose cost and outcome are compared on its page."""
    script: str = ""
    """Script that makes its rows together with those of others, where the two have different names."""
    staged: bool = False
    """Shown as the two stages of the search for lambda1 and lambda2."""
    figures: tuple[str, ...] = ()
    """Of "rows", "classes", "curves", "sweeps", "time", "heat", "values", "history", "knobs", "parallel", "race"; see
    apc/report/drawn.py."""
    presets: tuple[str, ...] = ("pocket", "folder")
    """Those that stand on the page before anything was run."""


def _pooling_claim(text: str, better: str, worse: str) -> Claim:
    printed = published("table7")
    return Claim(text, better, worse, round(printed[better] - printed[worse], 1), "Table 7")


def _held_claim(better: str, worse: str) -> Claim:
    other = worse if worse == "paper's setting" else f"{worse}'s"
    text = f"the {better}'s setting beats the {other} on held-out images"
    return Claim(text, better, worse, None, "our question", ("held_miou", "test_miou"))


_KNOBS = ("pooling", "k", "theta", "lambda1", "lambda2", "epsilon")
_PAPER = "pooling=adaptive_k k=6 theta=0.9 lambda1=0.02 lambda2=0.01 epsilon=0.85"
_COMPONENTS = published("table8")
_PCL_GAIN = round(_COMPONENTS["pcl"] - _COMPONENTS["akp"], 1)


def _step(text: str, better: str, worse: str, only: bool = False) -> Claim:
    gain = round(_COMPONENTS[better] - _COMPONENTS[worse], 1)
    return Claim(text, better, worse, gain, "Table 8", ("ladder_miou", *(() if only else ("miou", "miou_crf"))))


def _sooner(text: str, better: str, worse: str, hours: str) -> Claim:
    """Fewer seconds are better, so the rows change places."""
    return Claim(text, worse, better, None, f"Table 5: {hours}", ("to_95_seconds", "to_95_cpu_seconds"))


def _peer(row: str, table: str = "table6", metric: str = "miou") -> Claim:
    printed = published(table, "miou" if table == "table6" else "pseudo_miou")
    gain = round(printed["apc"] - printed[row], 1)
    where = f"{table.capitalize()[:-1]} {table[-1]}"
    return Claim(f"APC beats {row}", "apc", row, gain, where, (metric, f"{metric}_crf"))


def _hours(table: str, row: str) -> str:
    return f"{published(table, 'hours')[row]:g}"


_COSTS = (
    "train_cpu_seconds", "to_95_cpu_seconds", "train_seconds", "to_95_seconds", "images_per_second", "peak_gib",
)  # fmt: skip

_LISTED = [
    Experiment(
        name="grid_lambda",
        title="Figure 5: the weights lambda1 and lambda2",
        about="As in the paper's section 4.1, the weights are searched one after the other: lambda1 (segmentation "
        "loss) with lambda2 = 0, then lambda2 (patch contrastive error) at the best lambda1. The paper chose "
        "(0.02, 0.01) on the VOC 2012 validation set; it shows curves and prints no numbers.",
        knobs=("lambda1", "lambda2"),
        reference="lambda1=0.02 lambda2=0",
        claims=(
            Claim(
                "the patch contrastive error helps: lambda2 = 0.01 beats 0 at lambda1 = 0.02",
                "lambda1=0.02 lambda2=0.01",
                "lambda1=0.02 lambda2=0",
                _PCL_GAIN,
                "Table 8",
            ),
        ),
        staged=True,
        figures=("sweeps", "heat", "curves"),
    ),
    Experiment(
        name="table7_pooling",
        title="Table 7: pooling",
        about="Only the pooling from patch scores to image scores differs. The paper's numbers are for VOC 2012 val "
        "with ViT-B/16, without a number of runs; by its Table 8 they include the CRF, so `miou_crf` is the nearest "
        "column.",
        knobs=("pooling",),
        rows=("average", "max", "top_k", "adaptive_k"),
        reference="max",
        printed=published("table7"),
        claims=(
            _pooling_claim("adaptive-K beats max pooling", "adaptive_k", "max"),
            _pooling_claim("adaptive-K beats top-K", "adaptive_k", "top_k"),
            _pooling_claim("top-K beats max pooling", "top_k", "max"),
            _pooling_claim("max pooling beats average pooling", "max", "average"),
        ),
        figures=("rows", "classes", "time", "curves"),
    ),
    Experiment(
        name="paper_setting",
        title="The paper's setting and schedule",
        about="Adaptive-K with the paper's theta, K, epsilon and lambdas and the preset's whole schedule: what a user "
        "gets who changes nothing.",
        knobs=(),
        figures=("classes", "curves"),
        presets=("folder",),
    ),
    Experiment(
        name="table8_components",
        title="Table 8: the components one after the other",
        about="Each row adds a component: HV-BiLSTM, the CRF, adaptive-K pooling, patch contrast (PCL). The first rows "
        "pool with the maximum, without PCL. The CRF learns nothing: the row `crf` is the row above it scored again.",
        knobs=("bilstm", "pooling", "lambda2"),
        sets=("bilstm", "pooling", "lambda2"),
        rows=("vit", "hv_bilstm", "crf", "akp", "pcl"),
        columns=("ladder_miou", *_SCORES),
        reference="hv_bilstm",
        printed=_COMPONENTS,
        claims=(
            _step("HV-BiLSTM helps the ViT", "hv_bilstm", "vit"),
            _step("the CRF helps the baseline", "crf", "hv_bilstm", only=True),
            _step("adaptive-K beats max pooling, without PCL and with the CRF", "akp", "crf", only=True),
            _step("the patch contrastive error helps", "pcl", "akp"),
        ),
        metric="ladder_miou",
        figures=("classes", "curves"),
    ),
    Experiment(
        name="table5_efficiency",
        title="Table 5: time and score of the components",
        about=f"{RULE} The paper prints {_hours('table5', 'voc_baseline')}, {_hours('table5', 'voc_akp')} and "
        f"{_hours('table5', 'voc_akp_pcl')} hours for VOC on one 4090.",
        knobs=("pooling", "lambda2"),
        sets=("eval_every", "pooling", "lambda2"),
        rows=("baseline", "akp", "akp_pcl"),
        columns=("miou", "miou_crf", "test_miou", *_COSTS),
        reference="baseline",
        printed={row: published("table5")[f"voc_{row}"] for row in ("baseline", "akp", "akp_pcl")},
        claims=(
            _sooner("adaptive-K reaches 95 % of its score sooner than max pooling", "akp", "baseline", "4 to 3 hours"),
            _sooner("with PCL 95 % of the score is reached sooner", "akp_pcl", "akp", "3 to 1.5 hours"),
        ),
        figures=("rows", "time", "curves"),
    ),
    Experiment(
        name="table6_peers",
        title="Table 6: APC, ViT-PCM, AFA and ToCo under equal conditions",
        about=f"All methods on the same data, encoder, epochs and machine, scored alike. {RULE} The paper's cells are "
        "not one protocol: ViT-PCM's 69.3 is that of pseudo masks after the CRF, made with the image labels (its "
        "segmentation has 70.3); ToCo's 70.5 is that of class activation maps with image labels (segmentation 69.8 "
        "with DeiT-B, 71.1 with ViT-B); AFA's 63.8 is single scale without CRF (66.0 with both). It prints "
        + ", ".join(f"{_hours('table6', row)} hours for {row}" for row in ("vit_pcm", "afa", "toco", "apc"))
        + ". `baseline` is APC with max pooling and without PCL; ViT-PCM's time is that of its two stages.",
        sets=("eval_every",),
        rows=("baseline", "vit_pcm", "afa", "toco", "apc"),
        columns=("miou", "miou_crf", "miou_ms", "miou_ms_crf", "test_miou", *_COSTS),
        reference="apc",
        printed=published("table6"),
        claims=tuple(_peer(row) for row in ("vit_pcm", "afa", "toco")),
        figures=("time", "classes", "curves"),
    ),
    Experiment(
        name="figure4_theta_epsilon",
        title="Figure 4: theta, then epsilon",
        about="theta at the paper's epsilon, epsilon at its theta. Up to 0.5 theta makes adaptive-K pooling top-K, and "
        "at 1 max pooling. The paper shows curves and prints no numbers but its choice, (0.9, 0.85).",
        knobs=("theta", "epsilon"),
        reference="theta=0.9 epsilon=0.85",
        figures=("values", "heat"),
    ),
    Experiment(
        name="table9_cosine",
        title="Table 9: cosine distances with and without patch contrast",
        about="Of the last patch embeddings F_out of the validation images. A patch has the class that most of its "
        "pixels have in the ground truth; distances are 1 - cos, without the background, in hundredths. The paper "
        "defines neither distance; it prints 94.7 to 95.6 between classes and 71.5 to 56.6 within.",
        knobs=("lambda2",),
        sets=("pooling", "lambda2"),
        rows=("without_pcl", "with_pcl"),
        columns=("inter_cosine", "intra_cosine", "background_cosine", "miou"),
        reference="without_pcl",
        printed={row: 100 * value for row, value in published("table9", "inter_class").items()},
        claims=(
            Claim("PCL moves classes apart", "with_pcl", "without_pcl", 0.8, "Table 9", ("inter_cosine",)),
            Claim("PCL draws classes together within", "without_pcl", "with_pcl", 14.9, "Table 9", ("intra_cosine",)),
        ),
        metric="inter_cosine",
    ),
    Experiment(
        name="table1_image_size",
        title="Table 1: the size of images in inference",
        about="One trained setting, the paper's, shown images at other sizes; scores are those of the photographs' own "
        "pixels. The paper's, on VOC val: "
        + ", ".join(f"{value:g} at {size}" for size, value in published("table1").items())
        + ", trained at 384. Its seconds and GB are of the whole set on one 4090; ours are of one photograph.",
        knobs=("eval_size",),
        columns=("miou", "miou_crf", "network_seconds", "crf_seconds", "peak_gib"),
        figures=("values",),
    ),
    Experiment(
        name="table2_pseudo_masks",
        title="Table 2: pseudo masks of the training images",
        about="The runs of Table 6. After all training the masks of the training images are opened and the pseudo "
        "masks, which are made with the image labels, scored by them. The paper's AFA cell is a segmentation of val.",
        sets=("eval_every",),
        rows=("baseline", "vit_pcm", "afa", "toco", "apc"),
        columns=("train_pseudo_miou", "train_pseudo_miou_crf", "train_labelled_miou", "train_labelled_miou_crf"),
        reference="apc",
        printed=published("table2", "pseudo_miou"),
        metric="train_pseudo_miou",
        claims=tuple(_peer(row, "table2", "train_pseudo_miou") for row in ("vit_pcm", "afa", "toco")),
    ),
    Experiment(
        name="search_joint",
        title="Joint search over six knobs",
        about="Pooling, K, theta, epsilon, lambda1 and lambda2 searched together with Optuna (TPE), one seed a "
        "setting, the paper's setting first. The paper searched its knobs one after the other; it has no such table.",
        knobs=_KNOBS,
        columns=("tune_miou", "held_miou", "miou", "miou_crf", "test_miou"),
        reference=_PAPER,
        metric="tune_miou",
        search=True,
        script="search_joint",
        figures=("history", "knobs", "parallel"),
        presets=("pocket",),
    ),
    Experiment(
        name="search_staged",
        title="The paper's staged search",
        about="Section 4.1's search at about the epochs of the joint one: lambda1 with lambda2 = 0, then lambda2 at "
        "the best lambda1, three seeds a setting; the other knobs stay at the paper's values.",
        knobs=("lambda1", "lambda2"),
        columns=("tune_miou", "held_miou", "miou", "miou_crf", "test_miou"),
        metric="tune_miou",
        search=True,
        script="search_joint",
        staged=True,
        figures=("history", "sweeps"),
        presets=("pocket",),
    ),
    Experiment(
        name="search_judged",
        title="The joint search against the staged one",
        about="What both searches chose and the paper's setting, trained with seeds that neither search has trained "
        "and scored on the validation images that neither search has seen (`held_miou`).",
        knobs=_KNOBS,
        rows=("paper's setting", "staged search", "joint search"),
        columns=("held_miou", "tune_miou", "miou", "miou_crf", "test_miou"),
        reference="paper's setting",
        claims=(
            _held_claim("joint search", "paper's setting"),
            _held_claim("joint search", "staged search"),
            _held_claim("staged search", "paper's setting"),
        ),
        metric="held_miou",
        compares=("search_staged", "search_joint"),
        script="search_joint",
        figures=("race", "classes", "curves"),
        presets=("pocket",),
    ),
]
EXPERIMENTS = {experiment.name: experiment for experiment in _LISTED}
"""By name, in the order of the page."""


def described(name: str) -> Experiment:
    """The entry of an experiment, or a plain one for a name without an entry."""
    if name.startswith("space_"):
        space = name.removeprefix("space_")
        return Experiment(
            name, f"Search of the space {space}", f"The settings of search_spaces/{space}.py that were tried.",
            search=True, figures=("history", "knobs", "parallel"),
        )  # fmt: skip
    return EXPERIMENTS.get(name) or Experiment(
        name=name, title=name, about="This experiment has no entry in apc/report/catalogue.py: a plain table."
    )
