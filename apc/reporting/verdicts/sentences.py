"""What a table shows, in plain sentences."""

from apc.reporting import tables
from apc.reporting.groups import Group
from apc.reporting.table_entry import TableEntry
from apc.reporting.verdicts.statistics import summary

WIDE = 5.0
"""Points of standard deviation over seeds above which the single seeds are told."""


def plain_words(entry: TableEntry, group: Group) -> list[str]:
    """The measured order beside the paper's, wide spreads seed by seed, and how many patches Algorithm 1 takes."""
    text = []
    printed = entry.printed
    if printed:
        means = {
            label: summary(group.scores(label, entry.metric).values()).mean
            for label in entry.rows
            if label in printed and group.scores(label, entry.metric)
        }
        ours = " < ".join(sorted(means, key=lambda label: means[label]))
        theirs = " < ".join(sorted(means, key=lambda label: printed[label]))
        same = "The paper has the same order" if ours == theirs else "The paper has another order"
        if len(means) > 1:
            text.append(f"Order of the means of `{entry.metric}`: {ours}. {same}: {theirs}.")
    wide = {label: s for label in group.labels if (s := summary(group.scores(label, "miou").values())).std > WIDE}
    if wide:
        listed = "; ".join(
            f"`{label}` {s.mean:.1f} (n = {s.n}, single seeds: {tables.single_values(group, label)})"
            for label, s in wide.items()
        )
        text.append(f"`miou` differs much between seeds here: {listed}.")
    for label in entry.rows:
        configs = [row.config for row in group.rows if row.row == label and row.config.get("pooling") == "adaptive_k"]
        taken = summary(group.scores(label, "mean_k").values()).mean
        if not configs or taken != taken:
            continue
        most = float(configs[0].get("k", 1))
        line = (
            f"`{label}`: after training, on the first 128 validation images at scored size, Algorithm 1 takes "
            f"{taken:.2f} patches on average of at most {most:g} for a class present in the image."
        )
        if taken > 0.9 * most:
            line += " That is nearly k of k, so it works almost as top-K pooling and can hardly score differently."
        elif taken < 1 + 0.1 * (most - 1):
            line += " That is nearly one, so it works almost as max pooling and can hardly score differently."
        text.append(line)
    return text
