"""How the page is read: cells, intervals, verdicts, selection, and what the columns measure."""

from apc.reporting.names import SHORT
from apc.reporting.tables import METRICS

_WORDS = """\
A cell is the mean ± the sample standard deviation over n runs that differ only in their seed, in percent of mIoU unless
its column says otherwise; – is not run or not printed, "ref." the row that the others are compared with. *paper* is the
printed value: it belongs to VOC 2012 with ViT-B/16 and comes without seeds, so on another data set compare order and
differences, not levels.

Differences between rows are paired by seed and come with two intervals of 95 %. The one **over seeds** (Student t) says
what further trainings would give; verdicts rest on it. The one **over images** (bootstrap of the scored images, the
trained networks held) says what other photographs of the same kind would give. A difference that is sure over images
and not over seeds is one of these few networks, not yet of the method.

A claim is **reproduced** when the interval over seeds of its difference lies above 0, **contradicted** when it lies
below, *undecided* otherwise; *one seed* has a difference and no spread, and is counted as undecided; *pending* is
what has no two runs to compare. A value that is claimed to be the best is contradicted only where a rival beats it at
a level corrected for the number of rivals. A verdict judges a direction and not its size: a printed gain of 9 points
is reproduced by a sure gain of half a point, so read the difference beside the word. A claim counts once, by the
score in the column *by*; other scores are of the same runs and no further evidence. If two rows were truly equal, one
claim in twenty would be judged wrongly; claims are not corrected for their number, and adding seeds until a verdict
pleases breaks the rate. "About m more seeds" would decide with a chance of 80 % if mean and spread stay as they are,
which from few seeds is a rough guess.

**Selection.** The paper tunes its settings on the validation masks that it reports. The rule used here stands under
every table; where a data set has a test split, `test_miou` is scored on it, and nothing is chosen by it."""


def how_to_read() -> list[str]:
    """The page's own explanation, as paragraphs."""
    names = {name: f" (*{SHORT[name]}* on the page)" for name in METRICS if name in SHORT}
    legend = "\n".join(f"- `{name}`{names.get(name, '')}: {meaning}" for name, meaning in METRICS.items())
    return ["# How to read the page", _WORDS, "## What the columns measure", legend]
