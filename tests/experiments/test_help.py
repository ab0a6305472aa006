"""What a script says of itself."""

import re
from pathlib import Path

import pytest
from script_runs import ROOT, SCRIPTS, python

from apc.config import pocket
from apc.experiment.definition import Experiment
from apc.experiment.main import in_turn, of_all
from apc.reporting.catalogue import modules_of, tables_of
from experiments import paper_setting, search_without_masks


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_is_told_at_once(script: str, tmp_path: Path) -> None:
    told = python("-X", "importtime", str(ROOT / "experiments" / f"{script}.py"), "--help", cwd=tmp_path)
    lines = told.stderr.splitlines()
    assert told.returncode == 0 and lines and all(line.startswith("import time:") for line in lines)
    imported = {line.rsplit("|", 1)[1].strip().split(".")[0] for line in lines}
    assert not imported & {"torch", "ray", "optuna", "timm", "pandas", "matplotlib", "scipy"}
    for word in ("[pocket|folder|voc|coco]", "--smoke", "--help-fields", "the same\ncommand goes on"):
        assert word in told.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_names_its_table_its_command_and_what_to_expect(script: str) -> None:
    source = (ROOT / "experiments" / f"{script}.py").read_text()
    head = source.split('"""')[1]
    assert f"python experiments/{script}.py" in head and "minute" in head and "Expect" in head


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_minutes_of_the_help_are_those_of_the_docstring(script: str) -> None:
    module = modules_of("experiments")[script]
    steps = [entry for entry in tables_of(module) if isinstance(entry, Experiment)]
    if not steps or not (minutes := of_all(steps).minutes.get("pocket")):
        return
    told = re.findall(r"(?:(\d+) to )?(\d+)\s+minutes", module.__doc__ or "")
    assert any(int(least or most) <= minutes <= int(most) for least, most in told), minutes


def test_a_script_of_several_steps_is_called_by_its_own_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        in_turn(search_without_masks.STEPS, ["--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert told.startswith("usage: search_without_masks [pocket|") and "search_by_masks" not in told
    assert "(about 30 minutes on pocket with two cores)" in told
    assert in_turn(search_without_masks.STEPS, ["--trails", "3"]) == 2
    assert capsys.readouterr().err.startswith("search_without_masks: there is no flag --trails")


def test_a_setting_without_knobs_is_told_without_a_colon() -> None:
    assert paper_setting.EXPERIMENT.told(pocket()).endswith(". Run: 1 setting")
