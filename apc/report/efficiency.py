"""Tables 5 and 6: two times of a run, and its speed, from its row alone."""

from dataclasses import replace

from apc.results import Row

SHARE = 0.95
"""Share of its own final score at which a run counts as converged. The paper names no rule for its hours."""

RULE = (
    f"Two times, since the paper's hours fall with every module although none makes a step faster: `train_seconds` is "
    f"the whole schedule, `to_95_seconds` the training until the first epoch whose `miou` is at least {SHARE:.0%} of "
    "the run's own final `miou`. Every epoch is scored for it, and scoring is counted in neither."
).replace("95%", "95 %")
"""What the two columns are, for the page."""


def seconds_to_share(row: Row, share: float = SHARE) -> float | None:
    """Training seconds until `miou` first reached `share` of the run's own final one; None where epochs are unscored.

    The last epoch's score is the run's own; a run whose final score is 0 has reached any share of it after one epoch.
    """
    final, curve = row.metrics.get("miou"), row.curve
    if final is None or not curve or any("miou" not in entry for entry in curve[:-1]):
        return None
    reached = [entry["seconds"] for entry in curve[:-1] if entry["miou"] >= share * final]
    return float(reached[0] if reached else curve[-1]["seconds"])


def completed(row: Row) -> Row:
    """The row with what follows from it: `to_95_seconds`, `images_per_second` of training, `peak_gib` of its stamp."""
    seconds, metrics = dict(row.seconds), dict(row.metrics)
    if row.config.get("eval_every") == 1 and (found := seconds_to_share(row)) is not None:
        seconds["to_95"] = found
    images, epochs = row.stamp.get("images"), len(row.curve)
    if isinstance(images, dict) and epochs and row.seconds.get("train"):
        metrics["images_per_second"] = images.get("train", 0) * epochs / row.seconds["train"]
    if isinstance(peak := row.stamp.get("peak_gib"), float):
        metrics.setdefault("peak_gib", peak)
    return replace(row, seconds=seconds, metrics=metrics)
