"""What is said of the settings that a search tries before its sampler's own."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from apc.config import Config
from apc.search.draws import outside
from apc.search.spaces import Draw


def told(first: Sequence[Mapping[str, Any]], trials: int, draw: Draw, base: Config, source: str) -> list[str]:
    """That they are all that is tried, and what of them lies outside the space: a sentence each.

    ValueError as of draws.sample.
    """
    sentences = []
    if trials <= len(first):
        all_of = f"all {trials} trials are settings" if trials > 1 else "the one trial is the setting"
        sentences = [f"{all_of} tried first: the sampler proposes none"]
    found = Counter(knob for values in first[:trials] for knob in outside(draw, values, base, source))
    for (name, value, ends), count in found.items():
        who, go = (f"{count} settings", "are") if count > 1 else ("a setting", "is")
        has = "have" if count > 1 else "has"
        sentences.append(
            f"{who} tried first {has} {name} {value}, outside the space's {ends}, and {go} trained all the same"
        )
    return sentences
