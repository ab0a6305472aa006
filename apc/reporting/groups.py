"""Rows that may stand in one table: read, checked, and separated by everything that makes scores incomparable.

Scores share a table only if they come from the same data and weights (fingerprints), the same selection rule and the
same Config, but for the seed and the fields the table varies.  Runs of several commits or machines may share one, and
the page says so: a commit seldom changes a number, and splitting by it would leave no table standing.
"""

import json
import math
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from apc.config import Config, to_dict
from apc.escaping import as_code, in_markdown
from apc.reporting.sound import unsound
from apc.reporting.timing import completed
from apc.reporting.verdicts.looks import FIRST_LOOK, level_of, looks_of
from apc.reporting.verdicts.over_images import Images, Interval
from apc.runs.rows import Row, load_rows

_NOT_COMPARED = ("seed", "root", "weights")  # the seed is averaged over; the two paths are compared by fingerprint
_STAMPED = ("data", "weights", "selection", "protocol", "images")
_IMPLIED = {"protocol": 1}  # the first rows bear it in their run id alone


@dataclass
class Group:
    """Rows of one experiment on one data set that may be averaged and compared."""

    rows: list[Row]
    """Runs with scores, one for each label and seed."""
    what: dict[str, str] = field(default_factory=dict)
    """What sets the group apart from the others of its data set; empty for an only group."""
    notes: list[str] = field(default_factory=list)
    """What a reader of its numbers must be told."""
    images: Images = field(default_factory=Images, repr=False)
    """What each image scored in each run, where it was kept."""

    @property
    def labels(self) -> list[str]:
        """Labels of its rows, in order of first appearance."""
        return list(dict.fromkeys(row.row for row in self.rows))

    def scores(self, label: str, metric: str) -> dict[int, float]:
        """Finite values of one metric by seed."""
        values = {row.config.get("seed", 0): row.value(metric) for row in self.rows if row.row == label}
        return {seed: value for seed, value in values.items() if math.isfinite(value)}

    def beside(self, label: str, other: str, metric: str) -> tuple[dict[int, float], dict[int, float]]:
        """Scores of two labels that may be compared: of a time only those of seeds at which one kind of device, a
        processor or a GPU, took both."""
        scores = self.scores(label, metric), self.scores(other, metric)
        if not metric.endswith("_seconds"):
            return scores
        device = {(row.row, row.config.get("seed", 0)): row.stamp.get("device") for row in self.rows}
        seeds = {s for s in scores[0].keys() & scores[1].keys() if device[label, s] == device[other, s]}
        one, another = ({s: value for s, value in own.items() if s in seeds} for own in scores)
        return one, another

    @property
    def looks(self) -> int:
        """Most seeds that there might have been for a verdict; 0 where their number was fixed beforehand."""
        seeds = Counter(row.row for row in self.rows)
        return max(looks_of(self.rows), *seeds.values()) if looks_of(self.rows) else 0

    @property
    def level(self) -> float:
        """Level of an interval over seeds; a higher one where seeds were added by verdict."""
        return level_of(self.looks)

    def fewest(self, metric: str, labels: Iterable[str], failed: Iterable[Row] = ()) -> int:
        """Seeds from which a verdict on rows may fall: all that one of them has, but for those at which one failed. A
        verdict from the part that is done and another from the whole would be two looks at one level."""
        labels = [*labels]
        seeds = {seed for label in labels for seed in self.scores(label, metric)}
        gone = {row.config.get("seed", 0) for row in failed if row.row in labels}
        return FIRST_LOOK if self.looks else max(2, len(seeds - gone))

    def over_images(self, a: str, b: str, metric: str) -> Interval | None:
        """Jackknife interval over images of label `a` minus label `b`, over the seeds of both; None without counts."""
        runs = [
            {row.config.get("seed", 0): _scored(row, metric) for row in self.rows if row.row == label}
            for label in (a, b)
        ]
        common = sorted(set(runs[0]) & set(runs[1]))
        return self.images.difference([runs[0][s] for s in common], [runs[1][s] for s in common])

    @property
    def selection(self) -> list[str]:
        """What its settings were chosen by."""
        return selection_rules(self.rows)

    def stamped(self, key: str) -> Counter[str]:
        """How many rows carry each value of a stamp key."""
        return Counter(str(row.stamp.get(key, "not stamped")) for row in self.rows)


def selection_rules(rows: Iterable[Row]) -> list[str]:
    """What settings were chosen by, as rows are stamped. A run bears `val` until a search says otherwise; where no mask
    scored any, no mask chose."""
    rows = [*rows]
    by_masks = any("miou" in name for row in rows for name in row.metrics)
    rules = {str(row.stamp.get("selection", "not stamped")) for row in rows}
    return sorted(rules if by_masks else rules - {"val"})


def _scored(row: Row, metric: str) -> tuple[str, str]:
    """The run whose counts a row's metric follows from, and by which score: Table 8's CRF row is another's run, and its
    own metric is `miou` in some rows and `miou_crf` in others."""
    if metric == "ladder_miou":
        after = row.metrics.get(metric) == row.metrics.get("miou_crf") != row.metrics.get("miou")
        metric = "miou_crf" if after else "miou"
    return row.run.removesuffix("@crf"), metric


def read(path: Path) -> tuple[list[Row], list[str]]:
    """Rows of one results file, and one sentence for each line or row that is damaged and left out."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            rows = load_rows(path)
        except UnicodeDecodeError as error:
            return [], [f"{path.name} is not a text file and was left out: {error}"]
    problems = [str(w.message).replace(str(path), path.name) for w in caught]
    sound = []
    for row in rows:
        if wrong := unsound(row):
            problems.append(
                f"{path.name}, run {row.run}: {', '.join(wrong)} is not of the right kind; the row is left out"
            )
        else:
            sound.append(completed(row))
    return sound, problems


def separate(rows: Iterable[Row], knobs: tuple[str, ...] | None = None) -> list[Group]:
    """Groups of comparable rows, the largest first; rows that failed or were given up are no part of any.

    `knobs` are the Config fields the table varies; None lets any field differ between labels.  A field that differs
    among the runs of one label is never a knob: the label would stand for two settings.
    """
    scored = [row for row in rows if not (row.error or row.stopped)]
    configs = {id(row): _as_compared(row, of_peers=knobs is None) for row in scored}
    names = sorted({name for config in configs.values() for name in config} - set(_NOT_COMPARED))
    base = [n for n in names if (knobs is not None and n not in knobs) or _differs_within_a_label(n, scored, configs)]
    keys = {
        id(row): {s: _text((_IMPLIED | row.stamp).get(s)) for s in _STAMPED}
        | {n: _text(configs[id(row)].get(n)) for n in base}
        for row in scored
    }
    for name in base if knobs is None else ():
        if _follows(name, scored, keys):
            keys = {row: {n: value for n, value in key.items() if n != name} for row, key in keys.items()}
    by_key: dict[str, list[Row]] = defaultdict(list)
    for row in scored:
        by_key[json.dumps(keys[id(row)])].append(row)
    members = sorted(by_key.values(), key=len, reverse=True)
    stated = {name: {keys[id(row)].get(name) for row in scored} for row in scored[:1] for name in keys[id(row)]}
    apart = [name for name, values in stated.items() if len(values) > 1]
    return [_group(rows, {name: keys[id(rows[0])][name] for name in apart}) for rows in members]


def _as_compared(row: Row, of_peers: bool) -> dict[str, Any]:
    """A row's Config, of methods side by side with the epochs that all have: ViT-PCM's second stage is one of its
    own."""
    config = to_dict(Config()) | row.config
    return config | {"epochs": config["epochs"] - config["stage2_epochs"]} if of_peers else config


def _follows(name: str, rows: list[Row], keys: dict[int, dict[str, str]]) -> bool:
    """Whether a field follows, in every label, from the others that set rows apart, and is another in other labels: a
    warm-up that is a share of the epochs would part the methods that have one from those that have none."""
    of_label, of_all = defaultdict[str, set[str]](set), defaultdict[str, set[str]](set)
    for row in rows:
        rest = json.dumps({n: value for n, value in keys[id(row)].items() if n != name})
        of_all[rest].add(keys[id(row)][name])
        of_label[json.dumps([row.row, rest])].add(keys[id(row)][name])
    return max(map(len, of_label.values())) == 1 < max(map(len, of_all.values()))


def _differs_within_a_label(name: str, rows: list[Row], configs: dict[int, dict[str, Any]]) -> bool:
    values: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        values[row.row].add(_text(configs[id(row)].get(name)))
    return any(len(several) > 1 for several in values.values())


def _group(rows: list[Row], what: dict[str, str]) -> Group:
    """One group: the last run of each label and seed, and the notes on what it still mixes."""
    notes = []
    last: dict[tuple[str, int], Row] = {}
    for row in rows:
        place = (row.row, row.config.get("seed", 0))
        if place in last:
            notes.append(
                f"{as_code(row.row)}, seed {place[1]}, was recorded more than once; the last one (run "
                f"{in_markdown(row.run)}) counts."
            )
        last[place] = row
    group = Group(list(last.values()), what, notes)
    if any(row.stamp.get("smoke") for row in group.rows):
        notes.insert(0, "This is a smoke run, and its numbers mean nothing.")
    commits = group.stamped("commit")
    if len(commits) > 1:
        listed = "; ".join(
            f"{in_markdown(commit[:10])}: {_rows_of_commit(group, commit)}" for commit, _ in commits.most_common()
        )
        notes.append(f"This table mixes runs of {len(commits)} commits. {listed}.")
    if group.looks:
        notes.append(
            f"Seeds were added by verdict (`--decide {looks_of(group.rows)}`). So each interval over seeds is one of "
            f"{100 * group.level:.3g} %: those of all looks, from {FIRST_LOOK} seeds on, then hold together in 95 %."
        )
    dirty = sum(bool(row.stamp.get("dirty")) for row in group.rows)
    if dirty:
        notes.append(f"{dirty} of {len(group.rows)} runs were made with uncommitted changes in the working tree.")
    for key in ("machine", "device", "torch"):
        kinds = group.stamped(key)
        if len(kinds) > 1:
            notes.append(
                f"The runs differ in {key}: {in_markdown(', '.join(sorted(kinds)))}. The same seed may then "
                f"give different numbers{', and times are compared within one alone' * (key == 'device')}."
            )
    return group


def _rows_of_commit(group: Group, commit: str) -> str:
    """The runs of one commit, by the rows that they stand in: a row of another commit than its rival's may differ."""
    own = [row for row in group.rows if str(row.stamp.get("commit", "not stamped")) == commit]
    labels = list(dict.fromkeys(row.row for row in own))
    whole = [label for label in labels if sum(r.row == label for r in own) == sum(r.row == label for r in group.rows)]
    part = [f"{as_code(label)} in part" for label in labels if label not in whole]
    named = [*map(as_code, whole), *part]
    rows = "a part of every row" if len(part) == len(group.labels) else ", ".join(named[:12])
    more = f" and {len(named) - 12} more" if len(named) > 12 and "every" not in rows else ""
    return f"{rows}{more} ({len(own)} run{'s' * (len(own) > 1)})"


def _text(value: Any) -> str:
    """A value as text that sets 1 and 1.0 equal, and lists and tuples."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "not stamped" if value is None else json.dumps(value, sort_keys=True).strip('"')
    return f"{value:g}"
