"""A claim under every specification: the same difference by every protocol, on every data set, at every other setting.

What is reported of a claim is one way to take its difference out of many that would have passed as well. The
specification curve shows all of them, sorted (Simonsohn, Simmons, Nelson: Specification curve analysis, Nature Human
Behaviour 2020). The specifications are not independent tests: most are the same networks scored in another way.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from apc.config import Config, to_dict
from apc.reporting.groups import Group
from apc.reporting.published import gain
from apc.reporting.section import Section
from apc.reporting.verdicts.intervals import Paired, paired
from apc.runs.protocols import RUNS_OWN, Protocol, parse
from apc.runs.rows import Row

FEWEST = 8
"""Specifications below which there is no curve: the tables show them all."""
VALUES = 6
"""Values of a held setting that are marked one by one; of more the paper's is marked against all others."""
_NOT_HELD = ("seed", "root", "weights", "dataset", "eval_every", "crf")
"""Config fields that no specification is told by: the CRF is part of the protocol."""
_IMAGES = {"held_miou": "held-out half", "test_miou": "test images"}
"""Scores of the decoder on other images than all those of the validation -> which."""

_USUAL = ("validation", "none", "decoder", "one", "as trained")
"""Choices that a score without further words is taken by."""


@dataclass(frozen=True)
class Question:
    """Whether one value of a knob scores higher than another, all else equal."""

    name: str
    """Of its files."""
    text: str
    knob: str
    better: Any
    """The value that the claim is for; None: any other than `worse`."""
    worse: Any
    idle: tuple[str, ...]
    """Config fields that mean nothing at one of the two values."""
    printed: float
    """By how much, as the paper prints it, in points."""


QUESTIONS = (
    Question(
        "adaptive_k",
        "adaptive-K pooling against max pooling",
        "pooling",
        "adaptive_k",
        "max",
        ("k", "theta"),
        gain("table7", "adaptive_k", "max"),
    ),
    Question(
        "patch_contrast",
        "patch contrast on against off",
        "lambda2",
        None,
        0.0,
        ("epsilon",),
        gain("table8", "pcl", "akp"),
    ),
)
"""The main claims. Any two values of one knob can be asked about; their rows are found by their settings."""


@dataclass(frozen=True)
class Specification:
    """One way to take the difference that a claim is about."""

    dataset: str
    tables: tuple[str, ...]
    """Where the two rows stand, as "Table 7"; rows of one training stand in several."""
    rows: tuple[str, str]
    """Their labels, the better by the claim first."""
    metric: str
    held: Mapping[str, Any]
    """Config fields of the better row."""
    difference: Paired
    runs: frozenset[str]
    """The networks that were scored."""
    counted: str = ""
    """The table of which it is the difference whose verdict is counted; empty of most."""


def specifications(question: Question, sections: Iterable[Section]) -> list[Specification]:
    """Every specification for which both rows were run with a common seed, by rising difference, each once."""
    found = [
        replace(each, counted=each.tables[0] * _is_counted(each, section))
        for section in sections
        for group in section.compared
        for better, worse in _pairs(question, group)
        for each in _of_pair(section, group, better, worse)
    ]
    return sorted(_without_repeats(found), key=lambda each: (each.difference.summary.mean, each.dataset, each.metric))


def _pairs(question: Question, group: Group) -> Iterator[tuple[list[Row], list[Row]]]:
    """The runs of each two labels whose settings differ in the question's knob alone."""
    default = to_dict(Config())
    by_label: dict[str, list[Row]] = {}
    for row in group.rows:
        if "@" not in row.run:  # RUN@WHAT is RUN scored once more
            by_label.setdefault(row.row, []).append(row)
    off: dict[str, list[Row]] = {}
    on: list[tuple[str, list[Row]]] = []
    for rows in by_label.values():
        config = default | rows[0].config
        alone = (question.knob, *question.idle, *_NOT_HELD)
        place = repr(sorted((name, value) for name, value in config.items() if name not in alone))
        if config[question.knob] == question.worse:
            off.setdefault(place, rows)
        elif question.better in (None, config[question.knob]):
            on.append((place, rows))
    return ((rows, off[place]) for place, rows in on if place in off)


def _of_pair(section: Section, group: Group, better: list[Row], worse: list[Row]) -> Iterator[Specification]:
    """The difference of two rows by every score that both have and that tells its protocol."""
    table = section.entry.title.split(":")[0]
    held = to_dict(Config()) | better[0].config
    runs = frozenset(row.run for row in (*better, *worse))
    for metric in better[0].metrics:
        if metric in _IMAGES or _protocol(metric):
            difference = paired(_by_seed(better, metric), _by_seed(worse, metric), group.level)
            if difference.summary.n:
                rows = (better[0].row, worse[0].row)
                yield Specification(section.dataset, (table,), rows, metric, held, difference, runs)


def _by_seed(rows: Sequence[Row], metric: str) -> dict[int, float]:
    return {row.config.get("seed", 0): row.value(metric) for row in rows}


def _protocol(metric: str) -> Protocol | None:
    try:
        return parse(metric)
    except ValueError:
        return None


def _is_counted(each: Specification, section: Section) -> bool:
    """Whether a counted verdict of the page rests on exactly these differences."""
    own = {each.metric, "ladder_miou"}  # which is another name of it in Table 8
    of_claims = [j for j in section.judged if j.counts and not j.ours and not j.verdict.rival and j.metric in own]
    return any(j.verdict.difference.differences == each.difference.differences for j in of_claims)


def _without_repeats(found: Iterable[Specification]) -> list[Specification]:
    """Each difference once: where the same runs stand in several tables, that with the most seeds names them all."""
    kept: list[Specification] = []
    places: dict[tuple[str, str, int, float], int] = {}  # by each seed's difference
    for each in sorted(found, key=lambda each: -each.difference.summary.n):
        own = each.difference.differences
        place = [(each.dataset, each.metric, seed, value) for seed, value in own.items()]
        same = places.get(place[0])
        if same is not None and own.items() <= kept[same].difference.differences.items():
            other = kept[same]
            tables = tuple(dict.fromkeys([*other.tables, *each.tables]))
            kept[same] = replace(other, tables=tables, counted=other.counted or each.counted)
        else:
            places |= dict.fromkeys(place, len(kept))
            kept.append(each)
    return kept


def marks(specs: Sequence[Specification]) -> dict[str, list[bool]]:
    """What tells the specifications apart: a choice, as "CRF: none" -> whether each made it; alternatives follow one
    another, and a choice that all made is left out."""
    varied = _varied(specs)
    choices = [{"data": each.dataset, **_held(each, varied), **_scored(each)} for each in specs]
    found: dict[str, list[bool]] = {}
    for name in choices[0] if choices else ():
        values = sorted({own[name] for own in choices}, key=_in_order)
        for value in values if len(values) > 1 else ():
            found[f"{name}: {value}"] = [own[name] == value for own in choices]
    return found


def _in_order(value: str) -> tuple[bool, float, str]:
    """What is usual first, then numbers by their size, then words."""
    number = float(value) if re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", value) else math.inf
    return value not in _USUAL, number, value


def _scored(each: Specification) -> dict[str, str]:
    """The protocol of a specification, choice by choice."""
    protocol = _protocol(each.metric) or Protocol()
    size = (f"{protocol.size}" if protocol.size else "as trained") + ", aspect kept" * protocol.keep_aspect
    scales = "one" if not protocol.scales else "several" + ", greatest" * (protocol.combine == "max")
    return {
        "masks of": "decoder" if protocol.branch == "decoder" else "patch branch",
        "CRF": {"": "none", RUNS_OWN: "dense"}.get(protocol.crf, f"dense, {protocol.crf}"),
        "image labels": "given" if protocol.image_labels else "none",
        "images": _IMAGES.get(each.metric, "validation"),
        "scales": scales,
        "size": size,
    }


def _varied(specs: Sequence[Specification]) -> dict[str, int]:
    """Field -> how many values it has, of the fields held that tell specifications apart which the data set and the
    fields before do not."""
    varied: dict[str, int] = {}
    places: list[tuple[str, ...]] = [(each.dataset,) for each in specs]
    for name in (name for name in (specs[0].held if specs else ()) if name not in _NOT_HELD):
        values = [_shown(each.held.get(name)) for each in specs]
        further = [(*place, value) for place, value in zip(places, values, strict=True)]
        if len(set(further)) > len(set(places)):
            places = further
            varied[name] = len(set(values))
    return varied


def _held(each: Specification, varied: Mapping[str, int]) -> dict[str, str]:
    """The values of the fields that are told; of one with many values whether it is the paper's."""
    return {
        name: _shown(each.held.get(name))
        if values <= VALUES
        else ("the paper's" if each.held.get(name) == getattr(Config(), name, None) else "another")
        for name, values in varied.items()
    }


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
