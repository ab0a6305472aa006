"""Pictures of finished runs: what is kept of the command that draws them."""

import json
from pathlib import Path

import pytest
import tomli_w
from fitting import folder_config

from apc.config import to_dict
from apc.experiment.pictures import Picture, main
from apc.runs.folder import save_run
from apc.runs.rows import Row
from apc.training.run import identity

DRAWN = Picture(name="figure", title="A figure", about="", place=1, settings={"": {}}, script="", show=lambda *_: {})


def test_the_command_that_is_kept_has_no_folder_of_this_machine_however_it_was_spelt(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = folder_config(photographs)
    save_run(tmp_path / "runs", Row(run=identity(cfg), config=to_dict(cfg), metrics={}, seconds={}))
    own = {name: value for name, value in to_dict(cfg).items() if name not in ("root", "seed")}
    (tmp_path / "own.toml").write_text(tomli_w.dumps(own))
    monkeypatch.setattr("apc.reporting.page.build", lambda reports: reports)
    words = ["folder", f"--root={photographs}", "--weights=", "--config", str(tmp_path / "own.toml")]
    assert main(DRAWN, [*words, f"--runs={tmp_path / 'runs'}", "--reports", str(tmp_path)]) == 0
    (record,) = tmp_path.glob("results/figure/*.json")
    command = "python experiments/figure.py folder --root photos --weights '' --config own.toml"
    assert json.loads(record.read_text())["command"] == command
