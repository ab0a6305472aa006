"""Tables 5 and 6: two times of a run, and its speed, from its row alone."""

from dataclasses import replace

from apc.runs.rows import Row

SHARE = 0.95
"""Share of its own final score at which a run counts as converged. The paper names no rule for its hours."""

RULE = (
    "Two times, since the paper's hours fall with every module although none makes a step faster: `train_seconds` are "
    f"those of the whole schedule, `to_95_seconds` those until the first epoch whose `miou` is at least {SHARE:.0%} of "
    "the run's own final `miou`; of ViT-PCM its second stage's epochs alone, both stages' time counted. Every epoch is "
    "scored for it, and scoring is counted in neither. On a CPU both are processor seconds, `…_cpu_seconds`, "
    "which other work on the machine changes less; a shared host can still be half as fast an hour "
    "later, so a small difference between rows made at different times says nothing."
).replace("95%", "95 %")
"""What the two columns are, for the page."""


def seconds_to_share(row: Row, share: float = SHARE, clock: str = "seconds") -> float | None:
    """Training seconds until `miou` first reached `share` of the run's own final one; None where epochs are unscored.

    `clock` names the curve's seconds: `seconds` of the wall, or `cpu_seconds` of the processor, which old runs lack.

    Of a method with two stages only scores of the second count: before it the network that is scored in the end does
    not exist, and the time is that of both stages. The last epoch's score is the run's own; a run whose final score is
    0 has reached any share of it after one epoch.
    """
    final, curve = row.metrics.get("miou"), row.curve
    if (
        final is None
        or not curve
        or any("miou" not in entry for entry in curve[:-1])
        or any(clock not in e for e in curve)
    ):
        return None
    stage2 = row.config.get("stage2_epochs", 0)
    first = len(curve) - stage2 if stage2 else 0
    reached = [entry[clock] for entry in curve[first:-1] if entry["miou"] >= share * final]
    return float(reached[0] if reached else curve[-1][clock])


def completed(row: Row) -> Row:
    """The row with what follows from it: its time to SHARE, `images_per_second` of training, `peak_gib` of its stamp.

    Both by the processor's clock on a CPU; a GPU's rows have no processor seconds, which say nothing of it.
    """
    seconds, metrics = dict(row.seconds), dict(row.metrics)
    on_cpu = row.stamp.get("device") == "cpu"
    kind = "_cpu" if on_cpu and all("cpu_seconds" in entry for entry in row.curve) else ""
    if not on_cpu:
        seconds.pop("train_cpu", None)
    clock = f"{kind}_seconds".removeprefix("_")
    if row.config.get("eval_every") == 1 and (to_share := seconds_to_share(row, clock=clock)) is not None:
        seconds[f"to_95{kind}"] = to_share
    images, epochs = row.stamp.get("images"), len(row.curve)
    if isinstance(images, dict) and epochs and (spent := seconds.get(f"train{kind}")):
        metrics["images_per_second"] = images.get("train", 0) * epochs / spent
    if isinstance(peak := row.stamp.get("peak_gib"), float):
        metrics.setdefault("peak_gib", peak)
    return replace(row, seconds=seconds, metrics=metrics)
