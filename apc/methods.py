"""The methods there are, by the name a config gives them."""

from apc.config import Config
from apc.model.apc import APC
from apc.model.method import Method

METHODS = {"apc": APC}


def build(cfg: Config, num_classes: int) -> Method:
    """The method a config names, untrained but for its encoder's weights."""
    return METHODS[cfg.method](cfg, num_classes)
