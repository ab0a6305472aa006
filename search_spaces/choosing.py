"""The joint space and both learning rates: settings good and bad, to judge what may be chosen by."""

from apc.config import Config
from apc.search.spaces import Real, Space
from search_spaces import joint


def SPACE(base: Config) -> Space:
    """Both rates over two decades."""
    return {**joint.SPACE(base), "lr": Real(1e-4, 1e-2, log=True), "lr_frozen": Real(1e-4, 2e-2, log=True)}


KNOBS = tuple(SPACE(Config()))
