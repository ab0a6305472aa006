"""The methods there are, by the name a config gives them."""

from apc.baselines.afa import AFA
from apc.baselines.toco import ToCo
from apc.baselines.vit_pcm import ViTPCM
from apc.config import Config
from apc.model.apc import APC
from apc.model.method import Method

METHODS: dict[str, type[Method]] = {"apc": APC, "vit_pcm": ViTPCM, "afa": AFA, "toco": ToCo}


def build(cfg: Config, num_classes: int) -> Method:
    """The method a config names, untrained but for its encoder's weights."""
    return METHODS[cfg.method](cfg, num_classes)
