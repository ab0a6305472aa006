"""How a score is taken: which branch, whether image labels were given, what the network was shown, which CRF ran.
Imports no torch.

A protocol is named `miou`, `patch_miou`, `labelled_miou` or `pseudo_miou`, and behind it, in this order and where they
apply:

    _960       shown at that size; without it at the run's own (`eval_size`)
    _keep      with its aspect kept, 960 being the long side; without it squashed to a square
    _ms        the mean of the probabilities over DEFAULT_SCALES and flips; `_ms_50_100` over the scales 0.5 and 1
    _max       as ToCo and AFA are published: the greatest logits over DEFAULT_SCALES, each scale's the sum of the
               plain and the flipped image's; `_max_100_125` over the scales 1 and 1.25
    _crf       after the run's own dense CRF (`crf`); `_crf_toco` after that one

So `miou_960_keep_ms_crf`. Every score is taken at the photograph's own size.
"""

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import get_args, get_type_hints

from apc.config import Config

BRANCHES = ("decoder", "patch")
DEFAULT_SCALES = (0.5, 0.75, 1.0, 1.25, 1.5)
"""Scales of `_ms`: those of AFA's author (method-spec, section 2)."""
CRFS = tuple(name for name in get_args(get_type_hints(Config)["crf"]) if name != "none")
"""Parameter sets of the dense CRF; their numbers stand in apc/models/crf.py."""
COMBINES = ("mean", "max")
RUNS_OWN = "own"
"""A Protocol's `crf` for the set that the run's config names."""

_STEMS = {
    ("decoder", False): "miou",
    ("patch", False): "patch_miou",
    ("decoder", True): "labelled_miou",
    ("patch", True): "pseudo_miou",
}
_NAME = re.compile(
    r"(miou|patch_miou|labelled_miou|pseudo_miou)(?:_([1-9]\d*))?(_keep)?(?:_(ms|max)((?:_\d+)*))?(?:_(crf)(?:_(\w+))?)?"
)


@dataclass(frozen=True)
class Protocol:
    """One way to take a score; two protocols never share a name."""

    branch: str = "decoder"
    """Which output is scored, `decoder` or `patch`."""
    image_labels: bool = False
    """Whether classes that the photograph's image labels exclude are ruled out: a pseudo mask, no segmentation."""
    size: int = 0
    """Side in pixels of the square the network is shown, or the long side where the aspect is kept; 0: the run's."""
    keep_aspect: bool = False
    """Whether photographs keep their aspect, both sides rounded to the patch; else they are squashed to a square."""
    scales: tuple[float, ...] = ()
    """Multiples of `size`, in whole percent; each is shown plain and flipped and the probabilities are averaged.
    Empty: one scale, no flip."""
    crf: str = ""
    """Parameter set of the dense CRF, `own` for the run's; empty: none."""
    combine: str = "mean"
    """What is made of several scales: the `mean` of the probabilities, or `max`, of the decoder's logits: those of a
    scale's plain and flipped image summed (averaged for AFA), and the greatest over scales taken."""

    def __post_init__(self) -> None:
        percents = [round(100 * s) for s in self.scales]
        whole = all(abs(100 * s - n) < 1e-6 for s, n in zip(self.scales, percents, strict=True))
        if percents != sorted(set(percents)) or not whole:
            raise ValueError(f"multi_scale is {self.scales}; give rising scales in whole percent, such as 0.5 1 1.5")
        if any(not 10 <= percent <= 400 for percent in percents):
            raise ValueError(f"multi_scale is {self.scales}; scales lie between 0.1 and 4")
        if self.crf and self.crf != RUNS_OWN and self.crf not in CRFS:
            raise ValueError(f"crf is {self.crf!r}; choose from none, {', '.join(CRFS)}")
        if self.size < 0:
            raise ValueError(f"sizes has {self.size}; give sides in pixels, such as 640 960")
        assert (self.branch, self.image_labels) in _STEMS and self.combine in COMBINES
        assert self.combine == "mean" or (self.scales and self.branch == "decoder"), "only logits, only over scales"
        object.__setattr__(self, "scales", tuple(percent / 100 for percent in percents))

    @property
    def name(self) -> str:
        """The column a score stands in; `parse` reads it back."""
        parts = [_STEMS[self.branch, self.image_labels]]
        parts += [str(self.size)] if self.size else []
        parts += ["keep"] if self.keep_aspect else []
        if self.scales:
            parts += ["ms" if self.combine == "mean" else "max"]
            parts += [*([] if self.scales == DEFAULT_SCALES else [str(round(100 * s)) for s in self.scales])]
        if self.crf:
            parts += ["crf"] if self.crf == RUNS_OWN else ["crf", self.crf]
        return "_".join(parts)

    @property
    def meaning(self) -> str:
        """The protocol in words."""
        words = ["decoder" if self.branch == "decoder" else "patch branch"]
        words.append("image labels given" if self.image_labels else "no image labels")
        if self.size or self.keep_aspect:
            side = f"{self.size} pixels" if self.size else "the run's size"
            words.append(f"long side {side}, aspect kept" if self.keep_aspect else f"squashed to {side}")
        if self.scales:
            how = "mean over" if self.combine == "mean" else "greatest logits of"
            words.append(f"{how} the scales {' '.join(f'{s:g}' for s in self.scales)} and flips")
        if self.crf:
            words.append("dense CRF" if self.crf == RUNS_OWN else f"dense CRF ({self.crf})")
        return ", ".join(words)


def parse(name: str) -> Protocol:
    """The protocol that a score's name tells; ValueError where it tells none."""
    match = _NAME.fullmatch(name)
    if not match:
        raise ValueError(f"{name!r} names no protocol; names look like miou, patch_miou_crf or miou_960_keep_ms_crf")
    stem, size, keep, combine, scales, crf, crf_set = match.groups()
    branch, labelled = next(key for key, value in _STEMS.items() if value == stem)
    given = tuple(int(percent) / 100 for percent in scales.split("_")[1:]) if scales else ()
    if combine == "max" and branch != "decoder":
        raise ValueError(f"{name!r} names no protocol; the greatest logits are the decoder's")
    return Protocol(
        branch,
        labelled,
        int(size or 0),
        bool(keep),
        given or (DEFAULT_SCALES if combine else ()),
        crf_set or (RUNS_OWN if crf else ""),
        {None: "mean", "ms": "mean", "max": "max"}[combine],
    )


def is_protocol(name: str) -> bool:
    """Whether a score's name has the form of a protocol's."""
    return _NAME.fullmatch(name) is not None


def combinations(
    branches: Iterable[str] = BRANCHES,
    image_labels: Iterable[bool] = (False, True),
    sizes: Iterable[int] = (0,),
    keep_aspect: Iterable[bool] = (False,),
    scales: Iterable[Sequence[float]] = ((),),
    crf: Iterable[str] = ("", RUNS_OWN),
    combine: Iterable[str] = ("mean",),
) -> list[Protocol]:
    """Every combination as a protocol, without repeats: comparable ones side by side, the CRF's next to its own. A
    single scale is combined by nothing, and the patch branch, which has no logits, by the mean alone."""
    every = itertools.product(image_labels, branches, sizes, keep_aspect, scales, combine, crf)
    return list(
        dict.fromkeys(
            Protocol(b, labelled, size, keep, tuple(s), c, how if s else "mean")
            for labelled, b, size, keep, s, how, c in every
            if not (s and how == "max" and b != "decoder")
        )
    )


PROTOCOLS = combinations()
"""How every finished run is scored."""


HEADLINE = PROTOCOLS[:1]
"""`miou`: the decoder, no image labels, one scale, no CRF."""
