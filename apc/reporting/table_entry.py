"""What an entry of the catalogue says of an experiment, and the claims of the paper that its rows judge."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from apc.runs.rows import Row

SCORES = ("miou", "miou_crf", "test_miou", "patch_miou", "patch_miou_crf")
DETAILS = (
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
    """One row scores higher than another."""

    text: str
    better: str
    worse: str
    printed: float | None
    """By how much, as printed: points of mIoU, or hours for a claim about seconds; None where nothing is printed."""
    source: str
    metrics: tuple[str, ...] = ("miou", "miou_crf", "test_miou")
    """Judged on each of these that was measured; the verdict of the first is counted."""
    ours: bool = False
    """A question of ours, which the paper does not ask."""
    counted: bool = True
    """False where the claim is that of another table, which counts it."""


@dataclass(frozen=True)
class Best:
    """The paper's value of a knob scores higher than every other value that was tried."""

    knob: str
    text: str
    source: str
    ours: bool = False


@dataclass(frozen=True)
class Experiment:
    """One table or figure of the paper and how our rows stand beside it."""

    name: str
    """Folder of its results and, with .py, its script; `space_NAME` is what `apc search NAME` leaves."""
    title: str
    about: str = ""
    """What varies, what is held, and what the paper's numbers are."""
    knobs: tuple[str, ...] | None = None
    """Config fields that differ between rows; None lets any differ."""
    sets: tuple[str, ...] = ()
    """Config fields that its script sets itself, so that no flag may."""
    rows: tuple[str, ...] = ()
    """Labels in the paper's order; rows not named here follow."""
    columns: tuple[str, ...] = SCORES
    """Metrics of the main table."""
    details: tuple[str, ...] = DETAILS
    """Metrics of the second table."""
    reference: str = ""
    """Row the others are compared with, seed by seed."""
    printed: Mapping[str, float] | None = None
    """The paper's value of `metric` by its rows."""
    also_printed: Mapping[str, Mapping[str, str]] | None = None
    """Further columns of the paper: name -> row -> cell."""
    paper_row: Callable[[Row], str] | None = None
    """The paper's row that a run stands beside, where it is not that of the run's label."""
    claims: tuple[Claim, ...] = ()
    bests: tuple[Best, ...] = ()
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
    apc/reporting/figures/choose.py."""
    presets: tuple[str, ...] = ("pocket", "folder")
    """Those that stand on the page before anything was run."""
