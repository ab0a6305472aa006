"""What an Optuna study searches and how: what makes its trials comparable, as its journal keeps it, and in words what
another call changed. Needs no Optuna until a space is looked at."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

from apc.config import Config, from_dict, to_dict
from apc.search.draws import DRAWS, samples
from apc.search.search_settings import SearchSettings
from apc.search.spaces import Draw


@dataclass(frozen=True)
class StudyDefinition:
    """A study before it has any trial. A trial is a setting of the space with all seeds, scored by their mean."""

    space: Draw
    """Define-by-run space: what a trial's setting is drawn by."""
    _: KW_ONLY
    name: str
    """Of the journal, `<runs>/<name>.journal`, and what trackers call the search."""
    base: Config
    """Holds every field that the space does not set."""
    seeds: Sequence[int]
    """Seeds that each setting is trained with."""
    settings: SearchSettings
    """How the space is searched, and for how long."""
    first: Sequence[Mapping[str, Any]] = ()
    """Settings tried before the sampler's own; the first of them is never given up by halving."""

    @property
    def source(self) -> str:
        """What the sentence of an error calls the space."""
        return f"search space {self.name}"


def journal_settings(study: StudyDefinition) -> dict[str, Any]:
    """Base config, the way to search, the settings tried first and the space, in the plain values of a journal.

    ValueError names the study where its space or a setting to try first does not fit Config, and what its rule to give
    trials up lacks.
    """
    for values in study.first:
        from_dict(values, study.base, source=study.source)
    if (rule := study.settings.stop_early) in ("asha", "median") and not study.base.eval_every:
        raise ValueError(f"--stop-early {rule} needs scores while training; add --eval-every 1")
    settings = {k: v for k, v in to_dict(study.base).items() if k not in ("root", "weights", "deeplab_weights")}
    search = study.settings
    settings |= {"seeds": list(study.seeds), "objectives": search.objectives, "search_seed": search.search_seed}
    settings |= {"sampler": search.sampler, "stop_early": search.stop_early}
    if search.stop_early == "halving":
        rungs = search.rungs_over(study.base)
        settings |= {"rungs": rungs.epochs, "keep_share": rungs.share, "bracket": rungs.bracket}
    settings |= {"FIRST": [dict(values) for values in study.first]}
    drawn = samples(study.space, study.base, study.source)
    ranges = {name: text for sample in drawn for name, text in sample.ranges.items()}
    settings |= {f"space of {name}": ranges[name] for name in sorted(ranges)}
    settings |= {"drawn": _digests([sample.values for sample in drawn])}
    return dict(json.loads(json.dumps(settings)))  # as a journal gives it back: tuples are lists there


def _digests(settings: Sequence[Mapping[str, Any]]) -> dict[str, tuple[int, str]]:
    """Field -> in how many of the settings it is, and which values it has in them, in short.

    A condition, or a value that a function sets, shows in no range; here it does.
    """
    digests = {}
    for name in sorted({name for values in settings for name in values}):
        texts = [_written(values[name]) if name in values else "" for values in settings]
        digest = hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:8]
        digests[name] = (sum(map(bool, texts)), f"always {texts[0]}" if len(set(texts)) == 1 else digest)
    return digests


def _written(value: Any) -> str:
    """A value as text, without the last digits of a float."""
    return f"{value:.6g}" if isinstance(value, float) else json.dumps(value)


def changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between the journal settings a study was begun with and those of now, a phrase each."""
    # Journals of earlier versions lack fields added since, the settings tried first, what the space draws, and the
    # trials of a bracket: theirs had one, which goes on as what was begun.
    added = {k: v for k, v in to_dict(Config()).items() if k in now} | {k: now[k] for k in ("FIRST", "drawn")}
    if "rungs" in then and "bracket" in now:
        added["bracket"] = now["bracket"]
    then = added | dict(then)
    phrases = [
        f"{key} was {then.get(key, 'absent')}, is {now.get(key, 'absent')}"
        for key in dict.fromkeys([*now, *then])
        if key != "drawn" and then.get(key) != now.get(key)
    ]
    if any(phrase.startswith("space of ") for phrase in phrases):
        return phrases  # other draws follow from other ranges
    return phrases + _changed_draws(then["drawn"], now["drawn"])


def _changed_draws(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between the digests of the settings drawn, where no range does."""
    phrases = []
    for name in dict.fromkeys([*now, *then]):
        (count_then, value_then), (count, value) = (side.get(name, (0, "")) for side in (then, now))
        if count_then != count:
            phrases.append(
                f"{name} was in {count_then} of {DRAWS} settings drawn, is in {count}: its condition is another"
            )
        elif value_then != value and value_then.startswith("always") and value.startswith("always"):
            phrases.append(f"{name} was {value_then}, is {value}")
        elif value_then != value:
            phrases.append(f"the condition of {name}, or the values that the space gives it, are others")
    return phrases
