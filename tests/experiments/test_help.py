"""What a script says of itself."""

import json
import re
from pathlib import Path

import pytest
from script_runs import ROOT, SCRIPTS, python

from apc.config import pocket
from apc.experiment.definition import Experiment
from apc.experiment.main import in_turn, of_all
from apc.reporting.catalogue import modules_of, tables_of
from experiments import paper_setting, search_without_masks

ASK_ALL = """
import contextlib, io, json, runpy, sys
told = {}
for path in sys.argv[1:]:
    sys.argv, sys.path[0], out, err = [path, "--help"], path.rpartition("/")[0], io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = runpy.run_path(path, run_name="__main__") and None
        except SystemExit as ended:
            code = ended.code or 0
    told[path] = [code, out.getvalue(), err.getvalue(), sorted({name.partition(".")[0] for name in sys.modules})]
print(json.dumps(told))
"""
"""Runs scripts with --help one after the other: path -> exit code, what it said, what was imported by then."""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str, str, list[str]]]:
    """By script the exit code of --help, stdout, stderr and what it imported, or one before it."""
    here = tmp_path_factory.mktemp("here")
    asked = python("-c", ASK_ALL, *(str(ROOT / "experiments" / f"{script}.py") for script in SCRIPTS), cwd=here)
    assert asked.returncode == 0 and asked.stderr == "", asked.stderr
    assert list(here.iterdir()) == []
    return {Path(path).stem: answer for path, answer in json.loads(asked.stdout).items()}


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_is_told_at_once(script: str, told: dict[str, tuple[int, str, str, list[str]]]) -> None:
    code, out, err, imported = told[script]
    assert (code, err) == (0, "")
    assert "apc" in imported and not {*imported} & {"torch", "ray", "optuna", "timm", "pandas", "matplotlib", "scipy"}
    for word in ("[pocket|folder|voc|coco]", "--smoke", "--help-fields", "the same\ncommand goes on"):
        assert word in out


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
    assert "(default: the script's own)" in told and " --decide N " in told  # of its last step, which has claims
    assert "chosen by image labels; 3. What labels choose against what masks choose. Searched: pooling" in told
    assert in_turn(search_without_masks.STEPS, ["--trails", "3"]) == 2
    assert capsys.readouterr().err.startswith("search_without_masks: there is no flag --trails")


def test_a_setting_without_knobs_is_told_without_a_colon() -> None:
    assert paper_setting.EXPERIMENT.told(pocket()).endswith(". Run: 1 setting")
