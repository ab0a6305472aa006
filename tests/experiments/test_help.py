"""What a script says of itself."""

from pathlib import Path

import pytest
from script_runs import ROOT, SCRIPTS, python


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
