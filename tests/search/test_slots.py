"""How many trials run at once, on clusters whose nodes come and go: made up here, and a real one of fake nodes."""

import pytest

from apc.search import ray_session, slots
from apc.search.ray_session import Resources
from apc.search.slots import ASKED, COMING, Slots


class Nodes:
    """What Ray says of a cluster of nodes with two CPUs each."""

    def __init__(self, count: int) -> None:
        self.count, self.asked = count, 0

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 2.0 * self.count}

    def nodes(self) -> list[dict[str, object]]:
        self.asked += 1
        return [{"Alive": True, "Resources": {"CPU": 2.0}}] * self.count


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which stands still until a test moves it on; no autoscaler is at work."""
    time = [0.0]
    monkeypatch.setattr(slots.time, "monotonic", lambda: time[0])
    monkeypatch.setattr(slots, "nodes_are_coming", lambda: False)
    return time


def of(nodes: Nodes, monkeypatch: pytest.MonkeyPatch, told: list[int], **asked: int) -> Slots:
    monkeypatch.setattr(ray_session, "ray", nodes)
    return Slots(Resources(gpus_per_trial=0.0, **asked), lambda: None, told.append)


def test_slots_follow_the_nodes_and_one_trial_more_waits(now: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    nodes, told = Nodes(2), list[int]()
    counted = of(nodes, monkeypatch, told)
    assert (counted.count, counted.limit(0)) == (4, 5)
    nodes.count, asked = 3, nodes.asked
    assert [counted.limit(n) for n in range(100)] == [5] * 100 and nodes.asked == asked  # no call a proposal
    now[0] += ASKED
    assert counted.limit(5) == 7
    nodes.count = 0
    now[0] += ASKED
    assert counted.limit(7) == 1  # that one waits for a node
    assert told == [6, 0]
    with pytest.raises(ValueError, match="it could never start"):
        counted.look()


def test_the_most_at_once_are_not_exceeded_and_several_processes_never_wait(
    now: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = Nodes(2)
    assert of(nodes, monkeypatch, [], max_concurrent=1).limit(0) == 1
    assert of(nodes, monkeypatch, [], max_concurrent=9).limit(0) == 5
    assert of(nodes, monkeypatch, [], num_workers=2).limit(0) == 2


def test_an_autoscaler_that_answers_is_shown_all_that_is_wanted(
    now: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = Nodes(2)
    counted, most = of(nodes, monkeypatch, []), of(nodes, monkeypatch, [], max_concurrent=40)
    wide = of(nodes, monkeypatch, [], max_concurrent=40, num_workers=2)
    monkeypatch.setattr(slots, "nodes_are_coming", lambda: True)
    assert [each.limit(5) for each in (counted, most, wide)] == [5, 5, 2]  # it is not asked at every proposal
    now[0] += COMING
    assert [each.limit(1) for each in (counted, most, wide)] == [5, 5, 2]  # nor where nothing waits
    assert [each.limit(5) for each in (counted, most, wide)] == [8, 40, 40]
    monkeypatch.setattr(slots, "nodes_are_coming", lambda: False)
    nodes.count = 10
    now[0] += COMING
    assert [each.limit(9) for each in (counted, most, wide)] == [40, 40, 40]
