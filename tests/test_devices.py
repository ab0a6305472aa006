"""Devices: the peak of memory."""

from pathlib import Path

import numpy as np
import pytest

from apc import devices
from apc.devices import peak_gib, restart, set_threads
from apc.parallel import cores


def test_a_peak_is_that_since_the_restart() -> None:
    restart("cpu")
    before = peak_gib("cpu")
    block = np.ones(2**28, np.uint8)
    held = peak_gib("cpu")
    assert held >= before + 0.2 and block[-1] == 1
    del block
    restart("cpu")
    assert peak_gib("cpu") < held - 0.2


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


def test_no_number_of_threads_is_one_a_core_whatever_was_set_before(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []
    monkeypatch.setattr("torch.set_num_threads", given.append)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    set_threads(1)
    set_threads(0)
    monkeypatch.setenv("OMP_NUM_THREADS", "3,2")
    set_threads(0)
    assert given == [1, cores(), 3]
