"""The time left, replayed: what was said at every moment of finished searches, beside what came."""

import itertools
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from apc.config import Config
from apc.runs.rows import Row, load_rows
from apc.search.plans import Plan, points, to_come
from apc.search.progress import Progress
from apc.search.run_queue import Job, RunQueue
from apc.search.time_left import Runs, first_pace, interval, pace_of, still_to_do
from search_spaces.lambdas import PLAN

PLACE = ("lambda1", "lambda2", "seed")
RESULTS = Path(__file__).resolve().parents[2] / "reports" / "reference" / "results"
STEP = 20.0  # seconds between two looks at the view


class Nowhere:
    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None: ...


class Clock:
    """The clock of the view."""

    def __init__(self) -> None:
        self.now = 0.0


def rows_of(path: Path) -> list[Row]:
    """Rows of a search, in the order in which they ended."""
    return sorted((row for row in load_rows(path) if not row.stopped), key=lambda row: str(row.stamp["time"]))


def seconds_of(row: Row) -> float:
    return row.seconds["train"] + row.seconds["eval"]


def events(row: Row, start: float) -> Iterator[tuple[float, str, dict[str, float]]]:
    """What a run tells, and when."""
    for epoch in row.curve:
        yield start + epoch["seconds"], "epoch", {**epoch, "epochs": len(row.curve)}
    yield start + seconds_of(row), "final", {"final": 1.0, "epoch": len(row.curve), "epochs": len(row.curve)}
    yield start + seconds_of(row), "end", {}


def replay(plan: Plan, seeds: list[int], row_of: Callable[[Job], Row], slots: int, clock: Clock) -> float:
    """Share of the moments of a search at which the interval held what the search then took."""
    queue = RunQueue(plan, base=Config(), seeds=seeds, runs=Path("nowhere"), identify=lambda cfg: repr(cfg))
    view = Progress("replayed", file=Nowhere())  # type: ignore[arg-type]
    view.begin(slots, 0.0)
    said: list[tuple[float, float, float]] = []
    ahead: list[tuple[float, int, str, dict[str, float], Job]] = []
    order = itertools.count()
    looks = itertools.count(start=1)
    look = STEP
    while not queue.through:
        while len(view.running) < slots and (job := queue.take()):
            view.counted(queue.counts)
            view.started(job.run, job.run)
            ahead += [(at, next(order), kind, told, job) for at, kind, told in events(row_of(job), clock.now)]
        ahead.sort(key=lambda event: event[:2])
        at, _, kind, told, job = ahead.pop(0)
        while look < at:
            clock.now = look
            if left := view.left():
                said.append((clock.now, *left))
            look = STEP * next(looks)
        clock.now = at
        if kind == "end":
            queue.finish(job.run, row_of(job))
            view.ended(job.run, job.point.label, [row_of(job)])
            view.counted(queue.counts)
        else:
            view.reported(job.run, told)
    assert len(said) > 10
    return sum(low <= clock.now - now <= high for now, low, high in said) / len(said)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("apc.search.progress.time.monotonic", lambda: clock.now)
    return clock


@pytest.mark.parametrize("slots", [1, 2])
def test_four_times_in_five_a_staged_search_ends_within_the_interval(slots: int, clock: Clock) -> None:
    rows = {tuple(row.config[name] for name in PLACE): row for row in rows_of(RESULTS / "search_staged/pocket.jsonl")}
    assert replay(PLAN, [0, 1, 2], lambda job: rows[tuple(vars(job.config)[k] for k in PLACE)], slots, clock) >= 0.8


@pytest.mark.parametrize("slots", [1, 2])
def test_four_times_in_five_the_recorded_searches_end_within_the_interval(slots: int, clock: Clock) -> None:
    """All that have ten timed runs, good and bad; rows of several calls are replayed as one."""
    held = {}
    for path in sorted(RESULTS.glob("*/*.jsonl")):
        rows = [row for row in rows_of(path) if row.curve and not (row.error or row.stopped)]
        if len(rows) >= 10 and all({"train", "eval"} <= row.seconds.keys() for row in rows):
            plan = points([{"data_seed": number} for number in range(len(rows))])
            clock.now = 0.0
            held[path] = replay(plan, [0], lambda job, rows=rows: rows[job.config.data_seed], slots, clock)
    assert len(held) >= 10 and statistics.fmean(held.values()) >= 0.8


def test_stages_that_are_not_planned_yet_are_counted_by_playing_the_plan_through() -> None:
    assert to_come(PLAN, [], PLAN.next([])) == (4, 6)  # one or two middles for each weight, two more lambda2
    assert to_come(points([{"k": 3}, {"k": 6}]), [], points([{"k": 3}, {"k": 6}]).next([])) == (0, 0)


def test_the_low_end_holds_the_runs_of_stages_that_are_not_planned_yet() -> None:
    pace = pace_of([60.0] * 8)
    assert interval(pace, Runs([], 0, 0), 1) == (0.0, 0.0)
    few, many = interval(pace, Runs([], 3, 0), 1), interval(pace, Runs([], 3 + 12, 6), 1)
    assert few[0] < 180 < few[1] < many[0] < 15 * 60 and many[1] > 21 * 60


def test_a_run_in_progress_is_as_far_as_its_epochs_and_the_time_since_the_last_say() -> None:
    pace = pace_of([100.0])
    assert still_to_do(0.0, 0.0, pace) == 1.0
    assert still_to_do(0.5, 10.0, pace) == pytest.approx(0.5)  # half of the four fifths, and a tenth
    assert still_to_do(1.0, 1000.0, pace) == 0.03  # late, but not done


def test_before_the_first_run_has_ended_its_epochs_tell_how_long_it_will_take() -> None:
    assert first_pace([]) is None
    pace = first_pace([80.0])
    assert pace and pace.mean == pytest.approx(100.0)


def test_late_runs_count_more_than_early_ones_and_several_places_share_the_rest() -> None:
    assert pace_of([100.0] * 4 + [200.0] * 4).mean == pytest.approx(500 / 3)  # the last four weigh twice as much
    one, two = (interval(pace_of([60.0] * 8), Runs([], 10, 0), slots) for slots in (1, 2))
    assert two == pytest.approx([value / 2 for value in one])
