"""What a search tells while it runs, to whoever shows it: a terminal, a test, nobody."""

from collections.abc import Mapping
from typing import Protocol

from apc.runs.rows import Row
from apc.search.run_queue import Counts


class View(Protocol):
    """What a search tells while it runs; `run` is a run's id or a trial's."""

    def begin(self, slots: int, gpus: float) -> None:
        """The search starts, or starts again after a crash of Ray's; `slots` trials at once, each on `gpus`."""

    def resized(self, slots: int) -> None:
        """Nodes came or went: so many trials fit now, perhaps none."""

    def started(self, run: str, name: str) -> None:
        """A run, or a further attempt of it, starts."""

    def reported(self, run: str, metrics: Mapping[str, float]) -> None:
        """A run finished an epoch."""

    def ended(self, run: str, label: str, rows: list[Row]) -> None:
        """A run ended, or all seeds of a trial did."""

    def counted(self, counts: Counts) -> None:
        """Runs by state, now."""

    def tick(self) -> None:
        """Time has passed."""

    def told(self, sentence: str) -> None:
        """Something happened that a person should know: what is waited for, that Ray has died."""

    def end(self) -> None:
        """The search is over or was interrupted."""


class NoView:
    """A view for tests and notebooks: nothing is printed."""

    def begin(self, slots: int, gpus: float) -> None: ...
    def resized(self, slots: int) -> None: ...
    def started(self, run: str, name: str) -> None: ...
    def reported(self, run: str, metrics: Mapping[str, float]) -> None: ...
    def ended(self, run: str, label: str, rows: list[Row]) -> None: ...
    def counted(self, counts: Counts) -> None: ...
    def tick(self) -> None: ...
    def told(self, sentence: str) -> None: ...
    def end(self) -> None: ...
