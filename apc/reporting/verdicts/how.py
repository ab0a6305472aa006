"""How claims are judged, in the words of the page."""

HOW_JUDGED = """\
Differences between rows are paired by seed and come with two intervals of 95 %. The one **over seeds** (Student t) says
what further trainings would give; verdicts rest on it. The one **over images** (jackknife of the scored images, the
trained networks held; none below 40 images) says what other photographs of the same kind would give. A difference that
is sure over images and not over seeds is one of these few networks, not yet of the method.

A claim is **reproduced** when the interval over seeds of its difference lies above 0, **contradicted** when it lies
below, *undecided* otherwise, and as long as one of its rows lacks seeds that the other has; *one seed* has a difference
and no spread, and is counted as undecided; *pending* is what has no two runs to compare, of times none on one kind of
device. A value that is claimed to be the best is reproduced only once every value of its plan
has a score, and contradicted only where a rival beats it at a level corrected for the number of rivals. A claim counts
once, by the score in the column *by*; other scores are of the same runs and no further evidence. If two rows were truly
equal, one claim in twenty would be judged wrongly; claims are not corrected for their number.

Beside the direction stands the **size**: our difference as a share of the printed one, with its interval. *At least
half of it*: the whole interval lies above a half. *Smaller than half of it*: it lies below, so the claim is refuted in
size though its direction may hold. *No difference*: surely within half a point of nothing. *Open*: neither.

Adding seeds until a verdict pleases gives a false one in 17 of 100 cases by ten seeds. `--decide N` is the way to add
them: its intervals are wider, so that a false verdict at any of its looks has a chance of 5 % together; a table made
so says it. How many seeds would decide (with a chance of 80 %) is a range, and open above where the seeds so far
cannot bound it. A seed far from the median of the others is named, with the median, which it does not move. Where the
seeds of a row lie far apart (one so, or a standard deviation above 5 points) and are fewer than ten, a sign **!** says
so: single seeds may have collapsed, and of three none can be told apart."""
