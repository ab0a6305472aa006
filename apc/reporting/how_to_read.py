"""How the page is read: cells, intervals, verdicts, selection, and what the columns measure."""

from apc.reporting.names import SHORT
from apc.reporting.tables import METRICS
from apc.reporting.verdicts.how import HOW_JUDGED

_WORDS = f"""\
A cell is the mean ± the sample standard deviation over n runs that differ only in their seed, in percent of mIoU unless
its column says otherwise; – is not run or not printed, "ref." the row that the others are compared with. *paper* is the
printed value: it belongs to VOC 2012 with ViT-B/16 and comes without seeds, so on another data set compare order and
differences, not levels.

{HOW_JUDGED}

**Selection.** The paper tunes its settings on the validation masks that it reports. The rule used here stands under
every table; where a data set has a test split, `test_miou` is scored on it, and nothing is chosen by it."""


def how_to_read() -> list[str]:
    """The page's own explanation, as paragraphs."""
    names = {name: f" (*{SHORT[name]}* on the page)" for name in METRICS if name in SHORT}
    legend = "\n".join(f"- `{name}`{names.get(name, '')}: {meaning}" for name, meaning in METRICS.items())
    return ["# How to read the page", _WORDS, "## What the columns measure", legend]
