"""Processes that Tune has for trials, where it would do wrong by them: one that starts is let start, one that Ray ended
for want of memory costs a try of its trial and not the search, and so does one that dies between two trials."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from apc.search import worker

worker.pin_environment()  # before ray is imported

from ray.air.execution._internal import RayActorManager  # noqa: E402
from ray.exceptions import ActorDiedError, OutOfMemoryError, RayActorError  # noqa: E402
from ray.tune.execution.tune_controller import TuneController  # noqa: E402


@contextmanager
def kept() -> Iterator[None]:
    """Within it, no process that is starting is ended, one that Ray's memory monitor ended is a process that died, and
    one that died between two trials costs the next of them a single try.

    A process of Tune's takes seconds to start. Where another becomes free meanwhile Tune gives that one to the trial
    which has waited longest, and ends the one that was about to be ready: where trials end more often than a process
    starts, most slots only ever start. Here the free one takes the next trial instead.

    The monitor works on every node that `ray start` made, whatever the driver's environment says. Tune does not expect
    its error and would end all trials for it.

    Of a process that is dead when Tune readies it for its next trial, Tune hears twice: of its end, for which it lets
    the trial wait for another, and of the call that failed, for which it fails the trial, whatever tries are left.
    """
    with (
        _instead(TuneController, "_maybe_reuse_cached_actor", _reusing),
        _instead(TuneController, "_trial_task_failure", _failing),
        _instead(RayActorManager, "_actor_task_failed", _telling),
    ):
        yield


@contextmanager
def _instead(owner: Any, name: str, around: Callable[[Any], Any]) -> Iterator[None]:
    """With what `around` makes of a method in its place; a Ray that has none of the name does it in another way."""
    if (before := getattr(owner, name, None)) is None:
        yield
        return
    setattr(owner, name, around(before))
    try:
        yield
    finally:
        setattr(owner, name, before)


def _reusing(before: Any) -> Any:
    def reuse(self: Any, trial: Any) -> bool:
        own = self._trial_to_actor.get(trial)
        starting = own is not None and self._actor_manager.is_actor_started(own)
        return False if starting and trial not in self._resetting_trials else bool(before(self, trial))

    return reuse


def _failing(before: Any) -> Any:
    def fail(self: Any, trial: Any, exception: Exception) -> None:
        dead = trial in self._resetting_trials and isinstance(exception, RayActorError)
        if dead and trial.status == "PENDING":  # waits for another process already
            self._resetting_trials.discard(trial)
        else:
            before(self, trial, exception)

    return fail


def _telling(before: Any) -> Any:
    def tell(self: Any, tracked_actor_task: Any, exception: Exception) -> None:
        if type(exception) is OutOfMemoryError:
            died = ActorDiedError()
            died.error_msg = str(exception)
            exception = died
        before(self, tracked_actor_task, exception)

    return tell
