"""What a person sees of a search: one quiet live view in a terminal, plain lines elsewhere."""

import math
import statistics
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

from apc.escaping import in_a_line, printable, say
from apc.runs.compared import RULE, VOTERS
from apc.runs.rows import Row
from apc.runs.scores import LOWER_IS_BETTER
from apc.runs.status import between, duration
from apc.search.costs import costs
from apc.search.run_queue import Counts
from apc.search.time_left import LEAST, TRAINING, Runs, first_pace, interval, pace_of, still_to_do

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

BEAT = 30.0  # seconds between lines that only say that it goes on, where there is no terminal
SHOWN = 24  # trials in progress that are shown one by one, for a screen has no more lines
LATEST = 200  # runs that a time left is reckoned from: those before them weigh nothing
SILENCE = 120.0  # seconds without news, at least, after which a time left would be made up


@dataclass
class _Running:
    """A trial in progress; times are seconds on time.monotonic()."""

    name: str
    began: float
    heard: float
    """When it told of an epoch last, or began."""
    since: float
    """When the run of it began that it is at."""
    finished: int = 0
    """How many of its runs are finished."""
    came: float = 0.0
    """Share of its epochs that it had when it began."""
    metrics: dict[str, float] = field(default_factory=dict)
    """Of the last epoch."""

    @property
    def share(self) -> float:
        return self.metrics.get("epoch", 0.0) / max(self.metrics.get("epochs", 1.0), 1.0)


class Progress:
    """The view of a terminal or of a log file."""

    def __init__(
        self,
        title: str,
        metric: str = "miou",
        file: TextIO | None = None,
        runs_a_trial: int = 1,
        cores: int = 1,
        price: float | None = None,
    ) -> None:
        """`runs_a_trial` is how many runs a trial of the search trains, one after another, on so many `cores` where it
        has no GPU; `price` is what an hour of one core, or GPU, costs."""
        from rich.console import Console

        self.title, self.metric, self.runs_a_trial = title, metric, runs_a_trial
        # A log has no width; a line is never broken there.
        self.console = Console(file=file or sys.stdout, highlight=False, soft_wrap=True)
        self.began = self.beat = time.monotonic()
        self.slots, self.cores, self.costs = 1, cores, costs(cores, 0.0, price)
        self.spent = 0.0
        """Seconds of the trials that ended."""
        self.epochs, self.epochs_a_run = 0, 0
        """Epochs trained, and those of one run; 0 while nothing tells."""
        self.running: dict[str, _Running] = {}
        self.seconds: list[float] = []
        """What each run took that ended, in this order."""
        self.gap = 0.0
        """The longest that a run was silent and then told of an epoch."""
        self.scores: dict[str, list[float]] = {}
        self.counts = Counts()
        self.live: Live | None = None

    def begin(self, slots: int, gpus: float) -> None:
        self.slots, self.costs = slots, costs(self.cores, gpus, self.costs.price)
        self.spent += sum(time.monotonic() - task.began for task in self.running.values())
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

    def resized(self, slots: int) -> None:
        before, self.slots = self.slots, max(slots, 1)  # the time left is that with one, where none is there now
        self._say(f"slots   {slots} trials at a time from now on, {before} before: nodes came or went")

    def started(self, run: str, name: str) -> None:
        left_queue = int(run not in self.running and self.counts.waiting > 0)
        now = time.monotonic()
        if earlier := self.running.get(run):  # an attempt that was lost
            self.spent += now - earlier.began
        self.running[run] = _Running(name, now, now, now)
        self.counts = self.counts._replace(running=len(self.running), waiting=self.counts.waiting - left_queue)

    def reported(self, run: str, metrics: Mapping[str, float]) -> None:
        task, now = self.running.get(run), time.monotonic()
        if task is None:
            return
        self.gap, task.heard = max(self.gap, now - task.heard), now
        self.epochs += int("epoch" in metrics and "final" not in metrics)
        self.epochs_a_run = max(self.epochs_a_run, int(metrics.get("epochs", 0)))
        if "final" in metrics:  # of one that went on where it was killed, what it had taken before counts too
            self.seconds.append(max(now - task.since, task.metrics.get("seconds", 0.0)))
            task.since, task.finished, task.metrics = now, task.finished + 1, {}
        else:
            if not task.metrics and not task.finished and metrics.get("epochs"):
                task.came = (metrics["epoch"] - 1) / metrics["epochs"]
            task.metrics.update({k: v for k, v in metrics.items() if isinstance(v, (int, float))})

    def ended(self, run: str, label: str, rows: list[Row]) -> None:
        task = self.running.pop(run, None)
        elapsed = time.monotonic() - task.began if task else 0.0
        self.spent += elapsed
        if task and not rows and task.share > task.came:  # it waits at a rung; a whole run takes as much more
            self.seconds.append(elapsed / (TRAINING * (task.share - task.came)))
        done = [row for row in rows if not (row.error or row.stopped)]
        if task and done and not task.finished:  # it did not tell of the end of any
            self.seconds.append(max(elapsed / len(done), task.metrics.get("seconds", 0.0)))
        for row in rows:
            name = f"{label} seed {row.config['seed']}"
            if row.error or row.stopped:
                outcome = f"failed  {name}: {row.error}" if row.error else f"stopped {name}: {row.stopped}"
                self._say(outcome)
                if task and row.stopped:  # all its runs are done with what this one took
                    self.seconds.append(elapsed / self.runs_a_trial)
                continue
            self.scores.setdefault(label, []).append(row.value(self.metric))
            self._say(f"done    {name}: {self._score(row)}, {duration(elapsed / len(rows))}")

    def counted(self, counts: Counts) -> None:
        # A run handed to Ray may still wait in its queue: those that really run are the ones that said so.
        queued, before = counts.running - len(self.running), self.counts.rung
        self.counts = counts._replace(running=len(self.running), waiting=counts.waiting + queued)

        if before and counts.rung and before.told.partition(":")[0] != counts.rung.told.partition(":")[0]:
            self._say(self._at_rung())  # a barrier is behind them

    def _at_rung(self) -> str:
        """Where a search that halves is, and what that saved."""
        at = self.counts.rung
        assert at
        return f"{at.told}, {at.spared} epochs saved" if at.spared else at.told

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
            shown, more = self._shown()
            told = [f"{task.name} at epoch {task.metrics.get('epoch', 0):.0f}, {self._heard(task)}" for task in shown]
            self._say("; ".join([self.summary(), *told, *more]))

    def _shown(self) -> tuple[list[_Running], list[str]]:
        """The trials in progress that are shown, and how many there are beside them."""
        left = len(self.running) - SHOWN
        return list(self.running.values())[:SHOWN], [f"and {left} more"] if left > 0 else []

    def _heard(self, task: _Running) -> str:
        """When a trial was last heard of."""
        silent = time.monotonic() - task.heard
        return f"no news for {duration(silent)}" if silent > self.patience else f"{duration(silent)} ago"

    @property
    def patience(self) -> float:
        """Seconds of silence that say nothing yet: an epoch takes as long as it takes."""
        return max(SILENCE, 3 * self.gap)

    @property
    def silence(self) -> float:
        """Seconds since any trial was heard of."""
        return min((time.monotonic() - task.heard for task in self.running.values()), default=0.0)

    def summary(self) -> str:
        """How far the search is, in one line."""
        counts, total = self.counts, self.counts.total
        parts = [f"{counts.done} of {'at most ' if counts.perhaps else ''}{total} runs done"]
        states = {"running": counts.running, "failed": counts.failed, "stopped": counts.stopped}
        parts += [f"{number} {state}" for state, number in states.items() if number]
        if counts.waiting and not counts.running:
            parts.append("none running yet")
        parts += [self._at_rung()] if counts.rung else []
        parts += [f"{duration(time.monotonic() - self.began)} so far"]
        left = self.left()
        if self.silence > self.patience:
            parts.append(f"no news for {duration(self.silence)}")
        elif left:
            parts.append(f"{between(*left)} left")
        parts.append(self._cost(left))
        return ", ".join(parts)

    def _cost(self, left: tuple[float, float] | None) -> str:
        """Epochs, hours of cores or GPUs, and money, spent and left."""
        spent = self.spent + sum(time.monotonic() - task.began for task in self.running.values())
        text = f"{_epochs(self.epochs)} and {self.costs.told(spent)} spent"
        if not left:
            return text
        low, high = (self.slots * seconds for seconds in left)
        epochs = f"at most {_epochs(self._epochs_left())} and " if self.epochs_a_run else ""
        money = f" ({self.costs.money(low, high)})" if self.costs.price is not None else ""
        return f"{text}, {epochs}{self.costs.hours(low, high)}{money} left"

    def _epochs_left(self) -> int:
        """At most, for trials may be given up."""
        counts, each = self.counts, self.epochs_a_run
        runs = float(counts.running + counts.waiting + counts.later + counts.perhaps)
        begun = sum(task.finished + task.share for task in self.running.values())
        if counts.rung:  # without what the rungs spare, and with what those in progress have trained since they began
            runs, begun = counts.rung.left, begun - sum(task.came for task in self.running.values())
        return max(round((runs - begun) * each), 0)

    def left(self) -> tuple[float, float] | None:
        """Seconds to go, an interval of 80 %; None while nothing is known, or no trial was heard of for long."""
        if self.silence > self.patience:
            return None
        paces = (task.metrics["seconds"] / task.share for task in self.running.values() if "seconds" in task.metrics)
        pace = pace_of(self.seconds[-LATEST:]) if self.seconds else first_pace(paces)
        if pace is None:
            return None
        now, counts = time.monotonic(), self.counts
        if counts.rung:
            begun = sum(TRAINING * (task.share - task.came) for task in self.running.values())
            each = max(counts.rung.left - begun, LEAST) / self.slots
            return interval(pace, Runs([each] * self.slots, 0, 0), self.slots)
        running = [still_to_do(task.share, now - task.heard, pace) for task in self.running.values()]
        # Of a trial of several runs, those behind the one it is at wait; the counts hold them as waiting already.
        known = counts.waiting - sum(task.finished for task in self.running.values())
        return interval(pace, Runs(running, max(known, 0) + counts.later, counts.perhaps), self.slots)

    def best(self) -> str:
        """Best setting so far by the mean over the seeds it has."""
        means = {label: mean for label, v in self.scores.items() if math.isfinite(mean := statistics.fmean(v))}
        if not means:
            return ""
        label = (min if self.metric in LOWER_IS_BETTER else max)(means, key=lambda name: means[name])
        seeds = len(self.scores[label])
        told = f"best so far {label}: {self.metric} {means[label]:.2f} ({seeds} seed{'s' if seeds > 1 else ''})"
        return told + (f"; once {VOTERS} settings can vote, their vote decides" if self.metric == RULE else "")

    def render(self) -> "RenderableType":
        """The live part of the terminal."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        shown, more = self._shown()
        for task in shown:
            epoch, epochs = (task.metrics.get(name, 0) for name in ("epoch", "epochs"))
            at = f"epoch {epoch:.0f} of {epochs:.0f}, {self._heard(task)}" if epochs else "starting"
            loss = f"loss {task.metrics['loss']:.3f}" if "loss" in task.metrics else ""
            bar = ProgressBar(1.0, task.share, width=10)
            table.add_row(Text(f"  {in_a_line(task.name)}"), bar, at, loss)
        head = Text(in_a_line(f"{self.title}: {self.summary()}"), style="bold")
        rest = [Text(f"  {line}") for line in more]
        best = in_a_line(self.best())
        return Group(head, table, *rest, *([Text(best, style="green")] if best else []))


def _epochs(count: int) -> str:
    return f"{count} epoch{'s' * (count != 1)}"
