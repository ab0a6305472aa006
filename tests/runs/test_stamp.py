"""The commit that a row has, wherever the code lies that made it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
GIT = ("git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")


def commit_of(site: Path, said: str) -> str:
    """What the code below `site` takes for its commit, with APC_COMMIT as `said`."""
    code = "from apc.runs.stamp import commit, commit_in_a_word; print(*commit(), commit_in_a_word())"
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(site), "APC_COMMIT": said}
    words = [sys.executable, "-c", code]
    return subprocess.run(words, cwd=site, env=env, check=True, capture_output=True, text=True).stdout.strip()


def test_code_inside_a_repository_of_others_is_of_the_commit_that_it_is_said_to_be_of(tmp_path: Path) -> None:
    site = tmp_path / "site-packages"
    (site / "apc" / "runs").mkdir(parents=True)
    for name in ("apc/__init__.py", "apc/runs/__init__.py"):
        (site / name).touch()
    shutil.copy(ROOT / "apc/runs/stamp.py", site / "apc/runs")
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "theirs"]):
        subprocess.run([*GIT, *words], cwd=tmp_path, check=True)
    assert commit_of(site, "0123456789ab") == "0123456789ab False 0123456789ab"
    assert commit_of(site, "0123456789ab-dirty") == "0123456789ab True 0123456789ab-dirty"
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "ours"]):
        subprocess.run([*GIT, *words], cwd=site, check=True)
    head = subprocess.run([*GIT, "rev-parse", "--short=12", "HEAD"], cwd=site, capture_output=True, text=True)
    assert commit_of(site, "0123456789ab") == f"{head.stdout.strip()} False {head.stdout.strip()}"
    (site / "apc" / "new.py").touch()
    assert commit_of(site, "") == f"{head.stdout.strip()} True {head.stdout.strip()}-dirty"


def test_workers_of_a_cluster_are_told_the_commit_of_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    from apc.runs.stamp import commit_in_a_word
    from apc.search import ray_session

    told: dict[str, Any] = {}
    monkeypatch.setattr(ray_session, "check_address", lambda address: None)
    monkeypatch.setattr(ray_session.cluster_nodes, "probe", lambda address: None)

    def init(**options: Any) -> None:
        told.update(options)
        raise ValueError("no cluster")

    monkeypatch.setattr(ray_session.ray, "is_initialized", lambda: False)  # another test's may be
    monkeypatch.setattr(ray_session.ray, "init", init)
    with pytest.raises(ValueError, match="no cluster"), ray_session.session(ray_session.Resources(address="auto")):
        pass
    assert told["runtime_env"]["env_vars"]["APC_COMMIT"] == commit_in_a_word()
