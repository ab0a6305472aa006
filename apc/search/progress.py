"""What a person sees of a search: one quiet live view in a terminal, plain lines elsewhere."""

import math
import statistics
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TextIO

from apc.escaping import in_a_line, printable, say
from apc.runs.rows import Row
from apc.runs.scores import LOWER_IS_BETTER
from apc.runs.status import duration
from apc.search.run_queue import Counts

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

BEAT = 30.0  # seconds between lines that only say that it goes on, where there is no terminal


class View(Protocol):
    """What a search tells while it runs; `run` is a run's id or a trial's."""

    def begin(self, slots: int, gpus: float) -> None:
        """The search starts, or starts again after a crash of Ray's; `slots` trials at once, each on `gpus`."""

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


@dataclass
class _Running:
    """A trial in progress."""

    name: str
    since: float
    """Seconds on time.monotonic() when it started."""
    metrics: dict[str, float] = field(default_factory=dict)

    @property
    def share(self) -> float:
        return self.metrics.get("epoch", 0.0) / max(self.metrics.get("epochs", 1.0), 1.0)


class Progress:
    """The view of a terminal or of a log file."""

    def __init__(self, title: str, metric: str = "miou", file: TextIO | None = None) -> None:
        from rich.console import Console

        self.title, self.metric = title, metric
        # A log has no width; a line is never broken there.
        self.console = Console(file=file or sys.stdout, highlight=False, soft_wrap=True)
        self.began = self.beat = time.monotonic()
        self.slots, self.gpus, self.gpu_seconds = 1, 0.0, 0.0
        self.running: dict[str, _Running] = {}
        self.seconds: list[float] = []
        self.scores: dict[str, list[float]] = {}
        self.counts = Counts()
        self.live: Live | None = None

    def begin(self, slots: int, gpus: float) -> None:
        self.slots, self.gpus = slots, gpus
        self.running.clear()  # of an attempt that crashed
        if self.console.is_terminal and self.live is None:
            from rich.live import Live

            self.live = Live(
                console=self.console,
                get_renderable=self.render,
                refresh_per_second=2,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self.live.start()

    def started(self, run: str, name: str) -> None:
        left_queue = int(run not in self.running and self.counts.waiting > 0)
        self.running[run] = _Running(name, time.monotonic())
        self.counts = self.counts._replace(running=len(self.running), waiting=self.counts.waiting - left_queue)

    def reported(self, run: str, metrics: Mapping[str, float]) -> None:
        if run in self.running:
            self.running[run].metrics.update({k: v for k, v in metrics.items() if isinstance(v, (int, float))})

    def ended(self, run: str, label: str, rows: list[Row]) -> None:
        task = self.running.pop(run, None)
        elapsed = time.monotonic() - task.since if task else 0.0
        self.gpu_seconds += self.gpus * elapsed
        for row in rows:
            name = f"{label} seed {row.config['seed']}"
            if row.error or row.stopped:
                outcome = f"failed  {name}: {row.error}" if row.error else f"stopped {name}: {row.stopped}"
                self._say(outcome)
                continue
            self.scores.setdefault(label, []).append(row.value(self.metric))
            self._say(f"done    {name}: {self._score(row)}, {duration(elapsed / len(rows))}")
            if task:
                self.seconds.append(elapsed / len(rows))

    def counted(self, counts: Counts) -> None:
        # A run handed to Ray may still wait in its queue: those that really run are the ones that said so.
        queued = counts.running - len(self.running)
        self.counts = counts._replace(running=len(self.running), waiting=counts.waiting + queued)

    def end(self) -> None:
        if self.live:
            self.live.stop()
            self.live = None

    def told(self, sentence: str) -> None:
        if self.console.is_terminal:
            self._say(sentence)
        else:
            say(sentence, error=True)

    def _say(self, line: str) -> None:
        """A line that stays; names in it stay names."""
        self.console.print(printable(line), markup=False)

    def _score(self, row: Row) -> str:
        value = row.value(self.metric)
        return f"{self.metric} {value:.2f}" if math.isfinite(value) else f"no {self.metric}"

    def tick(self) -> None:
        """Without a terminal: one line now and then that says how far it is."""
        if not self.console.is_terminal and time.monotonic() - self.beat >= BEAT:
            self.beat = time.monotonic()
            epochs = ", ".join(f"{t.name} at epoch {t.metrics.get('epoch', 0):.0f}" for t in self.running.values())
            self._say(f"{self.summary()}{'; ' + epochs if epochs else ''}")

    def summary(self) -> str:
        """How far the search is, in one line."""
        counts, total = self.counts, sum(self.counts)
        parts = [f"{counts.done} of {'at most ' if counts.later else ''}{total} runs done"]
        states = {"running": counts.running, "failed": counts.failed, "stopped": counts.stopped}
        parts += [f"{number} {state}" for state, number in states.items() if number]
        if counts.waiting and not counts.running:
            parts.append("none running yet")
        parts += [f"{duration(time.monotonic() - self.began)} so far"]
        if left := self.left():
            low, high = left
            span = f"{duration(low)} to {duration(high)}" if high - low > 1 else f"about {duration(high)}"
            parts.append(f"{span} left")
        if self.gpus:
            use = self.gpus * self.slots / 3600
            hours = f"{self.gpu_seconds / 3600:.2f} GPU-hours spent"
            parts.append(f"{hours}, {use * left[0]:.2f} to {use * left[1]:.2f} left" if left else hours)
        return ", ".join(parts)

    def left(self) -> tuple[float, float] | None:
        """Seconds to go, an interval of 95 % once two runs have ended; None while nothing is known."""
        now, count = time.monotonic(), len(self.seconds)
        shares = [(now - task.since) / task.share for task in self.running.values() if task.share > 0]
        if not (self.seconds or shares):
            return None
        mean = statistics.fmean(self.seconds or shares)
        deviation = statistics.stdev(self.seconds) if count > 1 else 0.0
        known = self.counts.waiting + sum(
            max(1 - max(task.share, (now - task.since) / mean), 0.02) for task in self.running.values()
        )
        most = known + self.counts.later
        # A sum of n further durations varies by their own spread and by how well `count` of them show the mean.
        width = [1.96 * deviation * (n + n**2 / max(count, 1)) ** 0.5 for n in (known, most)]
        return max(known * mean - width[0], 0) / self.slots, (most * mean + width[1]) / self.slots

    def best(self) -> str:
        """Best setting so far by the mean over the seeds it has."""
        means = {label: mean for label, v in self.scores.items() if math.isfinite(mean := statistics.fmean(v))}
        if not means:
            return ""
        label = (min if self.metric in LOWER_IS_BETTER else max)(means, key=lambda name: means[name])
        seeds = len(self.scores[label])
        return f"best so far {label}: {self.metric} {means[label]:.2f} ({seeds} seed{'s' if seeds > 1 else ''})"

    def render(self) -> "RenderableType":
        """The live part of the terminal."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        for task in self.running.values():
            epoch, epochs = (task.metrics.get(name, 0) for name in ("epoch", "epochs"))
            at = f"epoch {epoch:.0f} of {epochs:.0f}" if epochs else "starting"
            loss = f"loss {task.metrics['loss']:.3f}" if "loss" in task.metrics else ""
            table.add_row(Text(f"  {in_a_line(task.name)}"), ProgressBar(1.0, task.share, width=20), at, loss)
        head = Text(in_a_line(f"{self.title}: {self.summary()}"), style="bold")
        best = Text(in_a_line(self.best()), style="green")
        return Group(head, table, best) if self.best() else Group(head, table)


class NoView:
    """A view for tests and notebooks: nothing is printed."""

    def begin(self, slots: int, gpus: float) -> None: ...
    def started(self, run: str, name: str) -> None: ...
    def reported(self, run: str, metrics: Mapping[str, float]) -> None: ...
    def ended(self, run: str, label: str, rows: list[Row]) -> None: ...
    def counted(self, counts: Counts) -> None: ...
    def tick(self) -> None: ...
    def told(self, sentence: str) -> None: ...
    def end(self) -> None: ...
