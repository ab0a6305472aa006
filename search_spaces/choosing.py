"""The joint space and both learning rates: settings good and bad, to judge what may be chosen by."""

from apc.config import Config
from apc.search.spaces import Real, Space
from search_spaces import joint


def SPACE(base: Config) -> Space:
    """Both rates over two decades about the base's own: from 1e-4 to 1e-2 and 2e-2 on the embedded data."""
    return {
        **joint.SPACE(base),
        "lr": Real(base.lr / 20, 5 * base.lr, log=True),
        "lr_frozen": Real(base.lr_frozen / 50, 4 * base.lr_frozen, log=True),
    }


KNOBS = tuple(SPACE(Config()))
