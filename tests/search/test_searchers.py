"""Rows that a searcher takes from folders in which other nodes have written them."""

from pathlib import Path
from typing import Any

import pytest

from apc.config import Config, to_dict
from apc.runs.folder import save_run
from apc.runs.rows import Row
from apc.search.plans import points
from apc.search.run_queue import RunQueue
from apc.search.view import NoView


@pytest.mark.parametrize("failed", [False, True])
def test_a_row_that_is_not_seen_yet_is_waited_for_where_its_trial_went_well(
    failed: bool, tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from apc.search.searchers import searcher_of

    queue = RunQueue(points([{"theta": 0.5}]), base=tiny, seeds=[0], runs=tmp_path, identify=lambda cfg: "abc")
    task: Any = {}
    searcher = searcher_of(queue, task, lambda count: 1, NoView(), lambda: None)
    given: Any = searcher.suggest("one")
    (tmp_path / "abc").mkdir()
    row = Row(run="abc", config=given["configs"][0], metrics={"miou": 1.0}, seconds={})
    monkeypatch.setattr("apc.runs.folder.time.sleep", lambda seconds: save_run(tmp_path, row))
    searcher.on_trial_complete("one", error=failed)
    ((_, (found,)),) = queue.result()
    assert found.error.startswith("its process was lost") if failed else found.metrics == {"miou": 1.0}
    assert found.config == to_dict(tiny) | {"theta": 0.5}
