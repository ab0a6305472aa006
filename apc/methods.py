"""The methods there are, by the name a config gives them.

`compat="official"` makes those slips of AFA's and ToCo's official code again that change training and can occur here
(method-spec, section 3). Of ToCo's four, the local crops are cut from an image that is mirrored by chance while their
places are drawn, and their positives told, on the image as it is (b); and the balanced segmentation loss divides by
zero where a batch has no background or no object pixel, even before the decoder learns, when it counts 0 times (c, in
AFA too), so that training stops with a loss that is not finite. The other two have nothing to act on: no image is
padded, so there is no box to forget to scale (a), and no score is taken of the first sample alone (d).
"""

from apc.baselines.afa import AFA
from apc.baselines.toco import ToCo
from apc.baselines.vit_pcm import ViTPCM
from apc.config import Config
from apc.model.apc import APC
from apc.model.method import Method

METHODS: dict[str, type[Method]] = {"apc": APC, "vit_pcm": ViTPCM, "afa": AFA, "toco": ToCo}


def build(cfg: Config, num_classes: int) -> Method:
    """The method a config names, untrained but for its encoder's weights."""
    if cfg.method not in ("afa", "toco"):
        for name, off in (("compat", "fixed"), ("energy_weight", 0)):
            if (value := getattr(cfg, name)) != off:
                raise ValueError(f"{name} is {value}; it is of afa and toco, and for method {cfg.method} must be {off}")
    return METHODS[cfg.method](cfg, num_classes)
