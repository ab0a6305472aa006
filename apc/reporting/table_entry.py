"""What the page shows of an experiment: the columns of its table, its figures, the paper's claims that it judges."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from apc.config import default_of
from apc.reporting.published import gain
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
COSTS = (
    "train_cpu_seconds",
    "to_95_cpu_seconds",
    "train_seconds",
    "to_95_seconds",
    "images_per_second",
    "peak_gib",
)
"""Columns of a table of times."""
JUDGED = ("miou", "miou_crf", "test_miou")
"""Metrics by which a claim is judged, unless it says others."""


@dataclass(frozen=True)
class Claim:
    """One row scores higher than another."""

    text: str
    better: str
    worse: str
    printed: float | None
    """By how much, as printed: points of mIoU, or hours for a claim about seconds; None where nothing is printed."""
    source: str
    """Where it is printed, such as "Table 7"."""
    metrics: tuple[str, ...] = JUDGED
    """Judged on each of these that was measured; the verdict of the first is counted."""
    ours: bool = False
    """A question of ours, which the paper does not ask."""
    counted: bool = True
    """False where the claim is that of another table, which counts it."""


def beats(
    text: str, better: str, worse: str, source: str, *, column: str = "miou", metrics: tuple[str, ...] = JUDGED
) -> Claim:
    """The claim that one row of the paper's table `source` ("Table 7") scores higher than another, by the difference
    printed in `column`."""
    return Claim(text, better, worse, gain(_table(source), better, worse, column), source, metrics)


def saves_time(text: str, sooner: str, later: str, source: str, prefix: str = "") -> Claim:
    """The claim that a row takes less time than another, by the printed hours of the table `source`.

    The row that takes longer has more seconds, so it stands first. In published.csv both names begin with `prefix`.
    """
    hours = gain(_table(source), prefix + later, prefix + sooner, "hours")
    return Claim(text, later, sooner, hours, source, ("to_95_seconds", "train_seconds"))


def _table(source: str) -> str:
    """ "Table 7" -> "table7", as published.csv names it."""
    return source.lower().replace(" ", "")


@dataclass(frozen=True)
class Best:
    """The paper's value of a knob scores higher than every other value that was tried."""

    knob: str
    text: str
    source: str
    ours: bool = False


def paper_is_best(knob: str, held: str, source: str, ours: bool = False) -> Best:
    """The claim that the paper's value of a knob is the best, with what is held meanwhile, in words."""
    return Best(knob, f"{knob} = {default_of(knob):g} is the best of the searched values, {held}", source, ours)


@dataclass(frozen=True, kw_only=True)
class PageEntry:
    """One table or figure of the paper on the page."""

    name: str
    """Folder of its results and, with .py, its script; `space_NAME` is what `apc search NAME` leaves."""
    title: str
    """What it is, in a line; what stands before a colon names it in tables."""
    about: str = ""
    """What varies, what is held, and what the paper's numbers are."""
    place: int = 1000
    """Its place on the page, and that of its script in reproduce_all: rising, equal ones by name."""
    presets: tuple[str, ...] = ("pocket", "folder")
    """Those that stand on the page before anything was run."""


@dataclass(frozen=True, kw_only=True)
class PictureEntry(PageEntry):
    """A picture, drawn of finished runs; nothing is trained for it. Pictures stand behind all tables."""


@dataclass(frozen=True, kw_only=True)
class TableEntry(PageEntry):
    """A table, its figures and its claims, and how our rows stand beside the paper's."""

    script: str = ""
    """Script that makes its rows together with those of others, where the two have different names."""
    metric: str = "miou"
    """Score by which its settings are chosen and compared."""

    # --- the table --------------------------------------------------------------------------------
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
    worth: bool = False
    """Whether a column divides what a row gains over the reference by the processor minutes that it trains longer."""
    beside: str = ""
    """Table whose best row of each other method is told in a sentence."""
    search: bool = False
    """Shown as a search: its history, its knobs and its ten best settings."""
    stop_early: str = "none"
    """How a search gives trials up unless a flag says otherwise; where halving cannot be, none are."""
    choosers: bool = False
    """Whether its settings show what may be chosen by; see apc/reporting/searches/choosers.py."""
    staged: bool = False
    """Shown as the two stages of the search for lambda1 and lambda2."""
    compares: tuple[str, ...] = ()
    """Searches whose cost and outcome are compared on its page."""

    # --- what its rows may be compared by -----------------------------------------------------------
    knobs: tuple[str, ...] | None = None
    """Config fields that differ between rows; None lets any differ."""
    sets: tuple[str, ...] = ()
    """Config fields that its script sets itself, so that no flag may."""

    # --- figures and verdicts -----------------------------------------------------------------------
    figures: tuple[str, ...] = ()
    """Kinds of figures, in the order shown; see apc/reporting/figures/choose.py."""
    claims: tuple[Claim, ...] = ()
    bests: tuple[Best, ...] = ()
    explained: bool = False
    """Whether a claim that is contradicted or undecided gets a paragraph on what its two rows do differently."""
    masks_in: str = ""
    """Picture that shows masks of its rows, such as "Figure 7"; the paragraph points there."""

    def to_come(self, rows: Sequence[Row]) -> list[Row] | None:
        """The settings, as rows without scores, that its plan asks for beside those of `rows` that have some; None
        where its plan is not known."""
        return None
