"""Devices: the peak of memory."""

from pathlib import Path

import numpy as np
import pytest

from apc import devices
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


@pytest.mark.parametrize(
    ("processor", "amp", "device", "slow"),
    [
        ("flags\t\t: fpu avx avx2", "bf16", "cpu", True),
        ("flags\t\t: fpu avx avx2 avx512_bf16", "bf16", "cpu", False),
        ("Features\t: fp asimd bf16", "bf16", "cpu", False),
        ("flags\t\t: fpu avx avx2", "none", "cpu", False),
        ("flags\t\t: fpu avx avx2", "bf16", "cuda", False),
        ("", "bf16", "cpu", False),
    ],
)
def test_bf16_without_its_instructions_is_told(
    processor: str, amp: str, device: str, slow: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text(processor)
    monkeypatch.setattr(devices, "PROCESSOR", tmp_path / "cpuinfo")
    assert bool(devices.told(amp, device)) == slow
