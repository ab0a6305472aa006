"""What the page knows of each experiment: a new one is one entry of EXPERIMENTS; one without gets a plain table."""

from collections.abc import Mapping
from dataclasses import dataclass, field

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
    printed: float
    """By how many points of mIoU, as printed."""
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
    staged: bool = False
    """Shown as the two stages of the search for lambda1 and lambda2."""
    figures: tuple[str, ...] = ()
    """Of "rows", "classes", "curves", "sweeps"."""
    presets: tuple[str, ...] = ("pocket", "folder")
    """Those that stand on the page before anything was run."""


def _pooling_claim(text: str, better: str, worse: str) -> Claim:
    printed = published("table7")
    return Claim(text, better, worse, round(printed[better] - printed[worse], 1), "Table 7")


_COMPONENTS = published("table8")
_PCL_GAIN = round(_COMPONENTS["pcl"] - _COMPONENTS["akp"], 1)

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
        figures=("sweeps", "curves"),
    ),
    Experiment(
        name="table7_pooling",
        title="Table 7: pooling",
        about="Only the pooling from patch scores to image scores differs. The paper's numbers are for VOC 2012 val "
        "with ViT-B/16, without a number of runs; by its Table 8 they include the CRF, so `miou_crf` is the nearest "
        "column.",
        knobs=("pooling", "k", "theta"),
        rows=("average", "max", "top_k", "adaptive_k"),
        reference="max",
        printed=published("table7"),
        claims=(
            _pooling_claim("adaptive-K beats max pooling", "adaptive_k", "max"),
            _pooling_claim("adaptive-K beats top-K", "adaptive_k", "top_k"),
            _pooling_claim("top-K beats max pooling", "top_k", "max"),
            _pooling_claim("max pooling beats average pooling", "max", "average"),
        ),
        figures=("rows", "classes", "curves"),
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
]
EXPERIMENTS = {experiment.name: experiment for experiment in _LISTED}
"""By name, in the order of the page."""


def described(name: str) -> Experiment:
    """The entry of an experiment, or a plain one for a name without an entry."""
    return EXPERIMENTS.get(name) or Experiment(
        name=name, title=name, about="This experiment has no entry in apc/report/catalogue.py: a plain table."
    )
