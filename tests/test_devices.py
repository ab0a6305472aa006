"""Devices: the peak of memory."""

import numpy as np

from apc.devices import peak_gib, restart


def test_a_peak_is_that_since_the_restart() -> None:
    restart("cpu")
    before = peak_gib("cpu")
    block = np.ones(2**28, np.uint8)
    held = peak_gib("cpu")
    assert held >= before + 0.2 and block[-1] == 1
    del block
    restart("cpu")
    assert peak_gib("cpu") <= held
