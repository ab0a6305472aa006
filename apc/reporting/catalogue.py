"""What the page knows of each experiment: a new one is one entry of EXPERIMENTS; one without gets a plain table."""

from apc.reporting.table_entry import SCORES, Best, Claim, Experiment
from apc.reporting.tables import published
from apc.reporting.timing import RULE
from apc.runs.rows import Row


def _pooling_claim(text: str, better: str, worse: str) -> Claim:
    printed = published("table7")
    return Claim(text, better, worse, round(printed[better] - printed[worse], 1), "Table 7")


def _held_claim(better: str, worse: str) -> Claim:
    other = worse if worse == "paper's setting" else f"{worse}'s"
    text = f"the {better}'s setting beats the {other} on held-out images"
    return Claim(text, better, worse, None, "our question", ("held_miou", "test_miou"), ours=True)


_PEERS = ("vit_pcm", "afa", "toco")
_KNOBS = ("pooling", "k", "theta", "lambda1", "lambda2", "epsilon")
_PAPER = "pooling=adaptive_k k=6 theta=0.9 lambda1=0.02 lambda2=0.01 epsilon=0.85"
_COMPONENTS = published("table8")
_PCL_GAIN = round(_COMPONENTS["pcl"] - _COMPONENTS["akp"], 1)


def _step(text: str, better: str, worse: str, only: bool = False) -> Claim:
    gain = round(_COMPONENTS[better] - _COMPONENTS[worse], 1)
    return Claim(text, better, worse, gain, "Table 8", ("ladder_miou", *(() if only else ("miou", "miou_crf"))))


def _sooner(text: str, sooner: str, later: str, table: str, first: str = "") -> Claim:
    """The row that takes longer has more seconds, so it stands first; `first` is put before the paper's names."""
    hours = published(table.lower().replace(" ", ""), "hours")
    saved = hours[first + later] - hours[first + sooner]
    return Claim(text, later, sooner, saved, table, ("to_95_seconds", "train_seconds"))


def _peer(row: str, table: str = "table6", metric: str = "miou") -> Claim:
    printed = published(table, "miou" if table == "table6" else "pseudo_miou")
    gain = round(printed["apc"] - printed[row], 1)
    where = f"{table.capitalize()[:-1]} {table[-1]}"
    return Claim(f"APC beats {row}", "apc", row, gain, where, (metric, f"{metric}_crf"))


def _cells(table: str, column: str, unit: str = "", first: str = "") -> dict[str, str]:
    """The paper's cells of one column by row, with its spread, of the rows whose names begin with `first`."""
    spread = published(table, column, "spread")
    return {
        row.removeprefix(first): f"{value:g}" + (f" ± {spread[row]:g}" if row in spread else "") + unit
        for row, value in published(table, column).items()
        if row.startswith(first)
    }


def _paper_size(row: Row) -> str:
    """The paper's image size that is as many times its training size, 384 pixels, as that of a run; or none."""
    size = 384 * row.config.get("eval_size", 0) / max(row.config.get("image_size", 0), 1)
    near = [name for name in published("table1") if abs(float(name) / max(size, 1) - 1) < 0.02]
    return near[0] if near else ""


def _best(knob: str, value: float, held: str, source: str, ours: bool = False) -> Best:
    return Best(knob, f"{knob} = {value:g} is the best of the searched values, {held}", source, ours)


_COSTS = (
    "train_cpu_seconds",
    "to_95_cpu_seconds",
    "train_seconds",
    "to_95_seconds",
    "images_per_second",
    "peak_gib",
)

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
                "counted in Table 8",
                counted=False,
            ),
        ),
        bests=(
            _best("lambda1", 0.02, "with lambda2 = 0", "Figure 5"),
            _best("lambda2", 0.01, "at our best lambda1", "Figure 5"),
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
        columns=("ladder_miou", *SCORES),
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
        about=f"{RULE} The paper's hours are those of VOC on one 4090.",
        knobs=("pooling", "lambda2"),
        sets=("eval_every", "pooling", "lambda2"),
        rows=("baseline", "akp", "akp_pcl"),
        columns=("miou", "miou_crf", "test_miou", *_COSTS),
        reference="baseline",
        printed={row: published("table5")[f"voc_{row}"] for row in ("baseline", "akp", "akp_pcl")},
        claims=(
            _sooner("adaptive-K takes less time than max pooling", "akp", "baseline", "Table 5", "voc_"),
            _sooner("PCL saves time", "akp_pcl", "akp", "Table 5", "voc_"),
        ),
        also_printed={"paper: hours": _cells("table5", "hours", first="voc_")},
        figures=("rows", "time", "curves"),
    ),
    Experiment(
        name="table6_peers",
        title="Table 6: APC, ViT-PCM, AFA and ToCo under equal conditions",
        about="All methods on the same data, encoder and machine, scored alike; ViT-PCM's second stage has epochs of "
        f"its own beyond those that all have. {RULE} A score that falls later on was at 95 % of its own end early: "
        "`to_95_…` flatters such a run. The paper's cells are not one protocol: ViT-PCM's 69.3 is that of pseudo masks "
        "after the CRF, made with the image labels (its segmentation has 70.3); ToCo's 70.5 is that of class "
        "activation maps with image labels (segmentation 69.8 with DeiT-B, 71.1 with ViT-B); AFA's 63.8 is single "
        "scale without CRF (66.0 with both). `baseline` is APC with max pooling and without PCL; ViT-PCM's time is "
        "that of its two stages. Unlike the published methods, images are squashed and not cropped, views change in "
        "brightness, contrast and saturation alone, AFA has a plain ViT and scales its attention's logits, ViT-PCM's "
        "second stage is a DeepLab head on the run's own encoder (six epochs on photographs; twenty on the embedded "
        "data, where six left it at 26.5 and ten at 29.5), and AFA's and ToCo's encoders learn at 5e-4 (embedded "
        "data) or 1e-4 (photographs), their heads ten times that (published: 6e-5 and 6e-4). On the embedded data the "
        "schedule is APC's, which was tuned there, and no rival's was but for AFA's learning rate and ViT-PCM's "
        "second stage.",
        sets=("eval_every",),
        rows=("baseline", "vit_pcm", "afa", "toco", "apc"),
        columns=("miou", "miou_crf", "miou_ms", "miou_ms_crf", "test_miou", *_COSTS),
        reference="apc",
        printed=published("table6"),
        also_printed={"paper: hours": _cells("table6", "hours")},
        claims=(
            *(_peer(row) for row in _PEERS),
            *(_sooner(f"APC takes less time than {row}", "apc", row, "Table 6") for row in _PEERS),
        ),
        figures=("time", "classes", "curves"),
    ),
    Experiment(
        name="figure4_theta_epsilon",
        title="Figure 4: theta, then epsilon",
        about="theta at the paper's epsilon, epsilon at its theta. Up to 0.5 theta makes adaptive-K pooling top-K, and "
        "at 1 max pooling. The paper shows curves and prints no numbers but its choice, (0.9, 0.85).",
        knobs=("theta", "epsilon"),
        reference="theta=0.9 epsilon=0.85",
        bests=(
            _best("theta", 0.9, "at epsilon = 0.85", "Figure 4"),
            _best("epsilon", 0.85, "at theta = 0.9", "Figure 4"),
        ),
        figures=("values",),
    ),
    Experiment(
        name="figure_k",
        title="Sensitivity to K",
        about="The most patches that a class takes, for adaptive-K and for top-K pooling. K of 1 is max pooling for "
        "both. The paper sets K to 6 and shows no other value.",
        knobs=("pooling", "k"),
        sets=("pooling", "k"),
        reference="pooling=adaptive_k k=6",
        bests=(_best("k", 6, "with adaptive-K pooling", "our question", ours=True),),
        figures=("values",),
    ),
    Experiment(
        name="space_theta_epsilon",
        title="The thresholds theta and epsilon together",
        about="A grid of both, for what Figure 4's two lines cannot show: whether the best of one depends on the "
        "other. The paper has no such figure.",
        knobs=("theta", "epsilon"),
        reference="theta=0.9 epsilon=0.85",
        search=True,
        figures=("heat",),
        presets=("pocket",),
    ),
    Experiment(
        name="table9_cosine",
        title="Table 9: cosine distances with and without patch contrast",
        about="Of the last patch embeddings F_out of the validation images. A patch has the class that most of its "
        "pixels have in the ground truth; distances are 1 - cos, without the background, in hundredths. The paper "
        "defines neither distance.",
        knobs=("lambda2",),
        sets=("pooling", "lambda2"),
        rows=("without_pcl", "with_pcl"),
        columns=("inter_cosine", "intra_cosine", "background_cosine", "miou"),
        reference="without_pcl",
        printed={row: 100 * value for row, value in published("table9", "inter_class").items()},
        also_printed={
            "paper: intra_cosine": {r: f"{100 * value:.1f}" for r, value in published("table9", "intra_class").items()}
        },
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
        "pixels. The paper trains at 384 and shows 640 to 1120 pixels: its values stand beside our size that is as "
        "many times the training size. Its seconds are presumably of the whole VOC val set on its one 4090, ours are "
        "of one photograph.",
        knobs=("eval_size",),
        columns=("miou", "miou_crf", "network_seconds", "crf_seconds", "peak_gib"),
        printed=published("table1"),
        also_printed={
            "paper: size": {size: size for size in published("table1")},
            "paper: seconds": _cells("table1", "inference_seconds"),
            "paper: GB": _cells("table1", "memory_gb"),
        },
        paper_row=_paper_size,
        bests=(
            Best(
                "eval_size",
                "2.5 times the training size (960 of 384) is the best size to show images at",
                "Table 1",
            ),
        ),
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
        claims=tuple(_peer(row, "table2", "train_pseudo_miou") for row in _PEERS),
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
    if name.startswith("space_") and name not in EXPERIMENTS:
        space = name.removeprefix("space_")
        return Experiment(
            name,
            f"Search of the space {space}",
            f"The settings of search_spaces/{space}.py that were tried.",
            search=True,
            figures=("history", "knobs", "parallel"),
        )
    return EXPERIMENTS.get(name) or Experiment(
        name=name, title=name, about="This experiment has no entry in apc/reporting/catalogue.py: a plain table."
    )
