"""What becomes of a trial whose process Ray ended for want of memory, as Ray starts it by itself on a cluster, and of
one that Tune gives a process which has died since its last trial."""

import os
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest


class Method:
    """A method of an actor: a call is a future."""

    def remote(self, *words: Any) -> object:
        return object()


class Actor:
    __ray_ready__ = Method()
    train = Method()


def test_a_process_that_rays_memory_monitor_ended_costs_its_trial_a_try_and_no_other_trial(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from apc.search import warm_actors
    from apc.search.ray_session import ray

    def get(future: object) -> None:
        raise ray.exceptions.OutOfMemoryError("Task was killed due to the node running low on memory.")

    monkeypatch.setattr(ray, "get", get)
    monkeypatch.setattr(ray, "wait", lambda futures, **how: ([futures[-1]], []))  # the task, which comes last
    room = MagicMock()  # for any number of actors
    room.get_resource_futures.return_value = []
    room.acquire_resources().annotate_remote_entities.return_value = [MagicMock(remote=Actor)]
    manager, told = warm_actors.RayActorManager(room), list[Exception]()
    actor = manager.add_actor(Actor, {}, MagicMock(), on_error=lambda actor, error: told.append(error))
    manager.schedule_actor_task(actor, "train", on_error=lambda actor, error: told.append(error))
    with warm_actors.kept():
        manager.next()
    assert [type(error) for error in told] == [ray.exceptions.ActorDiedError] * 2  # which counts as one of --retries
    assert str(told[0]) == "Task was killed due to the node running low on memory."


@pytest.mark.parametrize("retries", [0, 1])
def test_a_process_that_died_between_two_trials_costs_the_next_one_a_try(
    warm_ray: None, tmp_path: Path, retries: int
) -> None:
    from apc.search import warm_actors
    from apc.search.ray_session import ray

    class Mortal(ray.tune.Trainable):
        """Dies when it is readied for a second trial."""

        def step(self) -> dict[str, Any]:
            return {"done": True}

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            os._exit(1)

        def save_checkpoint(self, checkpoint_dir: str) -> None: ...

        def load_checkpoint(self, checkpoint: Any) -> None: ...

    tuner = ray.tune.Tuner(
        Mortal,
        param_space={"trial": ray.tune.grid_search([1, 2, 3])},
        tune_config=ray.tune.TuneConfig(reuse_actors=True, max_concurrent_trials=1),
        run_config=ray.tune.RunConfig(
            storage_path=str(tmp_path), failure_config=ray.tune.FailureConfig(max_failures=retries), verbose=0
        ),
    )
    with warm_actors.kept():
        ended = tuner.fit()
    assert [result.error is None for result in ended] == [True, retries > 0, True]
