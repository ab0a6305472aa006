"""A cluster that loses nodes while a search goes on, faked."""

import pytest

from apc.search import callbacks, ray_session
from apc.search.callbacks import LOOK, PATIENCE, Watch
from apc.search.ray_session import Resources, fit
from apc.search.view import NoView


class Nodes:
    """What Ray says of a cluster of one GPU node, which comes and goes, and a node without."""

    def __init__(self) -> None:
        self.gpu = True

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 4.0} | ({"GPU": 1.0} if self.gpu else {})

    def nodes(self) -> list[dict[str, object]]:
        with_gpu = {"Alive": self.gpu, "Resources": {"CPU": 2.0, "GPU": 1.0}}
        return [{"Alive": True, "Resources": {"CPU": 2.0}}, with_gpu]


class Nobody:
    """No trial is looked at here."""

    def give_up(self, trial_id: str) -> bool:
        raise AssertionError

    def attempt_failed(self, trial_id: str) -> None:
        raise AssertionError


def test_a_search_whose_last_fitting_node_stays_away_ends_and_one_whose_node_comes_back_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster, now = Nodes(), [0.0]
    monkeypatch.setattr(ray_session, "ray", cluster)
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: now[0])
    resources, slots = fit(Resources())  # what is left open is settled at the start: one GPU
    assert (resources.gpus_per_trial, slots) == (1.0, 1)
    watch = Watch(NoView(), Nobody(), lambda: fit(resources), lambda: None)

    def go(seconds: float) -> None:
        for _ in range(int(seconds / LOOK)):
            now[0] += LOOK
            watch.on_step_end(0, [])

    go(2 * PATIENCE)
    cluster.gpu = False
    go(PATIENCE)
    cluster.gpu = True
    go(LOOK)
    cluster.gpu = False
    go(PATIENCE)
    with pytest.raises(ValueError, match=r"a trial asks for 1 GPUs .* and there are 0: it could never start"):
        go(LOOK)
