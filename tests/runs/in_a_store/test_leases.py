"""Which process holds a run of a store."""

import json
import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from stores import S3, URL, Unheard

from apc.runs import lease
from apc.runs.at_work import at_work
from apc.runs.copies import copied
from apc.runs.folder import RunFolder
from apc.runs.lease import Lease
from apc.runs.mirror import look
from apc.runs.store import Store


def never(lives: bool, machine: str) -> bool:
    return False


def test_a_lease_is_one_holders_until_it_is_given_back_or_its_process_is_dead(
    monkeypatch: pytest.MonkeyPatch, s3: S3
) -> None:
    first, second = Lease(Store(URL), "lease"), Lease(Store(URL), "lease")
    assert first.take(never) and not second.take(never)
    first.release()
    assert second.take(never)
    second.release()
    content = json.loads((Store(URL).read("lease") or [b""])[0])
    dead = content | {"free": False, "process": 2**22 + 1, "time": time.time()}
    Store(URL).write("lease", json.dumps(dead).encode())
    assert Lease(Store(URL), "lease").take(never)  # of a process of this machine, which is gone


def test_the_lease_of_another_machine_is_taken_over_once_it_shows_no_life(
    monkeypatch: pytest.MonkeyPatch, s3: S3
) -> None:
    monkeypatch.setattr(lease, "LOOK", 0.01)
    monkeypatch.setattr(lease, "RENEWAL", 0.05)
    monkeypatch.setattr(lease, "this_machine", lambda: "there")
    away = Lease(Store(URL), "lease")
    assert away.take(never)
    monkeypatch.setattr(lease, "this_machine", lambda: "here")
    signs: list[bool] = []
    assert not Lease(Store(URL), "lease").take(lambda lives, machine: bool(signs.append(lives) or not lives))
    assert signs[-1] and not signs[0]  # it lived
    monkeypatch.setattr(lease, "RENEWAL", 1.0)  # longer than it may take: nothing is heard of it
    monkeypatch.setattr(lease, "LEASE", 0.3)
    here = Lease(Store(URL), "lease")
    assert here.take(lambda lives, machine: True)
    deadline = time.monotonic() + 10
    while not away.lost and time.monotonic() < deadline:
        time.sleep(0.02)
    assert away.lost and not here.lost
    here.release()


def test_a_sign_of_life_whose_answer_was_lost_is_no_other_holders(monkeypatch: pytest.MonkeyPatch, s3: S3) -> None:
    monkeypatch.setattr(lease, "RENEWAL", 0.05)
    store = Unheard(URL)
    held = Lease(store, "lease")
    assert held.take(never)

    def beats() -> int:
        return int(json.loads((Store(URL).read("lease") or [b""])[0])["beat"])

    for away in (True, False, False):
        store.away, before = away, beats()
        deadline = time.monotonic() + 10
        while beats() == before and time.monotonic() < deadline:
            time.sleep(0.02)
        assert beats() > before and not held.lost
    held.release()
    assert Lease(Store(URL), "lease").take(never)


def test_a_machine_whose_clock_is_wrong_keeps_what_it_works_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, s3: S3
) -> None:
    run = RunFolder(copied(URL) / "abc")
    for name, value in {"LOOK": 0.01, "RENEWAL": 0.5, "LEASE": 10.0}.items():
        monkeypatch.setattr(lease, name, value)
    monkeypatch.setattr(lease, "this_machine", lambda: "there")
    monkeypatch.setattr(lease, "time", SimpleNamespace(**vars(time) | {"time": lambda: time.time() - 3600}))
    away = Lease(Store(URL), "abc/lease.json")
    assert away.take(never)
    monkeypatch.setattr(lease, "this_machine", lambda: "here")
    monkeypatch.setattr(lease, "time", time)
    assert not Lease(Store(URL), "abc/lease.json").take(lambda lives, machine: not lives) and not away.lost
    look(run.path.parent)
    assert at_work(run) is True
    os.utime(run.lease, (1e9, 1e9))
    assert at_work(run) is False
    monkeypatch.setattr(Store, "replace", lambda *words: None)
    away.release()
