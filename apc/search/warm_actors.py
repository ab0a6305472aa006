"""Processes that Tune starts for trials are let start: it would end them for one that has just become free."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from apc.search import worker

worker.pin_environment()  # before ray is imported

from ray.tune.execution.tune_controller import TuneController  # noqa: E402


@contextmanager
def kept() -> Iterator[None]:
    """Within it, no process that is starting is ended.

    A process of Tune's takes seconds to start. Where another becomes free meanwhile Tune gives that one to the trial
    which has waited longest, and ends the one that was about to be ready: where trials end more often than a process
    starts, most slots only ever start. Here the free one takes the next trial instead.
    """
    before = getattr(TuneController, "_maybe_reuse_cached_actor", None)
    if before is None:  # a Tune that does it in another way: slower at most
        yield
        return

    def reuse(self: Any, trial: Any) -> bool:
        own = self._trial_to_actor.get(trial)
        starting = own is not None and self._actor_manager.is_actor_started(own)
        return False if starting and trial not in self._resetting_trials else bool(before(self, trial))

    TuneController._maybe_reuse_cached_actor = reuse  # type: ignore[method-assign]
    try:
        yield
    finally:
        TuneController._maybe_reuse_cached_actor = before  # type: ignore[method-assign]
