"""What a table shows, in plain sentences."""

from apc.escaping import as_code, in_markdown
from apc.reporting import tables
from apc.reporting.groups import Group
from apc.reporting.names import row_name
from apc.reporting.table_entry import TableEntry
from apc.reporting.verdicts.intervals import ENOUGH, WIDE, apart, median, summary, uneven


def plain_words(entry: TableEntry, group: Group) -> list[str]:
    """The measured order beside the paper's, wide spreads seed by seed, and how many patches Algorithm 1 takes."""
    alone = _out_of_line(entry, group)
    return [*_order(entry, group), *_wide_spreads(group), *alone, *_patches_taken(entry, group)]


def seeds_far_apart(entry: TableEntry, group: Group, most: int = 3) -> list[str]:
    """One short line on the rows of which single seeds look collapsed, each with its median; nothing without any."""
    if tables.unit_of(entry.metric):
        return []
    scores = {label: own for label in group.labels if uneven(own := group.scores(label, entry.metric))}
    told = []
    for label, own in list(scores.items())[:most]:
        values = own.values()
        name = in_markdown(row_name(label))
        told.append(f"{name} (median {median(values).value:.1f} of {min(values):.1f} to {max(values):.1f})")
    if not told:
        return []
    more = f" and {len(scores) - most} more" * (len(scores) > most)
    few = any(len(own) < ENOUGH for own in scores.values())
    wanted = "; a verdict on such a row wants ten seeds" if few else ""
    return [f"Seeds far apart, which a mean hides: {', '.join(told)}{more}{wanted}."]


def _order(entry: TableEntry, group: Group) -> list[str]:
    """The rows by our means and by the paper's numbers; nothing below two rows."""
    printed = entry.printed or {}
    means = {
        label: summary(group.scores(label, entry.metric).values()).mean
        for label in entry.rows
        if label in printed and group.scores(label, entry.metric)
    }
    if len(means) < 2:
        return []
    ours = " < ".join(map(row_name, sorted(means, key=lambda label: means[label])))
    theirs = " < ".join(map(row_name, sorted(means, key=lambda label: printed[label])))
    same = "The paper has the same order" if ours == theirs else "The paper has another order"
    return [f"Order of the means of `{entry.metric}`: {ours}. {same}: {theirs}."]


def _wide_spreads(group: Group) -> list[str]:
    """Rows whose seeds differ by more than WIDE, with the single seeds."""
    wide = {label: s for label in group.labels if (s := summary(group.scores(label, "miou").values())).std > WIDE}
    if not wide:
        return []
    listed = "; ".join(
        f"{as_code(label)} {s.mean:.1f} (n = {s.n}, single seeds: {tables.single_values(group, label)})"
        for label, s in wide.items()
    )
    return [f"`miou` differs much between seeds here: {listed}."]


def _out_of_line(entry: TableEntry, group: Group) -> list[str]:
    """Rows of which seeds stand apart, with their medians: a mean hides them."""
    sentences = []
    for label in group.labels:
        scores = group.scores(label, entry.metric)
        if not (alone := apart(scores)):
            continue
        middle = median(scores.values())
        of = f"{as_code(label)}: seed{'s' * (len(alone) > 1)} {', '.join(map(str, alone))}"
        ends = f"[{middle.low:.1f}, {middle.high:.1f}] holds the true one in {100 * middle.level:.0f} %"
        sentences.append(f"{of} (median {middle.value:.1f}, and {ends})")
    if not sentences:
        return []
    told = "; ".join(sentences)
    return [f"Single seeds are out of line, which a mean hides: {told}."]


def _patches_taken(entry: TableEntry, group: Group) -> list[str]:
    """A sentence for each row with adaptive-K pooling that was measured."""
    sentences = []
    for label in entry.rows:
        configs = [row.config for row in group.rows if row.row == label and row.config.get("pooling") == "adaptive_k"]
        taken = summary(group.scores(label, "mean_k").values())
        if not configs or not taken.n or configs[0].get("k_share"):  # of how many patches, a row does not say
            continue
        most = float(configs[0].get("k", 1))
        sentence = (
            f"`{label}`: after training, on the first 128 validation images at scored size, Algorithm 1 takes "
            f"{taken.mean:.2f} patches on average of at most {most:g} for a class present in the image."
        )
        if taken.mean > 0.9 * most:
            sentence += " That is nearly k of k, so it works almost as top-K pooling and can hardly score differently."
        elif taken.mean < 1 + 0.1 * (most - 1):
            sentence += " That is nearly one, so it works almost as max pooling and can hardly score differently."
        sentences.append(sentence)
    return sentences
