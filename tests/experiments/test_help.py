"""What a script says of itself."""

import json
from pathlib import Path

import pytest
from script_runs import ROOT, SCRIPTS, python

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
