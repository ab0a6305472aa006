"""What makes the trials of a study comparable, as its journal keeps it, and in words what another call changed."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from apc.config import Config, to_dict
from apc.search.spaces import DRAWS, Draw, SearchSettings, drawn


def settings_of(
    space: Draw,
    first: Sequence[Mapping[str, Any]],
    base: Config,
    seeds: Sequence[int],
    how: SearchSettings,
    *,
    source: str,
) -> dict[str, Any]:
    """Base config, the way to search, the settings tried first and the space; ValueError naming `source` where the
    space does not fit Config."""
    fields = {k: v for k, v in to_dict(base).items() if k not in ("root", "weights", "deeplab_weights")}
    told = {"seeds": list(seeds), "objectives": how.objectives, "search_seed": how.search_seed}
    told |= {"sampler": how.sampler, "stop_early": how.stop_early, "FIRST": [dict(values) for values in first]}
    found = drawn(space, base, source)
    ranges = {name: text for _, ranges in found for name, text in ranges.items()}
    told |= {f"space of {name}": ranges[name] for name in sorted(ranges)}
    told |= {"drawn": _digests([values for values, _ in found])}
    return dict(json.loads(json.dumps(fields | told)))  # as a journal gives it back: tuples are lists there


def _digests(settings: Sequence[Mapping[str, Any]]) -> dict[str, tuple[int, str]]:
    """Field -> in how many of the settings it is, and which values it has in them, in short.

    A condition, or a value that a function sets, shows in no range; here it does.
    """
    found = {}
    for name in sorted({name for values in settings for name in values}):
        texts = [_written(values[name]) if name in values else "" for values in settings]
        digest = hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:8]
        found[name] = (sum(map(bool, texts)), f"always {texts[0]}" if len(set(texts)) == 1 else digest)
    return found


def _written(value: Any) -> str:
    """A value as text, without the last digits of a float."""
    return f"{value:.6g}" if isinstance(value, float) else json.dumps(value)


def changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between the settings a study was begun with and those of now, a phrase each."""
    # Journals of earlier versions lack fields added since, the settings tried first and what the space draws.
    added = {k: v for k, v in to_dict(Config()).items() if k in now} | {k: now[k] for k in ("FIRST", "drawn")}
    then = added | dict(then)
    told = [
        f"{key} was {then.get(key, 'absent')}, is {now.get(key, 'absent')}"
        for key in dict.fromkeys([*now, *then])
        if key != "drawn" and then.get(key) != now.get(key)
    ]
    if any(text.startswith("space of ") for text in told):
        return told  # other draws follow from other ranges
    for name in dict.fromkeys([*now["drawn"], *then["drawn"]]):
        (had, value), (has, other) = (side["drawn"].get(name, (0, "")) for side in (then, now))
        if had != has:
            told.append(f"{name} was in {had} of {DRAWS} settings drawn, is in {has}: its condition is another")
        elif value != other and value.startswith("always") and other.startswith("always"):
            told.append(f"{name} was {value}, is {other}")
        elif value != other:
            told.append(f"the condition of {name}, or the values that the space gives it, are others")
    return told
