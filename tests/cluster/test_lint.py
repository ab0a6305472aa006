"""The image's recipe and the batch script against the linters of their kind."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "cluster" / "Dockerfile").read_text()
SBATCH = (ROOT / "cluster" / "slurm.sbatch").read_text()


def linted(*words: str, text: str) -> "subprocess.CompletedProcess[str]":
    program = str(Path(sys.executable).parent / words[0])
    return subprocess.run([program, *words[1:], "-"], input=text, capture_output=True, text=True)


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    done = linted("hadolint", text=DOCKERFILE)
    assert done.returncode == 0, done.stdout
    assert linted("hadolint", text=DOCKERFILE.replace("WORKDIR /src", "RUN cd /src")).returncode  # it does find


def test_shellcheck_finds_nothing_in_the_batch_script() -> None:
    done = linted("shellcheck", text=SBATCH)
    assert done.returncode == 0, done.stdout
    assert linted("shellcheck", text=SBATCH.replace('exit "$code"', "exit $cod")).returncode


def test_the_last_stage_has_no_compiler_and_ends_as_nobody_special() -> None:
    _, build, last = re.split(r"^FROM ", DOCKERFILE, flags=re.M)
    assert "install -y --no-install-recommends g++" in build and "g++" not in last
    assert re.findall(r"^USER (.*)", last, re.M) == ["1000:1000"] and "RUN" not in last.partition("USER")[2]


@pytest.mark.parametrize("name", ["apc", "search_spaces", "experiments", "constraints.txt", "pyproject.toml"])
def test_what_the_image_is_built_from_is_let_in(name: str) -> None:
    let_in = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert name in let_in and all((ROOT / other).exists() for other in let_in)
